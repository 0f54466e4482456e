"""Errors a user can act on: a node or command prints them in one line and stops."""


class GazeRosError(Exception):
    """Says what is wrong, where, what was expected and what to do."""


class SourceError(GazeRosError):
    """A source of pictures that cannot be opened or read."""


class ModelError(GazeRosError):
    """A model, its file or a package it needs that is missing or does not fit."""
