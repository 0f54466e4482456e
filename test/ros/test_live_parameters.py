"""Every parameter, changed while the pipeline runs; and the services of the nodes."""
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
import re
import shutil
import time

import cv2
from gaze_ros.core.parameters import COMMON, NODES
from gaze_ros.core.tracking.gaze_calibration import GazeCorrection, save_correction
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm.conversions import image_to_bgr, seconds
from helpers.processes import Process, running, save_sample, wait_until, wait_until_quiet
from helpers.ros_client import (
    call_service,
    get_state,
    Listener,
    request_transitions,
    set_parameters,
)
import numpy as np
import pytest
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger

CALIBRATION = """
image_width: 640
image_height: 480
camera_name: test
distortion_model: plumb_bob
camera_matrix: {rows: 3, cols: 3, data: [555, 0, 320, 0, 555, 240, 0, 0, 1]}
distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}
projection_matrix: {rows: 3, cols: 4, data: [555, 0, 320, 0, 0, 555, 240, 0, 0, 0, 1, 0]}
"""
#: Parameters of the people node, and diagnostics thresholds, have tests of their own.
OWN = {(node, spec.name): spec for node in ('camera', 'gaze', 'visualizer')
       for spec in NODES[node] if spec.name == 'autostart' or spec not in COMMON}

#: Parameters that the pipeline is started with.
STARTED_WITH = {'source': 'sample', 'model': 'mobileone_s0', 'detector': 'yunet'}


class Pipeline:
    """A running pipeline, and what it publishes."""

    def __init__(self, process, listener, folder, shared):
        self.process, self.listener, self.folder, self.shared = process, listener, folder, shared
        self.gazes = listener.subscribe(GazeArray, '/gaze')
        self.images = listener.subscribe(Image, '/camera/image_raw', lambda m: (
            m.header.frame_id, m.width, m.height))
        self.infos = listener.subscribe(CameraInfo, '/camera/camera_info', lambda m: m.k[0])

    def set_parameters(self, node, **values):
        reason = set_parameters(self.listener, node, **values)
        assert not reason, reason

    def refused(self, node, **values):
        reason = set_parameters(self.listener, node, **values)
        assert reason, f'{values} was accepted'
        return reason

    def until(self, condition, what):
        """Wait until a new gaze meets a condition."""
        before = len(self.gazes)
        wait_until(lambda: len(self.gazes) > before and self.gazes[-1].gazes and condition(
            self.gazes[-1].gazes[0]), 20, what)

    def loads(self, words, **values):
        """Set parameters that load a model; wait until it works, and restore the values."""
        before = {name: OWN['gaze', name].default for name in values}
        before |= {'model': 'mobileone_s0'} if 'model' in values else {}
        lines = len(self.process.lines)
        self.set_parameters('gaze', **values)
        wait_until(lambda: any(words in line for line in self.process.lines[lines:]), 20, words)
        self.until(lambda _: True, 'gaze by it')
        self.set_parameters('gaze', **before)


