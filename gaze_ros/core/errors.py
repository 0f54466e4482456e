"""Errors a user can act on: a node or command prints them in one line and stops."""
from gaze_ros.core.system.utf8 import printable


class GazeRosError(Exception):
    """Base class; the message names the cause, the value, what was expected and the remedy.

    :param message: file names in it that are not UTF-8 are made printable: ROS could not send it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class SourceError(GazeRosError):
    """An image source cannot be opened or read."""


class ModelError(GazeRosError):
    """A model, its file or a required package is missing or does not fit."""
