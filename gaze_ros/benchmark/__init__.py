"""Measurements of the pipeline on this machine: processes of their own, watched from outside."""
