"""Publishers of TF frames, markers and ROS4HRI topics, and the snapshot service."""
