"""Access to the optional library rosbags, which reads and writes the bag formats."""
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

from gaze_ros.bags import foxglove
from gaze_ros.bags.limits import limit_rosbags
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system.import_errors import pip_command
from gaze_ros.core.system.resources import share_path


def rosbags(module: str) -> ModuleType:
    """Return a module of rosbags, with size limits applied to its readers.

    :param module: ``rosbag2``, ``typesys`` or ``interfaces``.
    :raises GazeRosError: if rosbags is not installed; names how to install it.
    """
    try:
        imported = import_module(f'rosbags.{module}')
        if module == 'rosbag2':
            limit_rosbags()
        return imported
    except ImportError as e:
        raise GazeRosError(
            f"bags need the package rosbags ({e}): {pip_command('rosbags')}") from e


@lru_cache(maxsize=1)
def typestore() -> Any:
    """Return the rosbags Typestore with common messages, those of gaze_ros and annotations.

    :raises GazeRosError: if rosbags is not installed.
    """
    typesys = rosbags('typesys')
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    types: dict = {}
    for path in sorted(share_path('msg').glob('*.msg')):
        types.update(typesys.get_types_from_msg(
            path.read_text(encoding='utf-8'), f'gaze_ros/msg/{path.stem}'))
    for name, definition in foxglove.DEFINITIONS.items():
        types.update(typesys.get_types_from_msg(definition, name))
    store.register(types)
    return store


def to_cdr(message: Any, kind: str) -> memoryview:
    """Return a serialized message; equal messages give equal bytes.

    rclpy's own serialization leaves uninitialised padding between fields.

    :param message: any object with the fields of the type; sequences of numbers as numpy arrays.
    :param kind: message type, e.g. ``gaze_ros/msg/GazeArray``.
    """
    return typestore().serialize_cdr(message, kind)
