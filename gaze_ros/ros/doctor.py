"""Checks of ROS for ``gaze_ros doctor``. ROS is imported only when a check runs."""
from contextlib import suppress
import ctypes
import os
from pathlib import Path
import socket
import sys
import time

from gaze_ros.core.doctor.report import Report
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system import import_errors

#: Environment variables that affect discovery and transport.
_VARIABLES = ('ROS_DISTRO', 'ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_STATIC_PEERS',
              'ROS_LOCALHOST_ONLY', 'ROS_DISCOVERY_SERVER', 'ROS_SUPER_CLIENT',
              'FASTDDS_BUILTIN_TRANSPORTS', 'FASTDDS_DEFAULT_PROFILES_FILE',
              'FASTRTPS_DEFAULT_PROFILES_FILE', 'CYCLONEDDS_URI', 'ROS_SECURITY_ENABLE',
              'ROS_SECURITY_STRATEGY', 'ROS_SECURITY_KEYSTORE', 'ROS_DISABLE_LOANED_MESSAGES')
_RANGES = ('SUBNET', 'LOCALHOST', 'OFF', 'SYSTEM_DEFAULT')

#: Socket buffer size in bytes that config/fastdds_network.xml requests.
_SOCKET_BUFFER = 4 << 20

#: The highest domain id whose ports are not in Linux's ephemeral range.
_MAX_DOMAIN = 101

#: The multicast group that Fast DDS uses for discovery.
_MULTICAST_GROUP = '239.255.0.1'


def ros() -> Report:
    """Report the environment of ROS."""
    report = Report()
    for name in _VARIABLES:
        if value := os.environ.get(name):
            report.add_fact(name, value)
    _discovery(report)
    for name in _VARIABLES:
        value = os.environ.get(name)
        if name.endswith('_PROFILES_FILE') and value and not Path(value).is_file():
            report.add_warning(
                f'{name} is {value}, which is not a file: Fast DDS uses its defaults, and most '
                'images between processes are lost', f'unset {name}')
    from gaze_ros.ros.comm import dds_profile
    try:
        link = dds_profile.link()
    except GazeRosError as e:
        return report.add_error(str(e), f'unset {dds_profile.LINK}')
    report.add_fact('link', f'{link} ({dds_profile.LINK})')
    used = dds_profile.configure()
    profile = next((p for n in dds_profile.PROFILES if (p := os.environ.get(n))), '')
    report.add_fact('profile', profile if used or profile else 'default of the middleware')
    report.add_fact('for camera drivers and ros2 bag play', dds_profile.foreign_command())
    return report


def _discovery(report: Report) -> None:
    discovery_range = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')
    network = os.environ.get('GAZE_ROS_LINK') == 'network'
    if discovery_range and discovery_range not in _RANGES:
        report.add_warning(
            f'ROS_AUTOMATIC_DISCOVERY_RANGE is {discovery_range}; expected one of '
            f'{", ".join(_RANGES)}', 'export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST, or SUBNET')
    elif discovery_range == 'OFF' and not os.environ.get('ROS_STATIC_PEERS'):
        report.add_warning(
            'ROS_AUTOMATIC_DISCOVERY_RANGE is OFF: nodes discover no other nodes',
            'export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST')
    elif discovery_range == 'LOCALHOST' and network and not os.environ.get('ROS_STATIC_PEERS'):
        report.add_warning(
            'the link is network, but nodes discover others on this machine only',
            'export ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET, or ROS_STATIC_PEERS=ADDRESS')
    if os.environ.get('ROS_DISTRO') == 'humble':
        if discovery_range and os.environ.get('ROS_LOCALHOST_ONLY') != '1':
            report.add_warning(
                f'ROS_AUTOMATIC_DISCOVERY_RANGE is {discovery_range}, which Humble does not know: '
                'nodes discover others on the whole network', 'export ROS_LOCALHOST_ONLY=1')
    elif os.environ.get('ROS_LOCALHOST_ONLY') == '1':
        report.add_warning(
            'ROS_LOCALHOST_ONLY is deprecated, and overrides ROS_AUTOMATIC_DISCOVERY_RANGE',
            'unset ROS_LOCALHOST_ONLY; export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST')
    domain = os.environ.get('ROS_DOMAIN_ID', '')
    if domain and not (domain.isdecimal() and int(domain) <= 232):
        report.add_error(
            f'ROS_DOMAIN_ID is {domain}; expected 0 to 232', 'export ROS_DOMAIN_ID=0')
    elif domain and int(domain) > _MAX_DOMAIN:
        report.add_warning(
            f'ROS_DOMAIN_ID {domain} uses ports that Linux also assigns to other programs',
            f'use an id up to {_MAX_DOMAIN}')


