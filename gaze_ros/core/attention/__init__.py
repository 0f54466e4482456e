"""The attention target of each person, debounced."""
