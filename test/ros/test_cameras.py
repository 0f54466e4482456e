"""Two cameras, as cameras:=front,rear starts them: two pipelines in one domain."""
from pathlib import Path

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from gaze_ros.core.sources.sample import Sample
from gaze_ros.msg import GazeArray
from gaze_ros.ros.launch.parsing import overriding_parameter_file
from gaze_ros.ros.launch.pipeline import ARGUMENTS
from gaze_ros.ros.launch.pipeline import programs as programs_of
from helpers.processes import running, wait_until
import pytest
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

SIZES = {'front': (640, 480), 'rear': (480, 360)}
FRAMES = {'front': 'front_camera_optical', 'rear': 'rear_camera_optical'}


@pytest.fixture
def programs(tmp_path):
    """Return the arguments after --ros-args for each camera, as the launch file passes them."""
    sources = []
    for name, size in SIZES.items():
        sources.append(str(tmp_path / f'{name}.png'))
        cv2.imwrite(sources[-1], cv2.resize(Sample().read(), size))
    given = {name: default for name, (default, _) in ARGUMENTS.items()}
    # A rate that two models and two cameras reach on two cores.
    given.update(cameras='front,rear', source=','.join(sources), loop='true')
    text = Path(given['params_file']).read_text()
    arguments = {}
    for program in programs_of(given):
        path = tmp_path / f'{program.namespace}.yaml'
        path.write_text(overriding_parameter_file({**program.parameters, 'rate': 5.0}, text))
        arguments[program.namespace] = (
            '-r', f'__ns:=/{program.namespace}', '--params-file', given['params_file'],
            '--params-file', str(path))
    return arguments


def stamp(message):
    return message.header.stamp.sec, message.header.stamp.nanosec


def test_two_pipelines_in_one_domain_do_not_mix(listener, programs):
    images, gazes, infos = {}, {}, {}
    for name in SIZES:
        images[name] = listener.subscribe(Image, f'/{name}/camera/image_raw', lambda m: (
            stamp(m), m.header.frame_id, (m.width, m.height)))
        infos[name] = listener.subscribe(
            CameraInfo, f'/{name}/camera/camera_info', lambda m: m.header.frame_id)
        gazes[name] = listener.subscribe(GazeArray, f'/{name}/gaze', lambda m: (
            stamp(m), m.header.frame_id, (m.image_width, m.image_height),
            [g.track_id for g in m.gazes]))
    frames = listener.subscribe(TFMessage, '/tf', lambda m: [
        (t.header.frame_id, t.child_frame_id) for t in m.transforms])
    statuses = listener.subscribe(DiagnosticArray, '/diagnostics', lambda m: m.status[0].name)

    with running('pipeline', more=programs['front']):
        with running('pipeline', more=programs['rear']):
            wait_until(lambda: all(len(gazes[n]) > 15 for n in SIZES), 60, 'gaze of both')
            wait_until(lambda: len(set(statuses)) >= 8, 10, 'diagnostics of all nodes')
        count = len(gazes['front'])
        wait_until(lambda: len(gazes['front']) > count + 5, 10, 'gaze of the remaining pipeline')

    captured = {name: {s for s, _, _ in images[name]} for name in SIZES}
    assert not captured['front'] & captured['rear']
    for name, other in (('front', 'rear'), ('rear', 'front')):
        assert {f for _, f, _ in images[name]} == set(infos[name]) == {FRAMES[name]}
        assert {size for _, _, size in images[name]} == {SIZES[name]}
        assert {(f, size) for _, f, size, _ in gazes[name]} == {(FRAMES[name], SIZES[name])}
        stamps = {s for s, _, _, _ in gazes[name]}
        assert stamps & captured[name]
        assert not stamps & captured[other]
        ids = {track for *_, tracks in gazes[name] for track in tracks}
        assert ids
        assert all(track.startswith(f'{name}_f') for track in ids)
        assert {f'{name}/{node}' for node in ('camera', 'gaze', 'people', 'visualizer')} == {
            status.partition(':')[0] for status in statuses if status.startswith(name)}

    parents = {}
    for parent, child in (pair for message in frames for pair in message):
        parents.setdefault(child, set()).add(parent)
    assert all(len(p) == 1 for p in parents.values()), parents
    for name in SIZES:
        own = {child for child, (parent,) in parents.items() if parent == FRAMES[name]}
        assert own
        assert all(f'_{name}_f' in child for child in own), own
