"""Process, memory, file system and URL helpers."""
