"""Each program of examples/ beside the pipeline on the built-in sample."""
from contextlib import contextmanager
import csv
import re
import signal
import subprocess
import sys

from gaze_ros.msg import Attention
from gaze_ros.ros.comm import topics
from geometry_msgs.msg import Point
from helpers.processes import ROOT, running, wait_until
import pytest
from std_msgs.msg import Header

EXAMPLES = ROOT / 'examples'


@pytest.fixture(scope='module', autouse=True)
def pipeline(ros):
    pytest.importorskip('skimage')
    with running('pipeline', 'source:=sample', f'targets_file:={EXAMPLES}/table.yaml') as one:
        yield one


@contextmanager
def example(name, folder, *arguments):
    """Run an example; yield a function that returns what it has printed."""
    output = folder / 'output'
    with open(output, 'w') as file:
        process = subprocess.Popen([sys.executable, str(EXAMPLES / f'{name}.py'), *arguments],
                                   cwd=folder, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield output.read_text
        process.send_signal(signal.SIGINT)
        # Not its exit code: rclpy may raise if the signal comes while it takes a message.
        process.wait(20)
    finally:
        process.kill()
        process.wait()


def test_programs_are_short():
    for path in EXAMPLES.glob('*.py'):
        assert 20 <= len(path.read_text().splitlines()) <= 60, path


# Any number of a face: on a busy machine it moves too far from one image to the next.
@pytest.mark.parametrize(('name', 'line'), [
    ('print_gaze', r'f\d+ at 0\.'), ('react_to_attention', r'f\d+'),
    ('objects_on_table', r'f\d+ looks at')])
def test_example_prints(name, line, tmp_path):
    with example(name, tmp_path) as printed:
        wait_until(lambda: re.search(line, printed()), 60, f'{line} of {name}')
        assert 'Traceback' not in printed()


def test_log_to_csv_has_a_row_for_each_gaze(tmp_path):
    path = tmp_path / 'log.csv'
    with example('log_to_csv', tmp_path, str(path)):
        wait_until(lambda: path.exists() and len(path.read_text().splitlines()) > 5, 60, 'rows')
    with open(path, newline='') as file:
        rows = [*csv.DictReader(file)]
    assert all(re.fullmatch(r'f\d+', row['track_id']) for row in rows)
    stamps = [float(row['stamp_s']) for row in rows]
    assert stamps == sorted(set(stamps))
    assert all(abs(float(row['yaw_rad'])) < 1.6 and 0.2 < float(row['z_m']) < 3 for row in rows)


def test_object_on_the_table_is_told_with_its_place(listener, tmp_path):
    """Beside the events of the pipeline, whose person looks at the camera."""
    events = listener.node.create_publisher(
        Attention, 'gaze/attention', topics.reliable_qos(50, transient_local=True))
    for probability in (0.9, 0.5):
        events.publish(Attention(
            header=Header(frame_id='table'), track_id='f7', target=Attention.OBJECT,
            target_id='cup', point=Point(x=0.1, y=0.2, z=0.3), probability=probability))
    with example('objects_on_table', tmp_path) as printed:
        wait_until(lambda: printed().count('f7') == 2, 60, 'both events')
    assert 'f7 looks at the cup (90%) at 0.10, 0.20, 0.30 m in table: I bring it' in printed()
    assert '(50%) at 0.10, 0.20, 0.30 m in table: do you want it?' in printed()
