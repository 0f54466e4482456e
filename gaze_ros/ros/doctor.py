"""What ``gaze_ros doctor`` looks at of ROS: nothing of it is imported before a check runs."""
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

#: What decides who finds whom, and how messages travel.
_VARIABLES = ('ROS_DISTRO', 'ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_STATIC_PEERS',
              'ROS_LOCALHOST_ONLY', 'ROS_DISCOVERY_SERVER', 'ROS_SUPER_CLIENT',
              'FASTDDS_BUILTIN_TRANSPORTS', 'FASTDDS_DEFAULT_PROFILES_FILE',
              'FASTRTPS_DEFAULT_PROFILES_FILE', 'CYCLONEDDS_URI', 'ROS_SECURITY_ENABLE',
              'ROS_SECURITY_STRATEGY', 'ROS_SECURITY_KEYSTORE', 'ROS_DISABLE_LOANED_MESSAGES')
_RANGES = ('SUBNET', 'LOCALHOST', 'OFF', 'SYSTEM_DEFAULT')

#: Bytes of a socket's buffer that config/fastdds_network.xml asks for.
_BUFFER = 4 << 20

#: A domain above it uses ports that Linux gives to any program.
_DOMAINS = 101

#: A group of Fast DDS's, and a port of nobody's.
_GROUP = '239.255.0.1'


def ros() -> Report:
    """Tell how ROS is set up."""
    found = Report()
    for name in _VARIABLES:
        if value := os.environ.get(name):
            found.add_fact(name, value)
    _discovery(found)
    for name in _VARIABLES:
        value = os.environ.get(name)
        if name.endswith('_PROFILES_FILE') and value and not Path(value).is_file():
            found.add_warning(f'{name} is {value}, which is no file: Fast DDS has its defaults, and '
                         'most pictures between processes are lost', f'unset {name}')
    from gaze_ros.ros.comm import dds_profile
    try:
        link = dds_profile.link()
    except GazeRosError as e:
        return found.add_error(str(e), f'unset {dds_profile.LINK}')
    found.add_fact('link', f'{link} ({dds_profile.LINK})')
    used = dds_profile.configure()
    profile = next((p for n in dds_profile.PROFILES if (p := os.environ.get(n))), '')
    found.add_fact('profile', profile if used or profile else "the middleware's own")
    return found


def _discovery(found: Report) -> None:
    reach = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')
    network = os.environ.get('GAZE_ROS_LINK') == 'network'
    if reach and reach not in _RANGES:
        found.add_warning(f'ROS_AUTOMATIC_DISCOVERY_RANGE is {reach}, none of {", ".join(_RANGES)}',
                     'export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST, or SUBNET')
    elif reach == 'OFF' and not os.environ.get('ROS_STATIC_PEERS'):
        found.add_warning('ROS_AUTOMATIC_DISCOVERY_RANGE is OFF: nodes find nobody',
                     'export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST')
    elif reach == 'LOCALHOST' and network and not os.environ.get('ROS_STATIC_PEERS'):
        found.add_warning('the link is network, and nodes look for others on this machine only',
                     'export ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET, or ROS_STATIC_PEERS=ADDRESS')
    if os.environ.get('ROS_LOCALHOST_ONLY') == '1':
        found.add_warning('ROS_LOCALHOST_ONLY is deprecated, and overrules '
                     'ROS_AUTOMATIC_DISCOVERY_RANGE', 'unset ROS_LOCALHOST_ONLY; export '
                     'ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST')
    domain = os.environ.get('ROS_DOMAIN_ID', '')
    if domain and not (domain.isdecimal() and int(domain) <= 232):
        found.add_error(f'ROS_DOMAIN_ID is {domain}; 0 to 232 was expected', 'export ROS_DOMAIN_ID=0')
    elif domain and int(domain) > _DOMAINS:
        found.add_warning(f'ROS_DOMAIN_ID {domain} uses ports that Linux gives to any program',
                     f'take one up to {_DOMAINS}')


