"""Benchmarks for developers of gaze_ros. They are not installed; run them from the checkout."""
