"""The reference implementation's design, as gaze_ros benchmark plays it."""
from queue import Queue
from threading import Event, Thread
import time

import cv2
from gaze_ros.benchmark.counting import Counter
from gaze_ros.benchmark.one_by_one import checkpoint, OneByOne, TorchGaze
from gaze_ros.benchmark.reference import Looker, play, put_or_drop
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.estimators import create_estimator, Settings
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.parameters import GAZE
from gaze_ros.core.types import Estimate, Face, FrameGaze
import numpy as np
import pytest


class Source:
    """Numbered pictures without end."""

    def __init__(self):
        self.count = 0

    def read(self):
        self.count += 1
        return np.full((32, 32, 3), self.count % 256, np.uint8)


def test_a_full_queue_drops_the_newest():
    queue, stage = Queue(2), StageStats('Inference')
    for item in range(5):
        put_or_drop(queue, item, stage)
    assert [queue.get_nowait() for _ in range(2)] == [0, 1]
    figures = stage.snapshot(type(stage.mark())(0.0))
    assert (figures.received, dict(figures.dropped)) == (5, {'full': 3})


def test_a_slow_look_works_on_pictures_that_waited():
    looked, stop, counter = [], Event(), Counter()

    def look(bgr):
        looked.append(int(bgr[0, 0, 0]))
        time.sleep(0.1)
        if len(looked) == 8:
            stop.set()
        return FrameGaze(32, 32, 'none', [])

    thread = Thread(target=play, args=(Source(), 50.0, look, counter, stop))
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    stages = counter()['stages']
    assert stages['Inference']['done'] >= 7
    assert set(stages['Inference']['dropped']) == {'full'}
    # The first three fill the way; later ones wait behind two others.
    assert looked[:3] == [1, 2, 3]
    assert min(stages['Inference']['ages'][3:]) > 0.2
    assert counter()['stages']['Inference']['done'] == 0  # counted from mark to mark


def test_a_source_that_fails_ends_it():
    class Broken:
        def read(self):
            raise OSError('no picture')

    start = time.monotonic()
    with pytest.raises(OSError, match='no picture'):
        play(Broken(), 30.0, None, Counter(), Event())
    assert time.monotonic() - start < 3


def test_one_face_a_call(monkeypatch):
    calls = []

    class Estimator:
        name, running = 'fake', 'nowhere'

        def estimate(self, bgr, faces):
            calls.append(len(faces))
            return [Estimate(0.1, 0.2, 1.0) for _ in faces]

        def close(self):
            pass

    monkeypatch.setattr(
        'gaze_ros.benchmark.one_by_one.create_estimator', lambda *_: Estimator())
    looker = OneByOne('mediapipe', Settings())
    faces = [Face((0, 0, 10, 10), 1.0)] * 3
    assert len(looker.estimate(np.zeros((20, 20, 3), np.uint8), faces)) == 3
    assert calls == [1, 1, 1]


@pytest.mark.parametrize('model,weight,expected', [
    ('auto', '', None), ('adas', '', None), ('mediapipe', '', None),
    ('mobileone_s0', '/a/model.pt', '/a/model.pt'), ('mobileone_s0', '/a/model.onnx', None)])
def test_only_checkpoints_run_in_torch(model, weight, expected):
    found = checkpoint(model, weight)
    assert (found and str(found)) == expected


def test_torch_is_called_once_a_face_and_tells_the_same(shared, four_targets):
    torch = pytest.importorskip('torch')
    path = shared / 'models' / 'mobileone_s0.pt'
    threads = torch.get_num_threads()
    try:
        gaze = TorchGaze(registry.entry('mobileone_s0'), path, threads=1)
        calls = []
        gaze.network.register_forward_hook(lambda _, inputs, __: calls.append(inputs[0].shape))
        picture, face, _ = four_targets[0]
        outside = Face((-90.0, -90.0, 50.0, 50.0), 1.0)
        first, second, none = gaze.estimate(picture, [face, face, outside])
        assert calls == [(1, 3, 448, 448)] * 2
        assert first == second and none.confidence == 0
        ours = create_estimator('mobileone_s0', Settings(
            weight=str(path), runtime='torch', threads=1))
        x, y, w, h = face.clipped(picture.shape[1], picture.shape[0])
        [expected] = ours.angles([cv2.resize(picture[y:y + h, x:x + w], (448, 448))])
        assert (first.pitch, first.yaw) == pytest.approx(expected, abs=1e-3)
    finally:
        torch.set_num_threads(threads)


def test_looking_keeps_the_largest_faces(monkeypatch):
    class Detector:
        name = 'fake'

        def detect(self, bgr):
            return [Face((0, 0, side, side), 1.0) for side in (5, 20, 10)]

    class Estimator:
        name, running = 'fake', 'nowhere'

        def estimate(self, bgr, faces):
            return [Estimate(0.1, 0.2, 1.0) for _ in faces]

    place = 'gaze_ros.benchmark.reference.'
    monkeypatch.setattr(place + 'create_detector', lambda *_, **__: Detector())
    monkeypatch.setattr(place + 'create_one_by_one', lambda *_: Estimator())
    values = {spec.name: spec.default for spec in GAZE} | {'max_faces': 2}
    look = Looker(values, Settings())
    frame = look(np.zeros((20, 20, 3), np.uint8))
    assert [gaze.face.box[2] for gaze in frame.gazes] == [20, 10]
    assert look.description == 'model fake (nowhere), faces by fake'
