"""Fast DDS set up so that pictures arrive, on this machine and on another."""
import os
from pathlib import Path
import secrets
import xml.etree.ElementTree as ET

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system import shared_memory
from gaze_ros.core.system.resources import share_path

#: What is between the machines, and the environment variable that tells: the command line is read
#: too late for it.
LINKS = ('local', 'network')
LINK = 'GAZE_ROS_LINK'

#: What Fast DDS 3 (Kilted) and 2 (Jazzy) read a profile from; 3 warns of the name of 2.
PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
_IN_WORKING_FOLDER = ('DEFAULT_FASTDDS_PROFILES.xml', 'DEFAULT_FASTRTPS_PROFILES.xml')
#: Any of these says the user chose a transport.
_CHOSEN = (*PROFILES, 'FASTDDS_BUILTIN_TRANSPORTS')
#: Bytes of shared memory that are free from which on segments may be large: each process has one
#: of 64 MB, which it takes all at once, and ends if that is not to be had.
_ROOM = 1 << 30

#: What the profiles for one machine read: the port of a process's data, from its domain's first
#: on, where discovery has the even ones. Fast DDS numbers them 11, 13, ..., so that one that is
#: started again has that of the one that was killed, and hears nothing for 2.7 s as a rule: who
#: wrote to the dead one's shared memory goes on doing so. Reported to last for ever in Fast DDS
#: issue 5469.
_PORT_OFFSET = 'GAZE_ROS_PORT_OFFSET'
_PORT_OFFSETS = range(11, 91, 2)


def link() -> str:
    """Return which of :data:`LINKS` the environment names: local where it names none.

    :raises GazeRosError: if it names another.
    """
    value = os.environ.get(LINK) or LINKS[0]
    if value not in LINKS:
        raise GazeRosError(
            f"the environment's {LINK} is '{value}'; {' or '.join(LINKS)} was expected")
    return value


def configure() -> bool:
    """Make Fast DDS carry pictures; call before rclpy.init().

    On one machine, by shared memory segments that hold pictures: with its 0.5 MB segments, 3 % of
    640x480 pictures arrive in another process at best effort; with these, all. They hold two
    pictures of 3840x2160, or where there is less than 1 GB of shared memory, of 1920x1080. And
    what is started again has other ports than what was killed: it hears the others at once.

    Where :func:`link` is network, to other machines by datagrams that fit a packet: with one of 20
    packets lost, no picture in datagrams of 64 kB gets through, and of these, all.

    Another middleware, or a profile the user set, is left alone.

    :returns: whether the package's profile is used.
    :raises GazeRosError: as :func:`link`.
    """
    network = link() == 'network'
    if (os.environ.get('RMW_IMPLEMENTATION') or 'rmw_fastrtps_cpp') not in (
            'rmw_fastrtps_cpp', 'rmw_fastrtps_dynamic_cpp'):
        return False
    if any(os.environ.get(name) for name in _CHOSEN):
        return False
    if any(Path(name).exists() for name in _IN_WORKING_FOLDER):
        return False
    old = _is_fast_dds_2()
    if network:
        name = 'fastdds_network_2.xml' if old else 'fastdds_network.xml'
    else:
        name = 'fastdds.xml' if _room() >= _ROOM else 'fastdds_small.xml'
        os.environ[_PORT_OFFSET] = str(secrets.choice(_PORT_OFFSETS))
    os.environ[PROFILES[old]] = str(share_path('config') / name)
    return True


def _room() -> int:
    """Return the bytes of shared memory that are free."""
    try:
        room = os.statvfs(shared_memory.FOLDER)
    except (AttributeError, OSError):  # another system's shared memory has no such place
        return 0
    return room.f_bavail * room.f_frsize


def _is_fast_dds_2() -> bool:
    """Tell by the version of ROS's binding to it: 8 in Jazzy, 9 in Kilted."""
    try:
        share = get_package_share_directory('rmw_fastrtps_shared_cpp')
        version = ET.parse(Path(share) / 'package.xml').findtext('version')  # noqa: S314, ROS's
        return int(version.partition('.')[0]) < 9
    except (PackageNotFoundError, OSError, ET.ParseError, AttributeError, ValueError):
        return False
