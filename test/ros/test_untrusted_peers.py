"""What an untrusted peer can do through parameters, and what it receives."""
import os

from diagnostic_msgs.msg import DiagnosticArray
from gaze_ros.core.output import safe_paths
from helpers.processes import Process, running, wait_until
from helpers.ros_client import call_service, set_parameters
import pytest
from rcl_interfaces.msg import Log
from rcl_interfaces.srv import DescribeParameters


@pytest.fixture
def root(tmp_path):
    """Return the output root, next to a folder that must not change."""
    for name in ('root', 'precious'):
        (tmp_path / name).mkdir()
    (tmp_path / 'precious' / 'x.mp4').write_bytes(b'precious')
    (tmp_path / 'root' / 'link.mp4').symlink_to('../precious/x.mp4')
    (tmp_path / 'root' / 'away').symlink_to('../precious')
    return tmp_path / 'root'


def test_peer_cannot_write_outside_the_root(listener, root):
    with running('visualizer_node', env={safe_paths.VARIABLE: str(root)}) as process:
        for path in (root.parent / 'precious' / 'y.mp4', '../y.mp4', root / 'away' / 'y.mp4'):
            reason = set_parameters(listener, 'visualizer', output=str(path))
            assert 'not below $GAZE_ROS_OUTPUT_ROOT' in reason, reason
        assert 'is a link' in set_parameters(listener, 'visualizer', output='link.mp4')
        assert 'GAZE_ROS_OUTPUT_ROOT' in set_parameters(
            listener, 'visualizer', snapshot_folder=str(root.parent / 'shots'))
        assert (
            set_parameters(listener, 'visualizer', output='in/y.mp4', snapshot_folder='shots')
            == ''
        )
        assert (root / 'in' / 'y.mp4').is_file() and (root / 'shots').is_dir()
        assert process.running
    assert sorted(os.listdir(root.parent)) == ['precious', 'root']
    assert (root.parent / 'precious' / 'x.mp4').read_bytes() == b'precious'
    assert os.listdir(root.parent / 'precious') == ['x.mp4']


def test_recorder_writes_below_the_root(root):
    pytest.importorskip('rosbags')
    for output, word in ((f'{root.parent}/bag', 'not below $GAZE_ROS_OUTPUT_ROOT'),
                         ('away/bag', 'not below'), ('link.mp4', 'is a link')):
        process = Process('recorder_node', f'output:={output}', env={
            safe_paths.VARIABLE: str(root)})
        assert process.end(30) == 1 and word in process.text, process.text
    with running('recorder_node', env={safe_paths.VARIABLE: str(root)}) as process:
        process.wait_for('recording')
    assert [n for n in os.listdir(root) if n.startswith('gaze_2')]


def test_symbolic_link_is_rejected_without_a_root(listener, root):
    with running('visualizer_node') as process:
        assert 'is a link' in set_parameters(listener, 'visualizer', output=str(root / 'link.mp4'))
        assert process.running
    assert (root.parent / 'precious' / 'x.mp4').read_bytes() == b'precious'


def test_password_of_a_source_is_never_published(listener):
    """Only the parameter itself has it, for whoever reads the parameter."""
    heard = listener.subscribe(DiagnosticArray, '/diagnostics', str)
    logged = listener.subscribe(Log, '/rosout', str)
    with running('camera_node', 'source:=sample') as process:
        process.wait_for('camera]')
        reason = set_parameters(
            listener, 'camera', source='http://admin:hidden@127.0.0.1:9/a?pwd=veiled')
        assert '127.0.0.1:9' in reason
        described = call_service(listener.node, DescribeParameters, '/camera/describe_parameters',
                                 DescribeParameters.Request(names=['source']))
        wait_until(lambda: heard, 20, 'a status')
    process = Process('camera_node', 'source:=http://admin:hidden@127.0.0.1:9/a?pwd=veiled',
                      'loop:=true')
    wait_until(lambda: '127.0.0.1:9' in process.text, 30, 'that it cannot be opened')
    before = len(heard)
    if process.running:
        wait_until(lambda: len(heard) > before or not process.running, 20, 'a status of it')
        process.send(2)
    process.end()
    for text in (process.text, reason, str(described), *heard, *logged):
        assert not [word for word in ('hidden', 'veiled', 'admin') if word in text], text
