"""Camera model, head pose, rotations and crops."""
