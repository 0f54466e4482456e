"""The library that knows the formats of bags; it is optional."""
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

from gaze_ros.bags.limits import limit_rosbags
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system.resources import share_path


def rosbags(module: str) -> ModuleType:
    """Return a module of rosbags: ``rosbag2``, ``typesys`` or ``interfaces``; its readers bounded.

    :raises GazeRosError: if it is not installed, saying how it is.
    """
    try:
        found = import_module(f'rosbags.{module}')
        if module == 'rosbag2':
            limit_rosbags()
        return found
    except ImportError as e:
        raise GazeRosError(
            f"bags need the package rosbags ({e}): pip install 'gaze_ros[bags]', or pip install "
            'rosbags') from e


@lru_cache(maxsize=1)
def typestore() -> Any:
    """Return the rosbags.typesys Typestore of ROS's common messages and of ours.

    :raises GazeRosError: if rosbags is not installed.
    """
    typesys = rosbags('typesys')
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    types: dict = {}
    for path in sorted(share_path('msg').glob('*.msg')):
        types.update(typesys.get_types_from_msg(
            path.read_text(encoding='utf-8'), f'gaze_ros/msg/{path.stem}'))
    store.register(types)
    return store


def to_cdr(message: Any, kind: str) -> memoryview:
    """Return a message serialized, the same bytes for the same message.

    rclpy's own serialization leaves what happens to be in memory between fields.

    :param message: anything with the fields of the type; sequences of numbers as numpy arrays.
    :param kind: its type, as ``gaze_ros/msg/GazeArray``.
    """
    return typestore().serialize_cdr(message, kind)
