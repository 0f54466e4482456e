"""Reading, writing and playing ROS 2 bags, without rclpy: messages stay CDR bytes."""
"""Reading, writing and playing ROS 2 bags, without rclpy: messages stay CDR bytes."""
