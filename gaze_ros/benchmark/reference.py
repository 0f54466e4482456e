"""The design of the reference implementation, to compare with.

Three threads: camera -> queue of 2 -> faces, gaze -> queue of 2 -> display. A queue that is full
drops the newest picture, so what is worked on has waited. Faces by RetinaFace, where its file is
here and no other detector is asked for; gaze by torch from the checkpoint, one face a call, each
prepared by itself. Nothing is set of how threads wait and memory is kept, as there.
"""
from collections.abc import Callable, Mapping
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import monotonic
from typing import Any, Optional

from gaze_ros.benchmark.counting import Counter
from gaze_ros.benchmark.one_by_one import create_one_by_one
from gaze_ros.core.detectors import create_detector
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.estimators import Settings
from gaze_ros.core.output.drawing import draw
from gaze_ros.core.parameters import Value
from gaze_ros.core.sources import Source
from gaze_ros.core.sources.pacing import Pacer
from gaze_ros.core.types import FrameGaze, Gaze
import numpy as np

#: What waits between two threads, at most.
QUEUE = 2

Look = Callable[[np.ndarray], FrameGaze]


class Looker:
    """Faces and their gaze in a picture, without tracks: calling it is the reference's inference.

    :param values: of the parameters of the gaze node.
    :raises ModelError: if the detector or the model cannot be loaded.
    """

    def __init__(self, values: Mapping[str, Value], settings: Settings) -> None:
        self._detector = create_detector(
            values['detector'], weight=values['detector_weight'], threads=values['threads'],
            min_score=values['min_score'])
        self._most = values['max_faces'] or None
        self.estimator = create_one_by_one(values['model'], settings)

    @property
    def description(self) -> str:
        """What does the work, as ``Engine.description`` has it."""
        return (f'model {self.estimator.name} ({self.estimator.running}), '
                f'faces by {self._detector.name}')

    def __call__(self, bgr: np.ndarray) -> FrameGaze:
        """Return the gazes of a (H, W, 3) uint8 BGR picture, largest face first."""
        height, width = bgr.shape[:2]
        faces = sorted(self._detector.detect(bgr), key=lambda f: -f.box[2] * f.box[3])[:self._most]
        estimates = self.estimator.estimate(bgr, faces)
        return FrameGaze(width, height, self.estimator.name, [
            Gaze(f'f{i}', face, e.pitch, e.yaw, e.pitch, e.yaw, e.confidence)
            for i, (face, e) in enumerate(zip(faces, estimates), 1)])


def play(source: Source, rate: float, look: Look, counter: Counter, stop: Event) -> None:
    """Run the three threads until asked to stop; the calling one is the display's.

    :param rate: pictures a second.
    :raises Exception: what a thread failed with; the others end, too.
    """
    camera, inference, display = stages = [
        StageStats(name) for name in ('Camera', 'Inference', 'Display')]
    counter.add(stages)
    pictures: Queue[tuple[np.ndarray, float]] = Queue(QUEUE)
    results: Queue[tuple[np.ndarray, float, FrameGaze]] = Queue(QUEUE)
    errors: list[Exception] = []

    def film() -> None:
        pacer = Pacer(rate)
        while (picture := source.read()) is not None and pacer.wait(stop):
            taken = monotonic()
            camera.processed()
            put_or_drop(pictures, (picture, taken), inference)

    def infer() -> None:
        while (item := _take(pictures, stop)) is not None:
            picture, taken = item
            start = monotonic()
            frame = look(picture)
            now = monotonic()
            inference.processed(now - taken, now - start)
            counter.saw(len(frame.gazes))
            put_or_drop(results, (picture, taken, frame), display)

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as e:
            errors.append(e)
        stop.set()

    threads = [Thread(target=guarded, args=(work,), daemon=True) for work in (film, infer)]
    for thread in threads:
        thread.start()
    while (item := _take(results, stop)) is not None:
        picture, taken, frame = item
        start = monotonic()
        draw(picture, frame, display.rate.recent, start - taken)
        now = monotonic()
        display.processed(now - taken, now - start)
    for thread in threads:
        thread.join(1)
    if errors:
        raise errors[0]


def put_or_drop(queue: Queue, item: Any, stage: StageStats) -> None:
    """Give a stage an item; where its queue is full, the item is lost: the newest goes."""
    stage.received()
    try:
        queue.put_nowait(item)
    except Full:
        stage.dropped('full')


def _take(queue: Queue, stop: Event) -> Optional[Any]:
    """Return the oldest item, or None once asked to stop."""
    while not stop.is_set():
        try:
            return queue.get(timeout=0.1)
        except Empty:
            pass
    return None
