"""The design of the reference implementation, as benchmarks compare runs it."""
from queue import Queue
from threading import Event, Thread
import time

from benchmarks.baseline import find_checkpoint, SingleFaceBaseline, TorchBaseline
from benchmarks.reference import Inference, play, put_or_drop
import cv2
from gaze_ros.benchmark.stage_counter import StageCounter
from gaze_ros.core.detectors import create_detector
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.estimators import create_estimator, Settings
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.parameters import GAZE
from gaze_ros.core.types import Estimate, Face, FrameGaze
from helpers.processes import wait_until
import numpy as np
import pytest


class Source:
    """An endless camera of 50 numbered images per second; the third waits for the inference."""

    def __init__(self):
        self.count = 0
        self.first_taken = Event()

    def read(self):
        if self.count == 2:
            self.first_taken.wait(20)
        time.sleep(0.02)
        self.capture_time = time.monotonic()
        self.count += 1
        return np.full((32, 32, 3), self.count % 256, np.uint8)


def test_a_full_queue_drops_the_newest():
    queue, stage = Queue(2), StageStats('Inference')
    for item in range(5):
        put_or_drop(queue, item, stage)
    assert [queue.get_nowait() for _ in range(2)] == [0, 1]
    snapshot = stage.snapshot(type(stage.mark())(0.0))
    assert (snapshot.received, dict(snapshot.dropped)) == (5, {'full': 3})


def test_a_slow_inference_processes_images_that_have_waited():
    processed, stop, counter, source = [], Event(), StageCounter(), Source()

    def infer(image):
        processed.append(int(image[0, 0, 0]))
        source.first_taken.set()
        # As long as four images, which fill the queue however slow the machine is.
        until = source.count + 4
        wait_until(lambda: source.count >= until, 20, 'four images')
        if len(processed) == 8:
            stop.set()
        return FrameGaze(32, 32, 'none', [])

    thread = Thread(target=play, args=(source, infer, counter, stop))
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    stages = counter()['stages']
    assert stages['Inference']['processed'] >= 7
    assert set(stages['Inference']['dropped']) == {'full'}
    # The first three fill the queue; later ones wait behind two others: for at least 7 images,
    # and for 4 more during their own inference.
    assert processed[:3] == [1, 2, 3]
    assert min(stages['Inference']['ages'][3:]) > 0.2
    assert counter()['stages']['Inference']['processed'] == 0  # counted since the last call


def test_a_failing_source_stops_all_threads():
    class Broken:

        def read(self):
            raise OSError('no image')

    start = time.monotonic()
    with pytest.raises(OSError, match='no image'):
        play(Broken(), None, StageCounter(), Event())
    assert time.monotonic() - start < 20


def test_one_face_per_call(monkeypatch):
    calls = []

    class Estimator:
        name, running = 'fake', 'nowhere'

        def estimate(self, image, faces):
            calls.append(len(faces))
            return [Estimate(0.1, 0.2, 1.0) for _ in faces]

        def close(self):
            pass

    monkeypatch.setattr(
        'benchmarks.baseline.create_estimator', lambda *_: Estimator())
    baseline = SingleFaceBaseline('mediapipe', Settings())
    faces = [Face((0, 0, 10, 10), 1.0)] * 3
    assert len(baseline.estimate(np.zeros((20, 20, 3), np.uint8), faces)) == 3
    assert calls == [1, 1, 1]


@pytest.mark.parametrize('model,weight,expected', [
    ('auto', '', None), ('adas', '', None), ('mediapipe', '', None),
    ('mobileone_s0', '/a/model.pt', '/a/model.pt'), ('mobileone_s0', '/a/model.onnx', None)])
def test_only_checkpoints_run_in_torch(model, weight, expected):
    found = find_checkpoint(model, weight)
    assert (found and str(found)) == expected


def test_torch_is_called_once_per_face_with_the_same_result(shared):
    torch = pytest.importorskip('torch')
    path = shared / 'models' / 'mobileone_s0.pt'
    threads = torch.get_num_threads()
    try:
        gaze = TorchBaseline(registry.entry('mobileone_s0'), path, threads=1)
        calls = []
        gaze.network.register_forward_hook(lambda _, inputs, __: calls.append(inputs[0].shape))
        image = cv2.VideoCapture(str(
            shared / 'labelled' / 'four_targets' / 'video.mp4')).read()[1]
        face = create_detector('yunet', weight=str(
            shared / 'models' / 'face_detection_yunet_2026may.onnx')).detect(image)[0]
        outside = Face((-90.0, -90.0, 50.0, 50.0), 1.0)
        first, second, none = gaze.estimate(image, [face, face, outside])
        assert calls == [(1, 3, 448, 448)] * 2
        assert first == second and none.confidence == 0
        ours = create_estimator('mobileone_s0', Settings(
            weight=str(path), runtime='torch', threads=1))
        x, y, w, h = face.clipped(image.shape[1], image.shape[0])
        [expected] = ours.angles([cv2.resize(image[y:y + h, x:x + w], (448, 448))])
        assert (first.pitch, first.yaw) == pytest.approx(expected, abs=1e-3)
    finally:
        torch.set_num_threads(threads)


def test_the_largest_faces_are_kept(monkeypatch):
    class Detector:
        name = 'fake'

        def detect(self, image):
            return [Face((0, 0, side, side), 1.0) for side in (5, 20, 10)]

    class Estimator:
        name, running = 'fake', 'nowhere'

        def estimate(self, image, faces):
            return [Estimate(0.1, 0.2, 1.0) for _ in faces]

    module = 'benchmarks.reference.'
    monkeypatch.setattr(module + 'create_detector', lambda *_, **__: Detector())
    monkeypatch.setattr(module + 'create_baseline', lambda *_: Estimator())
    values = {spec.name: spec.default for spec in GAZE} | {'max_faces': 2}
    infer = Inference(values, Settings())
    frame = infer(np.zeros((20, 20, 3), np.uint8))
    assert [gaze.face.box[2] for gaze in frame.gazes] == [20, 10]
    assert infer.description == 'model fake (nowhere), faces by fake'
