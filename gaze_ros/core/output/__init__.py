"""Output other than ROS messages: videos, JSON lines, drawings, windows."""
