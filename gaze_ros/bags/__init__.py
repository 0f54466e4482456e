"""Bags of ROS 2: read, written, their pictures found. Messages go in and out as CDR; no rclpy."""
