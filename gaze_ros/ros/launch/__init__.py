"""The code of the launch files: arguments, processes and the respawn policy."""
