"""The three nodes with stages of known length: what the nodes themselves take is what is left.

``python -m gaze_ros.benchmark.stages SETTINGS`` is the child: the real nodes on the real executor
and topics, in one process. The camera, the model and the window are simulated, by sleeping.
SETTINGS is JSON: camera_ms, inference_ms and display_ms.
"""
from collections import deque
from collections.abc import Mapping, Sequence
import json
import os
import sys
from threading import Condition
import time
from typing import Any, Optional

from gaze_ros.benchmark.counting import Counter
from gaze_ros.benchmark.processes import Answer, answer_parent, Children
from gaze_ros.core.system import malloc, native_threads

#: Milliseconds between two pictures of a camera that takes no time: it has one whenever it is
#: asked, and 500 a second is more than any stage takes.
SHORTEST = 2.0

#: Seconds at the start that do not count.
BEGINNING = 2.0

_WIDTH, _HEIGHT = 640, 480

#: Seconds the window waits for a picture, and by that for the end of the process.
_STEP = 0.05


def measure(camera_ms: float, inference_ms: float, display_ms: float, seconds: float) -> Answer:
    """Return the figures of the nodes with stages that take so many milliseconds.

    :param seconds: that count, after :data:`BEGINNING`.
    :raises GazeRosError: with the reason, if the nodes cannot be run.
    """
    settings = {'camera_ms': camera_ms, 'inference_ms': inference_ms, 'display_ms': display_ms}
    with Children() as children:
        children.start(__spec__.name, json.dumps(settings))
        children.wait(lambda answers: answers[0].get('shown'))
        time.sleep(BEGINNING)
        children.mark()
        time.sleep(seconds)
        counted, = children.mark()
    return {**settings, **_summary(settings, counted)}


def _summary(settings: Mapping[str, float], counted: Answer) -> Answer:
    lengths = {name: settings[f'{name}_ms'] for name in ('camera', 'inference', 'display')}
    lengths['camera'] = max(lengths['camera'], SHORTEST)
    slowest = max(lengths, key=lengths.__getitem__)
    rate = 1e3 / lengths[slowest]
    shown, stages = counted['shown'], counted['stages']
    rates = {'computed': _rate(counted['computed']), 'displayed': _rate([t for t, _ in shown])}
    told = {name.lower(): {
        'came': one['came'], 'done': one['done'], 'dropped': one['dropped']}
        for name, one in stages.items()}
    # A source's pictures are not given to the camera, it takes them.
    told['camera']['came'] = told['camera']['done'] + sum(told['camera']['dropped'].values())
    told['window'] = {'came': counted['offered'], 'done': len(shown),
                      'dropped': {'newer': counted['passed']} if counted['passed'] else {}}
    inference, display = settings['inference_ms'], settings['display_ms']
    return {
        'slowest_stage': slowest, 'slowest_per_second': rate,
        **{f'{name}_per_second': value for name, value in rates.items()},
        **{f'{name}_share': value and value / rate for name, value in rates.items()},
        'latency_result_ms': _latency(stages['Inference']['ages'], inference),
        'latency_displayed_ms': _latency([age for _, age in shown], inference + display),
        'stages': told}


def _rate(times: Sequence[float]) -> Optional[float]:
    """Return events a second, from the first to the last: no fraction of one is counted."""
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else None


def _latency(ages: Sequence[float], stages: float) -> Answer:
    """Return percentiles in ms, what the stages take of them, and what the median has more."""
    import numpy as np
    p50, p95 = (1e3 * np.percentile(ages, (50, 95))).tolist() if len(ages) else (None, None)
    return {'p50': p50, 'p95': p95, 'stages': stages,
            'more': None if p50 is None else p50 - stages}


def _sleep_until(deadline: float) -> None:
    """Sleep until a time of time.monotonic(), and no longer for having begun late."""
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(left)


