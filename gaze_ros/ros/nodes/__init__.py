"""The ROS nodes."""
