"""Face tracks over time: ids, smoothing, optical flow between detections, calibration."""