class Pictures:
    """The camera's source: numbered pictures, on a steady clock.

    :ivar taken_at: seconds of time.monotonic() at which each of the newest was delivered.
    """

    rate, count, name = 0.0, 0, 'simulated'

    def __init__(self, camera_ms: float) -> None:
        import numpy as np
        self._period = 1e-3 * max(camera_ms, SHORTEST)
        self._blank = np.zeros((_HEIGHT, _WIDTH, 3), np.uint8)
        self._due = time.monotonic()
        self._number = 0
        self.taken = self._due
        self.taken_at: dict[int, float] = {}

    def read(self) -> Any:
        """Return the next (H, W, 3) uint8 picture when it is due; those missed are gone."""
        self._due += self._period
        behind = time.monotonic() - self._due
        self._due += max(0, behind // self._period) * self._period
        _sleep_until(self._due)
        self._number = self._number % 0xffffff + 1
        bgr = self._blank.copy()
        # In a corner where nothing is drawn.
        bgr[-1, -1] = [*self._number.to_bytes(3, 'little')]
        self.taken = self.taken_at[self._number] = time.monotonic()
        self.taken_at.pop(self._number - 10_000, None)
        return bgr

    def age(self, bgr: Any) -> float:
        """Return how long ago a picture was delivered, in seconds, drawn into or not."""
        number = int.from_bytes(bgr[-1, -1].tobytes(), 'little')
        return time.monotonic() - self.taken_at[number]

    def close(self) -> None:
        """Nothing is held."""


class OneFace:
    """The detector: it finds one face, at no cost."""

    name, min_score = 'simulated', 0.0

    def detect(self, bgr: Any) -> list:
        """Return the one face."""
        from gaze_ros.core.types import Face
        return [Face((260.0, 160.0, 120.0, 160.0), 1.0)]

    def close(self) -> None:
        """Nothing is held."""


class Sleeper:
    """The model: it takes its time without taking the CPU's.

    :ivar ends: seconds of time.monotonic() at which calls ended.
    """

    name, running = 'simulated', 'asleep'

    def __init__(self, inference_ms: float) -> None:
        self._seconds = 1e-3 * inference_ms
        self.ends: deque[float] = deque()

    def estimate(self, bgr: Any, faces: list) -> list:
        """Return the same gaze for every face."""
        from gaze_ros.core.types import Estimate
        _sleep_until(time.monotonic() + self._seconds)
        self.ends.append(time.monotonic())
        return [Estimate(0.1, 0.1, 1.0) for _ in faces]

    def close(self) -> None:
        """Nothing is held."""


class Screen:
    """The window: each picture takes its time to be shown, in the main thread.

    :ivar shown: of each picture, when it was shown and how old it was, seconds.
    :ivar offered: how many pictures were; ``passed``: those that a newer one replaced.
    """

    def __init__(self, display_ms: float, pictures: Pictures) -> None:
        self._seconds = 1e-3 * display_ms
        self._pictures = pictures
        self._condition = Condition()
        self._newest: Any = None
        self.shown: deque[tuple[float, float]] = deque()
        self.offered = self.passed = 0

    def offer(self, bgr: Any) -> None:
        """Leave a (H, W, 3) uint8 picture to be shown next."""
        with self._condition:
            self.offered += 1
            self.passed += self._newest is not None
            self._newest = bgr
            self._condition.notify()

    def step(self) -> bool:
        """Show what was offered; True: nobody closes it."""
        with self._condition:
            if self._newest is None:
                self._condition.wait(_STEP)
            picture, self._newest = self._newest, None
        if picture is not None:
            _sleep_until(time.monotonic() + self._seconds)
            self.shown.append((time.monotonic(), self._pictures.age(picture)))
        return True

    def close(self) -> None:
        """Nothing is held."""


def main() -> None:
    """Run the nodes until stdin ends."""
    given = json.loads(sys.argv[1])
    native_threads.configure()
    malloc.configure()
    from gaze_ros.ros.process.shutdown import Shutdown
    stop, counter = Shutdown(), Counter()
    pictures, sleeper = Pictures(given['camera_ms']), Sleeper(given['inference_ms'])
    screen = Screen(given['display_ms'], pictures)
    before = {'offered': 0, 'passed': 0}

    def count() -> Answer:
        answer = {name: [events.popleft() for _ in range(len(events))]
                  for name, events in (('shown', screen.shown), ('computed', sleeper.ends))}
        for name, value in before.items():
            before[name] = getattr(screen, name)
            answer[name] = before[name] - value
        return {**counter(), **answer}

    answer_parent(count, stop.request)
    # A namespace of its own: nodes that run beside it are not heard.
    sys.argv[1:] = ['--ros-args', '-r', f'__ns:=/stages_{os.getpid()}']
    from gaze_ros.core.pipeline.engine import Engine
    from gaze_ros.ros.nodes import camera_node, gaze_node
    from gaze_ros.ros.process.runtime import run
    camera_node.open_source = lambda *_, **__: pictures
    gaze_node.create_engine = lambda _: Engine(OneFace(), sleeper)

    def prepare(nodes: dict[str, Any]) -> None:
        nodes['visualizer'].window = screen
        counter.add([node.stats for node in nodes.values()])

    code = run(('gaze', 'visualizer', 'camera'), stop, prepare)
    sys.stderr.flush()
    os._exit(code)


if __name__ == '__main__':
    main()
