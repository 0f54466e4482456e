"""From an image to the gaze of every face in it: engine, worker threads, hot swapping."""
