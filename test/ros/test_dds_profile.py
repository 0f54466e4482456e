import os
import re
import subprocess
import sys
from types import SimpleNamespace

from gaze_ros.ros.comm import dds_profile, topics
from helpers.processes import Process
import pytest
from rclpy.qos import ReliabilityPolicy


@pytest.fixture
def clean(monkeypatch, tmp_path):
    for name in ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE',
                 'FASTDDS_BUILTIN_TRANSPORTS', 'RMW_IMPLEMENTATION', 'GAZE_ROS_LINK',
                 'GAZE_ROS_PORT_OFFSET', 'GAZE_ROS_SEGMENT_SIZE'):
        # Set first, so that monkeypatch also restores what configure() changes.
        monkeypatch.setenv(name, '')
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.mark.parametrize('version,name,other', [
    ('9.3.3', 'FASTDDS', 'FASTRTPS'), ('8.4.3', 'FASTRTPS', 'FASTDDS'),
    ('6.2.7', 'FASTRTPS', 'FASTDDS'), ('', 'FASTDDS', 'FASTRTPS')])
def test_package_profile_is_used_unless_the_user_chose_one(
        clean, tmp_path, version, name, other):
    (tmp_path / 'package.xml').write_text(f'<package><version>{version}</version></package>')
    clean.setattr(dds_profile, 'get_package_share_directory', lambda _: str(tmp_path))
    assert dds_profile.configure()
    assert not os.environ[f'{other}_DEFAULT_PROFILES_FILE']
    path = os.environ[f'{name}_DEFAULT_PROFILES_FILE']
    with open(path, encoding='utf-8') as file:
        variables = re.findall(r'\$\{(\w+)\}', file.read())
    assert all(os.environ[variable] for variable in variables)
    # Fast DDS 2.6 does not replace variables.
    assert bool(variables) is not version.startswith('6.')
    assert dds_profile.configure()  # what it has set is not the user's choice


@pytest.mark.parametrize('free,size,profile', [
    ((1 << 30) // 4096, 67108864, 'fastdds.xml'), (64 << 20 >> 12, 16777216, 'fastdds_small.xml'),
    (None, 16777216, 'fastdds_small.xml')])
def test_segments_are_as_large_as_shared_memory_allows(clean, free, size, profile):
    def statvfs(path):
        assert str(path) == '/dev/shm'
        if free is None:
            raise FileNotFoundError(path)
        return SimpleNamespace(f_bavail=free, f_frsize=4096)

    clean.setattr(dds_profile.os, 'statvfs', statvfs)
    assert dds_profile.configure()
    assert os.environ['GAZE_ROS_SEGMENT_SIZE'] == str(size)
    foreign = dds_profile.foreign_profile()
    assert foreign.name == profile
    assert f'<segment_size>{size}</segment_size>' in foreign.read_text(encoding='utf-8')


def test_profile_set_for_the_whole_shell_is_not_a_choice(clean):
    command = dds_profile.foreign_command()
    name, path = command.removeprefix('export ').split('=')
    clean.setenv(name, path)
    assert dds_profile.configure()
    assert os.environ[name] != path


#: Prints its port offset, and the ports that it listens on.
PORTS = """
from contextlib import suppress
import os
from gaze_ros.ros.comm import dds_profile
import rclpy
assert dds_profile.configure()
print(os.environ['GAZE_ROS_PORT_OFFSET'])
rclpy.init()
node = rclpy.create_node('ports')
sockets = set()
for name in os.listdir('/proc/self/fd'):
    with suppress(OSError):
        sockets.add(os.readlink(f'/proc/self/fd/{name}'))
for line in list(open('/proc/self/net/udp'))[1:]:
    words = line.split()
    if f'socket:[{words[9]}]' in sockets:
        print(int(words[1].partition(':')[2], 16))
"""


@pytest.mark.skipif(not os.path.exists('/proc/self/net/udp'), reason='needs Linux')
def test_restarted_process_has_other_ports(clean):
    domain = int(os.environ.get('ROS_DOMAIN_ID') or 0)
    offsets = set()
    for _ in range(4):
        done = subprocess.run([sys.executable, '-c', PORTS], capture_output=True, text=True)
        offset, *ports = map(int, done.stdout.split())
        offsets.add(offset)
        # Twice the participant id is added; ports in use are skipped.
        first = 7400 + 250 * domain + offset
        assert set(range(first, first + 100, 2)) & set(ports), done
    assert len(offsets) > 1  # fails once in 64,000 runs


@pytest.mark.parametrize('version,name,words', [
    ('9.3.3', 'FASTDDS', '<nack_supression_duration>'),
    ('8.4.3', 'FASTRTPS', '<nackSupressionDuration>')])
def test_network_datagrams_fit_into_a_packet(clean, tmp_path, version, name, words):
    (tmp_path / 'package.xml').write_text(f'<package><version>{version}</version></package>')
    clean.setattr(dds_profile, 'get_package_share_directory', lambda _: str(tmp_path))
    clean.setenv('GAZE_ROS_LINK', 'network')
    assert dds_profile.configure()
    with open(os.environ[f'{name}_DEFAULT_PROFILES_FILE'], encoding='utf-8') as file:
        text = file.read()
    assert '<maxMessageSize>1232</maxMessageSize>' in text
    assert words in text  # Fast DDS ignores the whole file for one unknown element


def test_network_link_is_reliable_unless_overridden(clean):
    qos = topics.default_qos()
    assert (qos.reliability, qos.depth) == (ReliabilityPolicy.BEST_EFFORT, 2)
    clean.setenv('GAZE_ROS_LINK', 'network')
    qos = topics.default_qos()
    assert (qos.reliability, qos.depth) == (ReliabilityPolicy.RELIABLE, 10)


def test_invalid_link_ends_a_node_with_one_line(clean):
    process = Process('camera_node', 'source:=sample', env={'GAZE_ROS_LINK': 'wifi'})
    assert process.end() == 1
    assert ("environment variable GAZE_ROS_LINK is 'wifi'; expected local or network"
            in process.text)
    assert 'Traceback' not in process.text


@pytest.mark.parametrize('name,value', [
    ('FASTDDS_DEFAULT_PROFILES_FILE', '/mine.xml'), ('FASTRTPS_DEFAULT_PROFILES_FILE', '/my.xml'),
    ('FASTDDS_BUILTIN_TRANSPORTS', 'LARGE_DATA'), ('RMW_IMPLEMENTATION', 'rmw_cyclonedds_cpp')])
def test_user_settings_are_kept(clean, name, value):
    clean.setenv('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp')
    clean.setenv(name, value)
    before = dict(os.environ)
    assert not dds_profile.configure()
    assert dict(os.environ) == before


@pytest.mark.parametrize('name', [
    'DEFAULT_FASTDDS_PROFILES.xml', 'DEFAULT_FASTRTPS_PROFILES.xml'])
def test_profile_in_the_working_folder_is_kept(clean, tmp_path, name):
    clean.setenv('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp')
    (tmp_path / name).write_text('<dds/>')
    assert not dds_profile.configure()
    assert not os.environ['FASTDDS_DEFAULT_PROFILES_FILE']
