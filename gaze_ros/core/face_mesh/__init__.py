"""The face mesh: 478 landmarks, blendshapes, head rotation and eyes of a face, in OpenVINO."""
