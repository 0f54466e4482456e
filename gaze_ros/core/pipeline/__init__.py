"""From an image to everybody's gaze: the engine, its worker threads, hot swapping."""
