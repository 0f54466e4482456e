"""What the launch files do."""
