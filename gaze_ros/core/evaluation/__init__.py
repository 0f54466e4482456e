"""Accuracy of models against labelled data, and the mirror test."""
