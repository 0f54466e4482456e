"""Fast DDS set up so that pictures arrive."""
import os
from pathlib import Path

from gaze_ros.core.share import share_path

#: What Fast DDS 3 (Kilted) and 2 (Jazzy) read a profile from; 3 warns of the name of 2.
_PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
_IN_WORKING_FOLDER = ('DEFAULT_FASTDDS_PROFILES.xml', 'DEFAULT_FASTRTPS_PROFILES.xml')
#: Any of these says the user chose a transport.
_CHOSEN = (*_PROFILES, 'FASTDDS_BUILTIN_TRANSPORTS')


def configure() -> bool:
    """Make Fast DDS use shared memory segments that hold pictures; call before rclpy.init().

    With its 0.5 MB segments, 3 % of 640x480 pictures arrive in another process at best effort;
    with these, all. Another middleware, or a profile the user set, is left alone.

    :returns: whether the package's profile is used.
    """
    if (os.environ.get('RMW_IMPLEMENTATION') or 'rmw_fastrtps_cpp') not in (
            'rmw_fastrtps_cpp', 'rmw_fastrtps_dynamic_cpp'):
        return False
    if any(os.environ.get(name) for name in _CHOSEN):
        return False
    if any(Path(name).exists() for name in _IN_WORKING_FOLDER):
        return False
    old = os.environ.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy')  # Fast DDS 2
    os.environ[_PROFILES[old]] = str(share_path('config') / 'fastdds.xml')
    return True