def middleware() -> Report:
    """Tell which middleware is used, and send a message through it."""
    from ament_index_python import get_packages_with_prefixes, get_resources
    found = Report()
    packages = get_packages_with_prefixes()
    there = sorted({*get_resources('rmw_typesupport')} - {'rmw_implementation'})
    found.add_fact('middlewares', ', '.join(there) or 'none')
    wanted = os.environ.get('RMW_IMPLEMENTATION', '')
    if wanted and wanted not in there:
        found.add_error(f'RMW_IMPLEMENTATION is {wanted}, which is not installed',
                   f'unset RMW_IMPLEMENTATION, or apt install '
                   f'ros-$ROS_DISTRO-{wanted.replace("_", "-")}')
    for name, use in (('launch_ros', 'ros2 launch'), ('hri_msgs', 'humans:=true')):
        found.add_fact(name, packages.get(name, f'not there ({use} needs it)'))
    if not found.problems:
        try:
            _message(found)
        except ImportError:
            raise
        except Exception as e:  # rclpy's are of many kinds
            found.add_error(f'no node can be started: {type(e).__name__}: {e}',
                       'correct what is told of ROS; else unset RMW_IMPLEMENTATION and '
                       'ROS_SECURITY_ENABLE')
    return found


def _message(found: Report) -> None:
    """Send a message to itself."""
    from gaze_ros.ros.comm import dds_profile
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions
    from std_msgs.msg import Header
    dds_profile.configure()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    found.add_fact('RMW', rclpy.get_rmw_implementation_identifier())
    node = rclpy.create_node(f'gaze_ros_doctor_{os.getpid()}')
    name, heard = '~/message', []
    node.create_subscription(Header, name, heard.append, 1)
    publisher = node.create_publisher(Header, name, 1)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    until = time.monotonic() + 5
    while not heard and time.monotonic() < until:
        publisher.publish(Header())
        executor.spin_once(timeout_sec=0.1)
    if heard:
        found.add_fact('a message', 'arrives')
    else:
        found.add_error('a message that a node sends to itself does not arrive',
                   'gaze_ros doctor --reclaim; unset RMW_IMPLEMENTATION and ROS_SECURITY_ENABLE')
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()


def messages() -> Report:
    """See whether this package's messages can be used."""
    found = Report()
    try:
        from gaze_ros.msg import Attention, GazeArray
        for kind in (GazeArray, Attention):
            kind.__class__.__import_type_support__()
            if kind.__class__._TYPE_SUPPORT is None:
                raise ImportError('their C libraries do not load', name='gaze_ros.msg')
    except Exception as e:  # of a library that does not load
        found.add_error(*import_errors.cause_and_remedy(e, 'gaze_ros'))
        return found
    found.add_fact('gaze_ros/msg', 'GazeArray, Gaze, Attention')
    return found


def network() -> Report:
    """Tell what carries messages between machines, and whether multicast comes back."""
    found = Report()
    far = os.environ.get('GAZE_ROS_LINK') == 'network'
    for name in ('rmem_max', 'wmem_max'):
        with suppress(OSError, ValueError):
            size = int(Path('/proc/sys/net/core', name).read_text(encoding='ascii'))
            found.add_fact(f'net.core.{name}', size)
            if far and size < _BUFFER:
                found.add_warning(f'net.core.{name} is {size}: of bursts of pictures packets are lost',
                             f'sudo sysctl -w net.core.{name}={_BUFFER}')
    comes = _multicast()
    found.add_fact('multicast', 'comes back' if not comes else f'does not come back ({comes})')
    if comes and not os.environ.get('ROS_STATIC_PEERS'):
        found.add_warning('multicast does not come back: nodes may not find each other',
                     'sudo ip link set lo multicast on, or export ROS_STATIC_PEERS=127.0.0.1')
    if sys.platform.startswith('linux'):
        synchronized = _synchronized()
        found.add_fact('clock', 'synchronized' if synchronized else 'not known to be synchronized')
        if far and not synchronized:
            found.add_warning('nothing keeps this clock right: ages between machines are wrong',
                         'sudo apt install chrony')
    return found


def _multicast() -> str:
    """Return '' where a datagram to a group comes back to this machine, else why not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(1.0)
        try:
            one.bind(('', 0))
            member = socket.inet_aton(_GROUP) + socket.inet_aton('0.0.0.0')  # noqa: S104
            one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
            one.sendto(b'gaze_ros', (_GROUP, one.getsockname()[1]))
            one.recv(16)
        except OSError as e:
            return str(e)
    return ''


def _synchronized() -> bool:
    """Ask the kernel whether something disciplines the clock; adjtimex(2)."""
    try:
        return ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(1024)) not in (-1, 5)
    except (AttributeError, OSError):
        return False