def middleware() -> Report:
    """Report which middleware is used, and send a message through it."""
    from ament_index_python import get_packages_with_prefixes, get_resources
    report = Report()
    packages = get_packages_with_prefixes()
    installed = sorted({*get_resources('rmw_typesupport')} - {'rmw_implementation'})
    report.add_fact('middlewares', ', '.join(installed) or 'none')
    wanted = os.environ.get('RMW_IMPLEMENTATION', '')
    if wanted and wanted not in installed:
        report.add_error(
            f'RMW_IMPLEMENTATION is {wanted}, which is not installed',
            f'unset RMW_IMPLEMENTATION, or apt install '
            f'ros-$ROS_DISTRO-{wanted.replace("_", "-")}')
    for name, use in (('launch_ros', 'ros2 launch'), ('hri_msgs', 'humans:=true')):
        report.add_fact(name, packages.get(name, f'not installed ({use} needs it)'))
    from gaze_ros.ros.comm.other_encodings import cv_bridge
    _, problem = cv_bridge()
    report.add_fact('cv_bridge', problem or 'installed')
    if problem and 'not that of ROS 2' in problem:
        report.add_warning(
            f'cv_bridge {problem}: encodings that only cv_bridge knows are refused',
            'pip uninstall cv-bridge; apt install ros-$ROS_DISTRO-cv-bridge')
    if not report.problems:
        try:
            _send_message(report)
        except ImportError:
            raise
        except Exception as e:  # rclpy raises many types
            from gaze_ros.ros.process.error_text import lacks_log_folder, LOG_FOLDER_REMEDY
            report.add_error(
                f'cannot start a node: {type(e).__name__}: {e}',
                LOG_FOLDER_REMEDY if lacks_log_folder(e) else
                'correct the problems of the check ROS; otherwise unset RMW_IMPLEMENTATION and '
                'ROS_SECURITY_ENABLE')
    return report


def _send_message(report: Report) -> None:
    """Send a message from a node to itself."""
    from gaze_ros.ros.comm import dds_profile
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions
    from std_msgs.msg import Header
    dds_profile.configure()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    report.add_fact('RMW', rclpy.get_rmw_implementation_identifier())
    node = rclpy.create_node(f'gaze_ros_doctor_{os.getpid()}')
    name, received = '~/message', []
    node.create_subscription(Header, name, received.append, 1)
    publisher = node.create_publisher(Header, name, 1)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    until = time.monotonic() + 5
    while not received and time.monotonic() < until:
        publisher.publish(Header())
        executor.spin_once(timeout_sec=0.1)
    if received:
        report.add_fact('a message', 'arrives')
    else:
        report.add_error(
            'a message that a node sends to itself does not arrive',
            'gaze_ros doctor --reclaim; unset RMW_IMPLEMENTATION and ROS_SECURITY_ENABLE')
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()


def messages() -> Report:
    """Check that the messages of this package can be used."""
    report = Report()
    try:
        from gaze_ros.msg import Attention, GazeArray
        for msg_type in (GazeArray, Attention):
            msg_type.__class__.__import_type_support__()
            if msg_type.__class__._TYPE_SUPPORT is None:
                raise ImportError('their C libraries do not load', name='gaze_ros.msg')
    except Exception as e:  # a library that does not load raises many types
        report.add_error(*import_errors.cause_and_remedy(e, 'gaze_ros'))
        return report
    report.add_fact('gaze_ros/msg', 'GazeArray, Gaze, Attention')
    return report


def network() -> Report:
    """Report the network settings between machines, and whether multicast works."""
    report = Report()
    network_link = os.environ.get('GAZE_ROS_LINK') == 'network'
    for name in ('rmem_max', 'wmem_max'):
        with suppress(OSError, ValueError):
            size = int(Path('/proc/sys/net/core', name).read_text(encoding='ascii'))
            report.add_fact(f'net.core.{name}', size)
            if network_link and size < _SOCKET_BUFFER:
                report.add_warning(
                    f'net.core.{name} is {size}: bursts of images lose packets',
                    f'sudo sysctl -w net.core.{name}={_SOCKET_BUFFER}')
    problem = _multicast_problem()
    report.add_fact('multicast', f'does not work ({problem})' if problem else 'works')
    if problem and not os.environ.get('ROS_STATIC_PEERS'):
        report.add_warning(
            'multicast does not work: nodes may not discover each other',
            'sudo ip link set lo multicast on, or export ROS_STATIC_PEERS=127.0.0.1')
    if sys.platform.startswith('linux'):
        synchronized = _synchronized()
        report.add_fact(
            'clock', 'synchronized' if synchronized else 'not known to be synchronized')
        if network_link and not synchronized:
            report.add_warning(
                'the clock is not synchronized: ages of images of other machines are wrong',
                'sudo apt install chrony')
    return report


def _multicast_problem() -> str:
    """Return why a multicast datagram does not return to this machine, or ''."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1.0)
        try:
            sock.bind(('', 0))
            member = socket.inet_aton(_MULTICAST_GROUP) + socket.inet_aton('0.0.0.0')  # noqa: S104
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
            sock.sendto(b'gaze_ros', (_MULTICAST_GROUP, sock.getsockname()[1]))
            sock.recv(16)
        except OSError as e:
            return str(e)
    return ''


def _synchronized() -> bool:
    """Return whether the kernel's clock is synchronized, by adjtimex(2)."""
    try:
        return ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(1024)) not in (-1, 5)
    except (AttributeError, OSError):
        return False
