"""Measure the pipeline on this machine: child processes do the work, the parent measures them."""
