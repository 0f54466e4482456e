"""Selects the Fast DDS profile that carries images, on one machine or over a network."""
import os
from pathlib import Path
import secrets
import xml.etree.ElementTree as ET

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system import shared_memory
from gaze_ros.core.system.resources import share_path

#: The kinds of link between the nodes, and the environment variable that selects one: the command
#: line is parsed too late for it.
LINKS = ('local', 'network')
LINK = 'GAZE_ROS_LINK'

#: Variables from which Fast DDS 3 (Kilted) and 2 (Jazzy) read a profile; 3 warns of the name of 2.
PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
_IN_WORKING_FOLDER = ('DEFAULT_FASTDDS_PROFILES.xml', 'DEFAULT_FASTRTPS_PROFILES.xml')
#: If one of these is set, the user has chosen a transport.
_USER_CHOICE = (*PROFILES, 'FASTDDS_BUILTIN_TRANSPORTS')
#: Bytes of free shared memory from which on segments may be large: each process allocates one of
#: 64 MB at once, and exits if that fails.
_LARGE_SEGMENTS_FROM = 1 << 30

#: A variable that the profiles for one machine read: the port of a process's data, counted from
#: the first port of its domain; discovery uses the even ones. Fast DDS would number them 11, 13,
#: ..., so that a restarted process gets the port of the killed one and usually receives nothing
#: for 2.7 s: publishers keep writing to the shared memory of the killed one. Fast DDS issue 5469
#: reports that it can last forever.
_PORT_OFFSET = 'GAZE_ROS_PORT_OFFSET'
_PORT_OFFSETS = range(11, 91, 2)


def link() -> str:
    """Return which of :data:`LINKS` the environment selects; local by default.

    :raises GazeRosError: if it names something else.
    """
    value = os.environ.get(LINK) or LINKS[0]
    if value not in LINKS:
        raise GazeRosError(
            f"environment variable {LINK} is '{value}'; expected {' or '.join(LINKS)}")
    return value


def configure() -> bool:
    """Set up Fast DDS for images; call before rclpy.init().

    On one machine it uses shared memory segments that hold images: with Fast DDS's 0.5 MB
    segments, 3 % of 640x480 images arrive in another process at best effort; with these, all do.
    They hold two images of 3840x2160, or, with less than 1 GB of free shared memory, of 1920x1080.
    A restarted process gets other ports than the killed one, so it receives messages at once.

    Over a network (see :func:`link`) it uses datagrams that fit into one packet: with 1 of 20
    packets lost, no image gets through in datagrams of 64 kB, and all do in these.

    Other middlewares, and a profile that the user set, are left alone.

    :returns: whether the package's profile is used.
    :raises GazeRosError: as :func:`link`.
    """
    network = link() == 'network'
    if (os.environ.get('RMW_IMPLEMENTATION') or 'rmw_fastrtps_cpp') not in (
            'rmw_fastrtps_cpp', 'rmw_fastrtps_dynamic_cpp'):
        return False
    if any(os.environ.get(name) for name in _USER_CHOICE):
        return False
    if any(Path(name).exists() for name in _IN_WORKING_FOLDER):
        return False
    version_2 = _is_fast_dds_2()
    if network:
        name = 'fastdds_network_2.xml' if version_2 else 'fastdds_network.xml'
    else:
        large = _free_shared_memory() >= _LARGE_SEGMENTS_FROM
        name = 'fastdds.xml' if large else 'fastdds_small.xml'
        os.environ[_PORT_OFFSET] = str(secrets.choice(_PORT_OFFSETS))
    os.environ[PROFILES[version_2]] = str(share_path('config') / name)
    return True


def _free_shared_memory() -> int:
    """Return the free shared memory in bytes; 0 where it is not known."""
    try:
        stats = os.statvfs(shared_memory.FOLDER)
    except (AttributeError, OSError):  # other systems have no such folder
        return 0
    return stats.f_bavail * stats.f_frsize


def _is_fast_dds_2() -> bool:
    """Return whether Fast DDS is version 2, by the version of its RMW: 8 in Jazzy, 9 in Kilted."""
    try:
        share = get_package_share_directory('rmw_fastrtps_shared_cpp')
        version = ET.parse(Path(share) / 'package.xml').findtext('version')  # noqa: S314, ROS's
        return int(version.partition('.')[0]) < 9
    except (PackageNotFoundError, OSError, ET.ParseError, AttributeError, ValueError):
        return False