@pytest.fixture(scope='module')
def pipeline(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp('live')
    listener = Listener('test_live')
    env = {'GAZE_ROS_MODELS': str(shared / 'models')}
    with running('pipeline', *(f'{name}:={value}' for name, value in STARTED_WITH.items()),
                 env=env) as process:
        one = Pipeline(process, listener, folder, shared)
        wait_until(lambda: one.gazes and one.gazes[-1].gazes, 60, 'gaze')
        yield one
    listener.close()


def changes_direction(p, **values):
    """Set parameters that change the gaze of the same face, and restore them."""
    p.set_parameters('gaze', smoothing_time=0.0)
    wait_until(lambda: p.gazes[-1].gazes, 20, 'gaze')
    before = np.mean([(g.gazes[0].raw_pitch, g.gazes[0].raw_yaw) for g in p.gazes[-9:]], axis=0)
    p.set_parameters('gaze', **values)
    p.until(lambda g: np.abs(np.array([g.raw_pitch, g.raw_yaw]) - before).max() > 0.03, 'another')
    p.set_parameters('gaze', smoothing_time=0.2,
                     **{name: OWN['gaze', name].default for name in values})


def source(p):
    clip = save_sample(p.folder / 'clip.avi', 'MJPG', 20.0, 30)
    p.set_parameters('camera', source=str(clip))
    p.process.wait_for(f"source '{clip}' is at its end after 30 frames", 20)
    assert 'is not a file, folder' in p.refused('camera', source='/nowhere.mp4')
    p.set_parameters('camera', source='sample')
    before = len(p.images)
    wait_until(lambda: len(p.images) > before + 5, 20, 'the sample again')


def rate(p):
    p.set_parameters('camera', rate=0.01)
    wait_until_quiet(p.images, 0.5)
    before = len(p.images)
    p.set_parameters('camera', rate=0.0)  # at once, not after the 100 s
    wait_until(lambda: len(p.images) > before + 5, 20, 'images again')


def loop(p):
    clip = save_sample(p.folder / 'short.avi', 'MJPG', 20.0, 5)
    p.set_parameters('camera', source=str(clip))
    wait_until(lambda: p.process.text.count(f"'{clip}' is at its end") == 1, 20, 'its end')
    before = len(p.images)
    p.set_parameters('camera', loop=True)
    wait_until(lambda: len(p.images) > before + 9, 20, 'the clip again and again')
    p.set_parameters('camera', loop=False)
    wait_until(lambda: p.process.text.count(f"'{clip}' is at its end") == 2, 20, 'its end')
    p.set_parameters('camera', source='sample')


def frame_id(p):
    p.set_parameters('camera', frame_id='left')
    wait_until(lambda: p.images[-1][0] == 'left', 20, 'the frame')
    p.set_parameters('camera', frame_id='camera_optical')


def camera_info_url(p):
    path = p.folder / 'camera.yaml'
    path.write_text(CALIBRATION)
    p.set_parameters('camera', camera_info_url=str(path))
    wait_until(lambda: p.infos[-1] == 555, 20, 'the calibration')
    assert '/nowhere.yaml' in p.refused('camera', camera_info_url='/nowhere.yaml')
    assert p.infos[-1] == 555
    p.set_parameters('camera', camera_info_url='')
    wait_until(lambda: p.infos[-1] == 0, 20, 'no calibration')


def rotate(p):
    for value, size in ((90, (480, 640)), ('180', (640, 480)), ('0', (640, 480))):
        p.set_parameters('camera', rotate=value)
        wait_until(partial(lambda size: p.images[-1][1:] == size, size), 20, f'rotated by {value}')
    assert "rotate '45' is not one of" in p.refused('camera', rotate=45)
    p.set_parameters('camera', rotate='auto')
    p.process.wait_for('rotate auto: 0 (', 30)
    p.set_parameters('camera', rotate='0')


def wait_for_subscribers(p):
    process = Process('camera_node', f"source:={save_sample(p.folder / 'w.avi', 'MJPG', 20.0, 5)}",
                      'wait_for_subscribers:=100', 'exit_on_end:=true',
                      more=('-r', '__node:=waits', '-r', 'camera/image_raw:=waits/image_raw'))
    assert get_state(p.listener, 'waits') == 'active'
    time.sleep(0.5)
    assert 'at its end' not in process.text
    assert set_parameters(p.listener, 'waits', wait_for_subscribers=0) == ''
    assert process.end(10) == 0, process.text
    assert 'starting anyway' not in process.text


def exit_on_end(p):
    process = Process('camera_node', f"source:={save_sample(p.folder / 'e.avi', 'MJPG', 20.0, 5)}",
                      'wait_for_subscribers:=0', more=('-r', '__node:=ends'))
    process.wait_for('is at its end')
    time.sleep(1.2)
    assert process.running
    assert set_parameters(p.listener, 'ends', exit_on_end=True) == ''
    assert process.end() == 0, process.text


def compresses_more(p, node, topic):
    sizes = p.listener.subscribe(CompressedImage, topic, lambda m: len(m.data))
    wait_until(lambda: sizes, 20, 'a compressed image')
    p.set_parameters(node, jpeg_quality=5)
    wait_until(lambda: sizes[-1] < 0.5 * sizes[0], 20, 'smaller images')
    p.set_parameters(node, jpeg_quality=90)


def transport(p, node):
    def subscribed():
        return {i.node_name for i in p.listener.node.get_subscriptions_info_by_topic(
            '/camera/image_raw/compressed')}

    assert node not in subscribed()
    p.set_parameters(node, image_transport='compressed')
    wait_until(lambda: node in subscribed(), 20, 'the subscription')
    p.until(lambda _: True, 'gaze')
    p.set_parameters(node, image_transport='raw')
    wait_until(lambda: node not in subscribed(), 20, 'no such subscription')
    p.until(lambda _: True, 'gaze')


def detector_weight(p):
    assert '/nowhere.onnx' in p.refused('gaze', detector_weight='/nowhere.onnx')
    weight = next((p.shared / 'models').glob('face_detection_yunet*.onnx'))
    p.loads('faces by yunet', detector_weight=str(weight))


def detector(p):
    p.set_parameters('gaze', detector='mediapipe')
    p.process.wait_for('faces by mediapipe')
    p.until(lambda _: True, 'faces by it')
    p.set_parameters('gaze', detector='yunet')


def detector_size(p):
    assert '1000 is not one of: 0, 320' in p.refused('gaze', detector_size=1000).replace("'", '')
    p.set_parameters('gaze', detector_size=1280)
    p.until(lambda _: True, 'faces in larger images')
    p.set_parameters('gaze', detector_size=0)


def changes(p, name, value, condition):
    p.set_parameters('gaze', **{name: value})
    p.until(condition, f'{name} {value}')
    p.set_parameters('gaze', **{name: OWN['gaze', name].default})


def frame_skip(p):
    p.set_parameters('gaze', frame_skip=100)
    wait_until_quiet(p.gazes, 1.0)
    before = len(p.gazes), len(p.images)
    wait_until(lambda: len(p.images) > before[1] + 9, 20, 'images')
    assert len(p.gazes) <= before[0] + 2
    p.set_parameters('gaze', frame_skip=0)
    p.until(lambda _: True, 'gaze')


def max_age(p):
    p.set_parameters('gaze', max_age=1e-6)
    wait_until_quiet(p.gazes, 0.5)
    p.set_parameters('gaze', max_age=0.0)
    p.until(lambda _: True, 'gaze')


def min_score(p):
    p.set_parameters('gaze', min_score=1.0)
    wait_until(lambda: not p.gazes[-1].gazes, 20, 'no face above a score of 1')
    p.set_parameters('gaze', min_score=0.65)


def track_prefix(p):
    p.set_parameters('gaze', track_prefix='cam2')
    assert '2x' in p.refused('gaze', track_prefix='2x')
    trigger(p, '/gaze/reset_tracks')
    p.until(lambda g: g.track_id.startswith('cam2_'), 'the prefix')
    p.set_parameters('gaze', track_prefix='f')
    trigger(p, '/gaze/reset_tracks')


def interpupillary_distance(p):
    before = p.gazes[-1].gazes[0].origin.z
    changes(p, 'interpupillary_distance', 0.08, lambda g: g.origin.z > 1.15 * before)


def horizontal_fov(p):
    before = p.gazes[-1].gazes[0].origin.z
    changes(p, 'horizontal_fov', 2.5, lambda g: g.origin.z < 0.5 * before)


def gaze_calibration_file(p):
    before = p.gazes[-1].gazes[0].raw_yaw
    path = save_correction(
        p.folder / 'user.yaml', GazeCorrection('mobileone_s0', False, 0.0, 0.5))
    p.set_parameters('gaze', gaze_calibration_file=str(path))
    p.until(lambda g: abs(g.raw_yaw - before - 0.5) < 0.1, 'the corrected gaze')
    save_correction(path.with_name('other.yaml'), GazeCorrection('adas', False, 0.0, 0.5))
    p.set_parameters('gaze', gaze_calibration_file=str(path.with_name('other.yaml')))
    p.process.wait_for('is for model adas and is not used with mobileone_s0')
    p.until(lambda g: abs(g.raw_yaw - before) < 0.1, 'the gaze as it was')
    assert "gaze_calibration_file '/proc/nowhere/user.yaml' cannot be read" in p.refused(
        'gaze', gaze_calibration_file='/proc/nowhere/user.yaml')
    p.set_parameters('gaze', gaze_calibration_file='')


def queue_depth(p, node, stage):
    from diagnostic_msgs.msg import DiagnosticArray

    def depth(message):
        return next((v.value for s in message.status for v in s.values
                     if s.name == f'{node}: {stage}' and v.key == 'queue depth'), None)

    heard = p.listener.subscribe(DiagnosticArray, '/diagnostics', depth)
    for value in ('1', '4', 2):  # an integer is accepted as well
        del heard[:]
        p.set_parameters(node, queue_depth=value)
        wait_until(partial(lambda depth: depth in heard, str(value)), 20, f'a queue of {value}')
    p.set_parameters(node, queue_depth='auto')


def parallel(p):
    from diagnostic_msgs.msg import DiagnosticArray

    heard = p.listener.subscribe(DiagnosticArray, '/diagnostics', lambda m: next(
        (v.value for s in m.status for v in s.values
         if s.name == 'gaze: Inference' and v.key == 'parallel'), None))
    first = len(p.gazes)  # before, exit_on_end ran a second camera node
    for value in ('3', '1', 2):
        del heard[:]
        p.set_parameters('gaze', parallel=value)
        wait_until(lambda value=value: f'{value} of {value}' in heard, 30, f'{value} side by side')
        count = len(p.gazes)
        p.until(lambda _, count=count: len(p.gazes) > count + 10, 'gaze')
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in p.gazes[first:]]
    assert all(a < b for a, b in pairwise(stamps))
    p.set_parameters('gaze', parallel='auto')


