"""The command line tool gaze_ros: one module per verb."""
"""The command line tool gaze_ros: one module per verb."""
