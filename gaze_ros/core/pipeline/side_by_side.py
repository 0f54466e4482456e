"""Processes the images of a file side by side, with the results in their order."""
from collections.abc import Iterator, Mapping
from itertools import count
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from typing import Any

from gaze_ros.core.parameters import Value
from gaze_ros.core.pipeline.engine import Engine, FINISH
from gaze_ros.core.pipeline.load import most_parallel
from gaze_ros.core.pipeline.ordering import Order
from gaze_ros.core.system.native_threads import share_opencv_threads
from gaze_ros.core.types import FrameGaze
import numpy as np

#: Seconds between two checks for the end of the other side.
_POLL_PERIOD = 0.1


#: Images of a file below which loading a second model takes longer than it saves.
_MIN_IMAGES = 60


def process_file(engine: Engine, images: Iterator[tuple[np.ndarray, float]], count: int,
                 values: Mapping[str, Value]) -> Iterator[tuple[np.ndarray, float, FrameGaze]]:
    """Yield each image of a file, its stamp and its result, in order.

    :param images: yields (H, W, 3) uint8 BGR images with their stamps, seconds.
    :param count: number of images; 0 if unknown.
    :param values: of the parameters; ``parallel`` auto takes all threads, since there is always a
        next image.
    :raises ModelError: if a model cannot be loaded.
    """
    parallel = most_parallel(engine.running, values['threads']) if (
        values['parallel'] == 'auto') else int(values['parallel'])
    if parallel == 1 or values['parallel'] == 'auto' and 0 < count < _MIN_IMAGES:
        for image, stamp in images:
            yield image, stamp, engine.process(image, stamp)
    else:
        engine.load_lanes(parallel, values)
        share_opencv_threads(parallel)
        try:
            yield from SideBySide(engine, images, parallel)
        finally:
            share_opencv_threads(1)


class SideBySide:
    """Iterates over images and their results: (image, stamp, result), in order.

    :param engine: with at least ``threads`` lanes loaded, see :meth:`Engine.load_lanes`.
    :param images: yields (H, W, 3) uint8 BGR images with their stamps, seconds; read by one thread
        at a time. Whatever it raises is raised by the iteration, after the images before it.
    :param threads: number of images in flight.
    """

    def __init__(self, engine: Engine, images: Iterator[tuple[np.ndarray, float]], threads: int
                 ) -> None:
        self._engine = engine
        self._images = images
        self._numbers = count()
        self._order = Order()
        self._reading = Lock()
        self._stopping = Event()
        self._results: Queue[Any] = Queue(threads)
        self._threads = [Thread(target=self._run, args=(lane,), name=f'gaze{lane}', daemon=True)
                         for lane in range(threads)]

    def __iter__(self) -> Iterator[tuple[np.ndarray, float, FrameGaze]]:
        """Start the threads; they end with the iteration."""
        for thread in self._threads:
            thread.start()
        try:
            while True:
                try:
                    result = self._results.get(timeout=_POLL_PERIOD)
                except Empty:
                    if any(thread.is_alive() for thread in self._threads):
                        continue
                    if self._results.empty():
                        return
                    continue
                if isinstance(result, BaseException):
                    raise result
                yield result
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join()

    def _run(self, lane: int) -> None:
        while not self._stopping.is_set():
            with self._reading:
                turn = self._order.turn(next(self._numbers))
                try:
                    image, stamp = next(self._images)
                    error = None
                except BaseException as e:
                    error = e
            try:
                if error is not None:
                    raise error
                self._put((image, stamp, self._engine.process(
                    image, stamp, turn=turn, lane=lane)))
            except StopIteration:
                return
            except BaseException as e:
                turn.enter(FINISH)
                self._put(e)
                self._stopping.set()
            finally:
                turn.finish()

    def _put(self, result: Any) -> None:
        while not self._stopping.is_set():
            try:
                return self._results.put(result, timeout=_POLL_PERIOD)
            except Full:
                pass
