"""Errors a user can act on: a node or command prints them in one line and stops."""


class GazeRosError(Exception):
    """Base class; the message names the cause, the value, what was expected and the remedy."""


class SourceError(GazeRosError):
    """An image source cannot be opened or read."""


class ModelError(GazeRosError):
    """A model, its file or a required package is missing or does not fit."""