def output(p):
    first, second = p.folder / 'made' / 'a.mp4', p.folder / 'b.avi'
    assert "'a.gif'" in p.refused('visualizer', output='a.gif')
    p.set_parameters('visualizer', output=str(first))
    wait_until(lambda: first.stat().st_size, 20, 'an image in the video')
    p.set_parameters('visualizer', output=str(second))
    assert cv2.VideoCapture(str(first)).read()[0], 'it plays as soon as the next one starts'
    wait_until(lambda: second.stat().st_size, 20, 'an image in the next one')
    p.set_parameters('visualizer', output='')
    assert cv2.VideoCapture(str(second)).read()[0]
    size = second.stat().st_size
    p.until(lambda _: True, 'gaze')
    assert second.stat().st_size == size


def trigger(p, name):
    answer = call_service(p.listener.node, Trigger, name, Trigger.Request())
    return answer.success, answer.message


def save_snapshot(p):
    """Save a snapshot; return its path."""
    for _ in range(5):  # on a busy machine, no image may come within 2 s
        good, path = trigger(p, '/visualizer/save_snapshot')
        if good or 'within 2 s' not in path:
            break
    assert good, path
    return path


def snapshot_folder(p):
    p.set_parameters('visualizer', snapshot_folder=str(p.folder / 'shots'))

    def has_stamp_of_gaze(path):
        assert Path(path).is_absolute() and Path(path).parent == p.folder / 'shots'
        assert cv2.imread(path).shape == (480, 640, 3)
        _, second, nanosecond = Path(path).stem.split('_')
        with suppress(AssertionError):
            wait_until(lambda: any(
                (g.header.stamp.sec, g.header.stamp.nanosec) == (int(second), int(nanosecond))
                for g in [*p.gazes]), 3, 'the gaze of that stamp')
            return True
        return False

    # A best-effort topic may lose the gaze.
    assert any(has_stamp_of_gaze(save_snapshot(p)) for _ in range(5))
    for wrong in ('/proc/nowhere', '~unknown_user/shots', save_snapshot(p)):
        assert f"snapshot_folder '{wrong}'" in p.refused('visualizer', snapshot_folder=wrong)
    save_snapshot(p)
    # A folder that disappears later is reported as well, and only reported.
    shutil.rmtree(p.folder / 'shots')
    (p.folder / 'shots').touch()
    good, reason = trigger(p, '/visualizer/save_snapshot')
    assert not good and f"snapshot_folder '{p.folder / 'shots'}'" in reason
    p.set_parameters('visualizer', snapshot_folder='')


