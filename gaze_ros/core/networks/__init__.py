"""The networks of MobileGaze, written from their tensors' names and shapes. Needs torch.

Each takes (N, 3, H, W) float32 RGB, normalised by ImageNet's mean and deviation, and returns the
logits (N, bins) of its ``fc_yaw`` and of its ``fc_pitch`` head, whatever these mean.
"""
