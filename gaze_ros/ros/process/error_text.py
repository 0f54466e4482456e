"""Errors as one line: for the log, a refused parameter, a service's answer."""
from gaze_ros.core.errors import GazeRosError
from gaze_ros.ros.process.rclpy_compat import RCLError
from rclpy.exceptions import InvalidParameterTypeException, ParameterException

#: Errors that speak for themselves.
_WORDED = GazeRosError, ValueError, RCLError


def format_error(error: Exception) -> str:
    """Return an error as one line for the log, without rclpy's repetitions of names."""
    words = ' '.join(str(error).split())
    if isinstance(error, InvalidParameterTypeException):
        return words + '; a text that looks like a number is given as NAME:="\'VALUE\'"'
    if isinstance(error, ParameterException):
        return words.partition('Reason: ')[2].rpartition(':')[0] or words
    return words if isinstance(error, _WORDED) else f'{type(error).__name__}: {words}'
