"""Publishers of TF frames, markers and ROS4HRI topics, and the services that wait for images."""
