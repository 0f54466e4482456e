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

#: Variables from which Fast DDS 3 (Kilted, Lyrical) and 2 (Humble, Jazzy) read a profile; 3 warns
#: of the name of 2.
PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
_IN_WORKING_FOLDER = ('DEFAULT_FASTDDS_PROFILES.xml', 'DEFAULT_FASTRTPS_PROFILES.xml')
#: The first major versions of Fast DDS's RMW with Fast DDS 3 (Kilted; Jazzy has 8), and with one
#: that replaces variables in a profile (Humble has 6, with Fast DDS 2.6, which does not).
_RMW_OF_FAST_DDS_3, _RMW_WITH_VARIABLES = 9, 8
#: If one of these is set, the user has chosen a transport.
_USER_CHOICE = (*PROFILES, 'FASTDDS_BUILTIN_TRANSPORTS')
#: Bytes of a segment: two images of 3840x2160, or two of 1920x1080; and the bytes of free shared
#: memory from which on it may be the large one: each process allocates its segment at once, and
#: exits if that fails.
_LARGE_SEGMENT, _SMALL_SEGMENT, _LARGE_SEGMENT_FROM = 64 << 20, 16 << 20, 1 << 30

#: The profile of the nodes. It reads these variables: the size of the segment, and the port of a
#: process's data, counted from the first port of its domain; discovery uses the even ones. Fast
#: DDS would number them 11, 13, ..., so that a restarted process gets the port of the killed one
#: and usually receives nothing for 2.7 s: publishers keep writing to the shared memory of the
#: killed one. Fast DDS issue 5469 reports that it can last forever.
_NODES_PROFILE = 'fastdds_nodes.xml'
_SEGMENT_SIZE, _PORT_OFFSET = 'GAZE_ROS_SEGMENT_SIZE', 'GAZE_ROS_PORT_OFFSET'
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
    if _is_users_choice():
        return False
    rmw = _rmw_version()
    if network:
        name = 'fastdds_network_2.xml' if rmw < _RMW_OF_FAST_DDS_3 else 'fastdds_network.xml'
    elif rmw < _RMW_WITH_VARIABLES:
        name = foreign_profile().name
    else:
        name = _NODES_PROFILE
        os.environ[_SEGMENT_SIZE] = str(_LARGE_SEGMENT if _has_space() else _SMALL_SEGMENT)
        os.environ[_PORT_OFFSET] = str(secrets.choice(_PORT_OFFSETS))
    os.environ[_variable()] = str(share_path('config') / name)
    return True


def foreign_profile() -> Path:
    """Return the profile for processes of other packages: it needs no variables.

    Its segments hold as large images as those of the nodes.
    """
    return share_path('config') / ('fastdds.xml' if _has_space() else 'fastdds_small.xml')


def foreign_command() -> str:
    """Return the shell command that sets :func:`foreign_profile` for a driver or a bag player."""
    return f'export {_variable()}={foreign_profile()}'


def foreign_environment() -> dict[str, str]:
    """Return the variable that sets :func:`foreign_profile`; none if the user has chosen."""
    return {} if _is_users_choice() else {_variable(): str(foreign_profile())}


def _variable() -> str:
    return PROFILES[_rmw_version() < _RMW_OF_FAST_DDS_3]


def _is_users_choice() -> bool:
    """Return whether another middleware is used, or another profile than the package's."""
    if (os.environ.get('RMW_IMPLEMENTATION') or 'rmw_fastrtps_cpp') not in (
            'rmw_fastrtps_cpp', 'rmw_fastrtps_dynamic_cpp'):
        return True
    # The profile for other processes may be set for the whole shell.
    ours = {'', str(foreign_profile()), str(share_path('config') / _NODES_PROFILE)}
    return (any(os.environ.get(name, '') not in ours for name in _USER_CHOICE)
            or any(Path(name).exists() for name in _IN_WORKING_FOLDER))


def _has_space() -> bool:
    return _free_shared_memory() >= _LARGE_SEGMENT_FROM


def _free_shared_memory() -> int:
    """Return the free shared memory in bytes; 0 where it is not known."""
    try:
        stats = os.statvfs(shared_memory.FOLDER)
    except (AttributeError, OSError):  # other systems have no such folder
        return 0
    return stats.f_bavail * stats.f_frsize


def _rmw_version() -> int:
    """Return the major version of Fast DDS's RMW; that of Kilted where it is not known."""
    try:
        share = get_package_share_directory('rmw_fastrtps_shared_cpp')
        version = ET.parse(Path(share) / 'package.xml').findtext('version')  # noqa: S314, ROS's
        return int(version.partition('.')[0])
    except (PackageNotFoundError, OSError, ET.ParseError, AttributeError, ValueError):
        return _RMW_OF_FAST_DDS_3
