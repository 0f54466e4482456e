"""Errors as one line of text: for the log, refused parameters and service responses."""
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system.utf8 import printable
from gaze_ros.ros.process.rclpy_compat import RCLError
from rclpy.exceptions import InvalidParameterTypeException, ParameterException

#: Errors whose text needs no type name in front.
_SELF_EXPLANATORY = GazeRosError, ValueError, RCLError


def format_error(error: Exception) -> str:
    """Return an error as one line for the log, without the names that rclpy repeats."""
    text = printable(' '.join(str(error).split()))
    if isinstance(error, InvalidParameterTypeException):
        return text + '; a text that looks like a number is given as NAME:="\'VALUE\'"'
    if isinstance(error, ParameterException):
        return text.partition('Reason: ')[2].rpartition(':')[0] or text
    return text if isinstance(error, _SELF_EXPLANATORY) else f'{type(error).__name__}: {text}'
