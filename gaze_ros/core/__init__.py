"""Everything that needs no ROS: pictures in, gaze out."""