def keeps_running(name, value):
    """Return a check that gaze continues with a parameter; test_engine.py checks its effect."""
    return lambda p: changes(p, name, value, lambda _: True)


LIVE = {
    ('camera', 'source'): source, ('camera', 'rate'): rate, ('camera', 'loop'): loop,
    ('camera', 'frame_id'): frame_id, ('camera', 'camera_info_url'): camera_info_url,
    ('camera', 'exit_on_end'): exit_on_end, ('camera', 'rotate'): rotate,
    ('camera', 'wait_for_subscribers'): wait_for_subscribers,
    ('camera', 'jpeg_quality'): lambda p: compresses_more(
        p, 'camera', '/camera/image_raw/compressed'),
    ('gaze', 'model'): lambda p: p.loads('model mediapipe (', model='mediapipe'),
    ('gaze', 'weight'): lambda p: p.loads(
        'model mobileone_s0 (', weight=str(p.shared / 'models' / 'mobileone_s0_gaze.onnx')),
    ('gaze', 'dataset'): lambda p: p.loads('model mobileone_s0 (', dataset='gaze360'),
    ('gaze', 'head_order'): lambda p: changes_direction(p, head_order='as_named'),
    ('gaze', 'crop'): lambda p: changes_direction(p, crop='raw'),
    ('gaze', 'crop_scale'): lambda p: changes_direction(p, crop_scale=2.5),
    ('gaze', 'input_size'): lambda p: changes_direction(p, input_size=224),
    ('gaze', 'runtime'): lambda p: p.loads('(onnx, cpu', runtime='onnx'),
    ('gaze', 'device'): lambda p: p.loads(', cpu, ', device='cpu'),
    ('gaze', 'precision'): lambda p: p.loads(', cpu, fp32)', precision='fp32'),
    ('gaze', 'threads'): lambda p: p.loads('model mobileone_s0 (', threads=1),
    ('gaze', 'detector'): detector, ('gaze', 'detector_weight'): detector_weight,
    ('gaze', 'detector_size'): detector_size,
    ('gaze', 'detect_interval'): keeps_running('detect_interval', 10),
    ('gaze', 'max_faces'): keeps_running('max_faces', 1),
    ('gaze', 'min_score'): min_score,
    ('gaze', 'smoothing_time'): lambda p: changes(
        p, 'smoothing_time', 0.0, lambda g: g.yaw == g.raw_yaw),
    ('gaze', 'smoothing_beta'): keeps_running('smoothing_beta', 0.0),
    ('gaze', 'track_timeout'): keeps_running('track_timeout', 5.0),
    ('gaze', 'track_prefix'): track_prefix,
    ('gaze', 'looking_at_camera_angle'): lambda p: changes(
        p, 'looking_at_camera_angle', 3.14, lambda g: g.looking_at_camera),
    ('gaze', 'looking_at_camera_hysteresis'): keeps_running('looking_at_camera_hysteresis', 0.5),
    ('gaze', 'looking_at_camera_dwell'): keeps_running('looking_at_camera_dwell', 0.0),
    ('gaze', 'interpupillary_distance'): interpupillary_distance,
    ('gaze', 'horizontal_fov'): horizontal_fov,
    ('gaze', 'gaze_calibration_file'): gaze_calibration_file,
    ('gaze', 'image_transport'): lambda p: transport(p, 'gaze'),
    ('gaze', 'frame_skip'): frame_skip, ('gaze', 'max_age'): max_age,
    ('gaze', 'queue_depth'): lambda p: queue_depth(p, 'gaze', 'Inference'),
    ('gaze', 'parallel'): parallel,
    ('visualizer', 'output'): output,
    ('visualizer', 'image_transport'): lambda p: transport(p, 'visualizer'),
    ('visualizer', 'jpeg_quality'): lambda p: compresses_more(
        p, 'visualizer', '/gaze/image_annotated/compressed'),
    ('visualizer', 'queue_depth'): lambda p: queue_depth(p, 'visualizer', 'Display'),
    ('visualizer', 'snapshot_folder'): snapshot_folder,
}


