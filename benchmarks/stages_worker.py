"""Child process of ``stages``: ``python -m benchmarks.stages_worker SETTINGS``.

It runs the real nodes on the real executor and topics, in one process. Camera, model and window
are simulated by sleeping. SETTINGS is JSON with camera_ms, inference_ms and display_ms.
"""
from collections import deque
import json
import os
import sys
from threading import Condition
import time
from typing import Any

from gaze_ros.benchmark.child_processes import Answer, answer_parent
from gaze_ros.benchmark.stage_counter import StageCounter
from gaze_ros.core.system import malloc, native_threads

_WIDTH, _HEIGHT = 640, 480

#: Maximum time that the window waits for an image, s; it delays the end of the process.
_WINDOW_TIMEOUT = 0.05


def _sleep_until(deadline: float) -> None:
    """Sleep until a time of time.monotonic()."""
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(left)


class SimulatedSource:
    """Source of the camera node: numbered images at a fixed frame rate.

    :param period_ms: frame period.
    :ivar capture_time: of the newest image, s of time.monotonic().
    """

    rate, count, loop, name = 0.0, 0, False, 'simulated'

    def __init__(self, period_ms: float) -> None:
        import numpy as np
        self._period = 1e-3 * period_ms
        self._blank = np.zeros((_HEIGHT, _WIDTH, 3), np.uint8)
        self._due = time.monotonic()
        self._number = 0
        self._capture_times: dict[int, float] = {}
        self.capture_time = self._due

    def grab(self) -> bool:
        """Wait for the next image; missed images are skipped."""
        self._due += self._period
        behind = time.monotonic() - self._due
        self._due += max(0, behind // self._period) * self._period
        _sleep_until(self._due)
        self.capture_time = time.monotonic()
        return True

    def retrieve(self) -> Any:
        """Return the grabbed (H, W, 3) uint8 image."""
        self._number = self._number % 0xffffff + 1
        image = self._blank.copy()
        # The number is in a corner where nothing is drawn.
        image[-1, -1] = [*self._number.to_bytes(3, 'little')]
        self._capture_times[self._number] = self.capture_time
        self._capture_times.pop(self._number - 10_000, None)
        return image

    def age(self, image: Any) -> float:
        """Return the time since the capture of an image, s; the image may be drawn into."""
        number = int.from_bytes(image[-1, -1].tobytes(), 'little')
        return time.monotonic() - self._capture_times[number]

    def close(self) -> None:
        """Do nothing: no resource is held."""


class SimulatedDetector:
    """Detector that finds one face without any work."""

    name, min_score = 'simulated', 0.0

    def detect(self, image: Any) -> list:
        """Return one face."""
        from gaze_ros.core.types import Face
        return [Face((260.0, 160.0, 120.0, 160.0), 1.0)]

    def close(self) -> None:
        """Do nothing: no resource is held."""


class SimulatedEstimator:
    """Gaze model that sleeps instead of computing.

    :ivar ends: time.monotonic() of the end of each call, s.
    """

    name, running = 'simulated', 'asleep'

    def __init__(self, inference_ms: float) -> None:
        self._seconds = 1e-3 * inference_ms
        self.ends: deque[float] = deque()

    def estimate(self, image: Any, faces: list) -> list:
        """Return the same gaze for every face."""
        from gaze_ros.core.types import Estimate
        _sleep_until(time.monotonic() + self._seconds)
        self.ends.append(time.monotonic())
        return [Estimate(0.1, 0.1, 1.0) for _ in faces]

    def close(self) -> None:
        """Do nothing: no resource is held."""


class SimulatedWindow:
    """Window that sleeps in the main thread while it shows an image.

    :ivar shown: (time.monotonic(), age) of each shown image, s.
    :ivar offered: number of images passed to :meth:`show`.
    :ivar replaced: number of images that a newer one replaced before they were shown.
    """

    def __init__(self, display_ms: float, source: SimulatedSource) -> None:
        self._seconds = 1e-3 * display_ms
        self._source = source
        self._condition = Condition()
        self._newest: Any = None
        self.shown: deque[tuple[float, float]] = deque()
        self.offered = self.replaced = 0

    def show(self, image: Any) -> None:
        """Set the (H, W, 3) uint8 image that is shown next."""
        with self._condition:
            self.offered += 1
            self.replaced += self._newest is not None
            self._newest = image
            self._condition.notify()

    def poll(self) -> bool:
        """Show the newest image; return True: the window stays open."""
        with self._condition:
            if self._newest is None:
                self._condition.wait(_WINDOW_TIMEOUT)
            image, self._newest = self._newest, None
        if image is not None:
            _sleep_until(time.monotonic() + self._seconds)
            self.shown.append((time.monotonic(), self._source.age(image)))
        return True

    def close(self) -> None:
        """Do nothing: no resource is held."""


def main() -> None:
    """Run the nodes until stdin is closed."""
    settings = json.loads(sys.argv[1])
    native_threads.configure()
    malloc.configure()
    from gaze_ros.ros.process.shutdown import Shutdown
    stop, counter = Shutdown(), StageCounter()
    source = SimulatedSource(settings['camera_ms'])
    estimator = SimulatedEstimator(settings['inference_ms'])
    window = SimulatedWindow(settings['display_ms'], source)
    before = {'offered': 0, 'replaced': 0}

    def count() -> Answer:
        answer = {name: [events.popleft() for _ in range(len(events))]
                  for name, events in (('shown', window.shown), ('computed', estimator.ends))}
        for name, value in before.items():
            before[name] = getattr(window, name)
            answer[name] = before[name] - value
        return {**counter(), **answer}

    answer_parent(count, stop.request)
    # A namespace of its own: other nodes of the domain are not received.
    sys.argv[1:] = ['--ros-args', '-r', f'__ns:=/stages_{os.getpid()}']
    from gaze_ros.core.pipeline.engine import Engine
    from gaze_ros.ros.nodes import camera_node, gaze_node
    from gaze_ros.ros.process.runtime import run
    camera_node.open_source = lambda *_, **__: source
    gaze_node.create_engine = lambda _: Engine(SimulatedDetector(), estimator)

    def prepare(nodes: dict[str, Any]) -> None:
        nodes['visualizer'].window = window
        counter.add([node.stats for node in nodes.values()])

    code = run(('gaze', 'visualizer', 'camera'), stop, prepare)
    sys.stderr.flush()
    os._exit(code)


if __name__ == '__main__':
    main()
