"""The ROS-independent part of the package: images in, gaze out."""
