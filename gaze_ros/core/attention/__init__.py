"""Whom or what each person attends to, debounced."""
