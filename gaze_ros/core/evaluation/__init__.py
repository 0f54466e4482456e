"""Accuracy against labelled data."""