@pytest.mark.parametrize('node,name', OWN, ids=[f'{node}.{name}' for node, name in OWN])
def test_each_parameter_changes_live_or_is_rejected(pipeline, node, name):
    spec = OWN[node, name]
    assert spec.live is ((node, name) in LIVE)
    if spec.live:
        try:
            LIVE[node, name](pipeline)
        except AssertionError:  # restore what the next tests expect
            pipeline.set_parameters(node, **{name: STARTED_WITH.get(name, spec.default)})
            raise
        return
    value = not spec.default if isinstance(spec.default, bool) else spec.default + 1
    reason = pipeline.refused(node, **{name: value})
    assert reason == (
        f'{name} cannot be changed while the node is configured; change it after deactivate and '
        f"cleanup ('ros2 lifecycle set /{node} ...')")


def test_gaze_continues_while_a_model_is_loaded_and_after_it_was_rejected(pipeline):
    p = pipeline
    for model in ('adas', 'mobileone_s0'):
        before = len(p.gazes)
        p.set_parameters('gaze', model=model)
        assert len(p.gazes) > before, 'no gaze while the model was loaded'
        p.until(partial(lambda name, _: p.gazes[-1].model == name, model), model)
    names = [g.model for g in p.gazes[before:]]
    assert names == sorted(names, key=['adas', 'mobileone_s0'].index), 'one after the other'
    for wrong in ({'model': 'resnet18'}, {'weight': '/nowhere.onnx'}, {'precision': 'int8'}):
        assert p.refused('gaze', **wrong)
        p.until(lambda _: p.gazes[-1].model == 'mobileone_s0', 'the old model continues')


