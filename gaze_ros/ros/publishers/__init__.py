"""Publishers of TF frames, markers, ROS4HRI topics and snapshots."""
