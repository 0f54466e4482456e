"""What is written or shown: videos, JSON lines, drawings, windows."""
