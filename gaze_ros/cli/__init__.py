"""The command line tool gaze_ros: one verb a module."""
