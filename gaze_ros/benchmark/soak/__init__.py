"""The pipeline left to run for hours while much happens to it, and what grows meanwhile."""
