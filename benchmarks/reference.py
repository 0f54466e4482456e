"""The design of the reference implementation.

Three threads: camera -> queue of 2 -> faces and gaze -> queue of 2 -> display. A full queue drops
the newest image, so every processed image has waited. The detector is RetinaFace where its file is
installed and no other detector is requested. Gaze is estimated by torch from the checkpoint, one
face per call. As in the reference, thread waiting and memory allocation are not tuned.
"""
from collections.abc import Callable, Mapping
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import monotonic
from typing import Any, Optional

from benchmarks.baseline import create_baseline
from gaze_ros.benchmark.listener import Result
from gaze_ros.benchmark.stage_counter import StageCounter
from gaze_ros.core.detectors import create_detector
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.estimators import Settings
from gaze_ros.core.output.drawing import draw
from gaze_ros.core.parameters import Value
from gaze_ros.core.sources import Source
from gaze_ros.core.types import FrameGaze, Gaze
import numpy as np

#: Capacity of the queue between two threads.
QUEUE_SIZE = 2


class Inference:
    """Faces and their gaze in an image, without tracking.

    :param values: of the parameters of the gaze node.
    :param settings: of the gaze model.
    :raises ModelError: if the detector or the model cannot be loaded.
    """

    def __init__(self, values: Mapping[str, Value], settings: Settings) -> None:
        self._detector = create_detector(
            values['detector'], weight=values['detector_weight'], threads=values['threads'],
            min_score=values['min_score'])
        self._max_faces = values['max_faces'] or None
        self.estimator = create_baseline(values['model'], settings)

    @property
    def description(self) -> str:
        """Model, runtime and detector, as ``Engine.description`` has them."""
        return (f'model {self.estimator.name} ({self.estimator.running}), '
                f'faces by {self._detector.name}')

    def __call__(self, image: np.ndarray) -> FrameGaze:
        """Return the gazes of a (H, W, 3) uint8 BGR image, largest face first."""
        height, width = image.shape[:2]
        faces = sorted(self._detector.detect(image), key=lambda f: -f.box[2] * f.box[3])
        faces = faces[:self._max_faces]
        estimates = self.estimator.estimate(image, faces)
        return FrameGaze(width, height, self.estimator.name, [
            Gaze(f'f{i}', face, e.pitch, e.yaw, e.pitch, e.yaw, e.confidence)
            for i, (face, e) in enumerate(zip(faces, estimates), 1)])


def play(source: Source, infer: Callable[[np.ndarray], FrameGaze],
         counter: StageCounter, stop: Event) -> None:
    """Run the three threads until ``stop`` is set; the calling thread displays.

    :param infer: an :class:`Inference`.
    :raises Exception: the exception of a thread; the other threads stop, too.
    """
    camera, inference, display = stages = [
        StageStats(name) for name in ('Camera', 'Inference', 'Display')]
    counter.add(stages)
    images: Queue[tuple[np.ndarray, float]] = Queue(QUEUE_SIZE)
    results: Queue[tuple[np.ndarray, float, FrameGaze]] = Queue(QUEUE_SIZE)
    errors: list[Exception] = []

    def run_camera() -> None:
        while not stop.is_set() and (image := source.read()) is not None:
            captured = source.capture_time
            camera.processed()
            put_or_drop(images, (image, captured), inference)

    def run_inference() -> None:
        while (item := _take(images, stop)) is not None:
            image, captured = item
            start = monotonic()
            frame = infer(image)
            now = monotonic()
            inference.processed(now - captured, now - start)
            counter.add_result(Result(
                now - captured, len(frame.gazes), frame.detection_time, now - start))
            put_or_drop(results, (image, captured, frame), display)

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as e:
            errors.append(e)
        stop.set()

    threads = [Thread(target=guarded, args=(work,), name=name, daemon=True)
               for name, work in (('camera', run_camera), ('gaze', run_inference))]
    for thread in threads:
        thread.start()
    while (item := _take(results, stop)) is not None:
        image, captured, frame = item
        start = monotonic()
        draw(image, frame, display.rate.recent, start - captured)
        now = monotonic()
        display.processed(now - captured, now - start)
    for thread in threads:
        thread.join(1)
    if errors:
        raise errors[0]


def put_or_drop(queue: Queue, item: Any, stage: StageStats) -> None:
    """Put an item into the queue of a stage; drop it if the queue is full."""
    stage.received()
    try:
        queue.put_nowait(item)
    except Full:
        stage.dropped('full')


def _take(queue: Queue, stop: Event) -> Optional[Any]:
    """Return the oldest item; None once ``stop`` is set."""
    while not stop.is_set():
        try:
            return queue.get(timeout=0.1)
        except Empty:
            pass
    return None