def test_model_swap_loses_at_most_one_second_of_gaze(pipeline):
    # 0.1 s on an idle machine, 0.7 s beside other work (docs/lifecycle.md). The limit is twice the
    # documented one, for the best of three: a shared machine sometimes stalls for seconds.
    p, steps = pipeline, []

    def swapped(model):
        """Return the longest time between two stamps, in seconds."""
        before = len(p.gazes) - 1
        p.set_parameters('gaze', model=model)
        p.until(lambda _: p.gazes[-1].model == model, model)
        steps.append(np.diff([seconds(g.header.stamp) for g in p.gazes[before:]]).max())
        return steps[-1]

    p.until(lambda _: True, 'gaze')
    assert any(max(swapped('adas'), swapped('mobileone_s0')) < 2.0 for _ in range(3)), steps


def test_model_and_weight_are_applied_together_or_not_at_all(pipeline):
    p = pipeline

    def atomically(**values):
        request = SetParametersAtomically.Request(parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])
        return call_service(p.listener.node, SetParametersAtomically,
                            '/gaze/set_parameters_atomically', request).result

    weight = str(next((p.shared / 'models').rglob('gaze-estimation-adas-0002.xml')))
    assert not atomically(model='adas', weight='/nowhere.xml').successful
    assert not atomically(model='adas', weight=weight, autostart=False).successful
    p.until(lambda _: p.gazes[-1].model == 'mobileone_s0', 'the old model continues')
    answer = atomically(model='adas', weight=weight)
    assert answer.successful, answer.reason
    p.until(lambda _: p.gazes[-1].model == 'adas', 'the other')
    assert atomically(model='mobileone_s0', weight='').successful


