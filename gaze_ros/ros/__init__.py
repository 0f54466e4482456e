"""The ROS nodes: parameters, topics and callbacks around gaze_ros.core."""
