"""Errors as one line of text: for the log, refused parameters and service responses."""
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system.utf8 import printable
from gaze_ros.ros.process.rclpy_compat import RCLError
from rclpy.exceptions import InvalidParameterTypeException, ParameterException

#: What makes a node start if rclpy finds no folder for its log.
LOG_FOLDER_REMEDY = 'set HOME, or ROS_LOG_DIR, to a folder that can be written'

#: Errors whose text needs no type name in front.
_SELF_EXPLANATORY = GazeRosError, ValueError, RCLError


def lacks_log_folder(error: Exception) -> bool:
    """Return whether rclpy found no folder for its log."""
    return isinstance(error, RCLError) and any(
        words in str(error) for words in ('logging directory', 'log directory'))


def format_error(error: Exception) -> str:
    """Return an error as one line for the log, without the names that rclpy repeats."""
    text = printable(' '.join(str(error).split()))
    if lacks_log_folder(error):
        return f'{text}; {LOG_FOLDER_REMEDY}'
    if isinstance(error, InvalidParameterTypeException):
        return text
    if isinstance(error, ParameterException):
        return text.partition('Reason: ')[2].rpartition(':')[0] or text
    return text if isinstance(error, _SELF_EXPLANATORY) else f'{type(error).__name__}: {text}'