def test_reset_tracks_gives_new_ids(pipeline):
    p = pipeline
    p.until(lambda _: True, 'a face')
    given = {g.track_id for m in p.gazes for g in m.gazes}
    success, message = trigger(p, '/gaze/reset_tracks')
    assert success
    # More than one, if the face moved too far from one image to the next.
    assert re.fullmatch(r'tracks reset from the next image on: [1-9]\d*', message)
    p.until(lambda g: g.track_id not in given, 'a new id')


def test_next_engine_does_not_reuse_ids(pipeline):
    p = pipeline
    p.until(lambda _: True, 'a face')
    # deactivate, cleanup, configure, activate
    assert request_transitions(p.listener, 'gaze', 4, 2) == [True, True]
    given = {g.track_id for m in p.gazes for g in m.gazes}
    assert request_transitions(p.listener, 'gaze', 1, 3) == [True, True]
    before = len(p.gazes)
    p.until(lambda _: True, 'a face')
    assert given.isdisjoint(g.track_id for m in p.gazes[before:] for g in m.gazes)


def test_failed_snapshot_gives_the_reason_and_blocks_nothing(pipeline, tmp_path):
    p = pipeline
    p.set_parameters('visualizer', snapshot_folder=str(tmp_path))
    p.set_parameters('camera', rate=0.01)
    wait_until_quiet(p.gazes, 1.0)
    client = p.listener.node.create_client(Trigger, '/visualizer/save_snapshot')
    assert client.wait_for_service(10)
    time.sleep(0.1)

    def blocks_nothing():
        """Return whether other services answer while the request waits for an image."""
        future = client.call_async(Trigger.Request())
        assert get_state(p.listener, 'visualizer') == 'active'
        p.set_parameters('visualizer', jpeg_quality=80)
        waits = not future.done()
        wait_until(future.done, 10, 'an answer')
        assert not future.result().success
        assert 'within 2 s' in future.result().message
        return waits

    assert any(blocks_nothing() for _ in range(5))  # on a busy machine they may take 2 s
    p.set_parameters('camera', rate=0.0)
    assert request_transitions(p.listener, 'visualizer', 4) == [True]
    assert trigger(p, '/visualizer/save_snapshot') == (
        False, 'the node is not active: it draws no images')
    assert request_transitions(p.listener, 'visualizer', 3) == [True]
    path = save_snapshot(p)
    assert list(tmp_path.iterdir()) == [Path(path)]
    p.set_parameters('visualizer', snapshot_folder='')


def test_snapshot_is_the_annotated_image(pipeline, tmp_path):
    p = pipeline
    shown = p.listener.subscribe(Image, '/gaze/image_annotated', lambda m: (
        f'{m.header.stamp.sec}_{m.header.stamp.nanosec:09d}', image_to_bgr(m)))
    wait_until(lambda: shown, 20, 'an annotated image')
    p.set_parameters('visualizer', snapshot_folder=str(tmp_path))
    for _ in range(5):  # a best-effort topic may lose the image
        path = save_snapshot(p)
        time.sleep(0.2)
        if same := [image for name, image in shown if name in path]:
            break
    assert (cv2.imread(path) == same[0]).all()
    p.set_parameters('visualizer', snapshot_folder='')


def test_process_shuts_down_in_order_after_a_model_swap(shared):
    # With the old network, OpenVINO removed the signal stack of the main thread: the next signal
    # ended the process with -11. ``running`` expects 0.
    env = {'GAZE_ROS_MODELS': str(shared / 'models')}
    with running('pipeline', 'source:=sample', 'loop:=true', 'model:=adas', 'detector:=yunet',
                 env=env):
        listener = Listener('test_replaced')
        gazes = listener.subscribe(GazeArray, 'gaze')
        wait_until(lambda: gazes, 30, 'gaze')
        assert not set_parameters(listener, 'gaze', detector='adas-0001')
        gazes.clear()
        wait_until(lambda: len(gazes) > 5, 30, 'gaze of the faces another detector found')
        listener.close()
