"""Soak test: the pipeline runs for hours while much happens to it; report what grows."""
