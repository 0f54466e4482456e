"""The ways to run the same work, each measured from outside."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import json
import math
import time
from typing import Any, Optional

from gaze_ros.benchmark.listening import Listener
from gaze_ros.benchmark.processes import Answer, Children
from gaze_ros.benchmark.usage import Usage
import numpy as np

#: Name of each way: the roles of :mod:`gaze_ros.benchmark.workers`, a process each.
WAYS = {
    'sequential': ('sequential',),
    'reference': ('reference',),
    'pipeline': ('pipeline',),
    'processes': ('gaze', 'visualizer', 'camera'),
}

#: Those that publish their results, which are then taken where they arrive: in this process.
OF_NODES = ('pipeline', 'processes')

STAGES = ('Camera', 'Inference', 'Display')

#: Seconds between two marks: stages keep the ages of 3600 pictures.
_PART = 10.0

#: Seconds between two looks at the memory.
_STEP = 0.5


@dataclass
class Run:
    """What was measured of a way; runs of one way add up.

    :ivar seconds: of wall clock.
    :ivar results: how many there were.
    :ivar latencies: seconds from capture to result: in this process for nodes, else in theirs.
    :ivar computed: seconds from capture to result, in the process that computed it.
    :ivar displayed: seconds from capture to the picture drawn.
    :ivar dropped: pictures, by the stage they did not get through.
    :ivar lost: pictures of the camera that never came to the inference.
    :ivar busy: core seconds.
    :ivar peak: bytes.
    :ivar faces: in all results together.
    :ivar running: what did the work, in words.
    """

    seconds: float = 0.0
    results: int = 0
    latencies: list[float] = field(default_factory=list)
    computed: list[float] = field(default_factory=list)
    displayed: list[float] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    lost: int = 0
    busy: float = 0.0
    peak: int = 0
    faces: int = 0
    running: str = ''

    def add(self, answers: Sequence[Answer], heard: Optional[list[tuple[float, int]]]) -> None:
        """Add what children counted between two marks, and what was heard meanwhile."""
        stages: dict[str, Any] = {}
        for answer in answers:
            stages |= answer['stages']
            self.running = answer.get('running', self.running)
        for name in STAGES:
            self.dropped[name] += sum(stages[name]['dropped'].values())
        inference = stages['Inference']
        self.computed += inference['ages']
        self.displayed += stages['Display']['ages']
        self.lost += stages['Camera']['done'] - inference['came']
        if heard is None:
            self.latencies += inference['ages']
            self.results += inference['done']
            self.faces += sum(answer['faces'] for answer in answers)
        else:
            self.latencies += [age for age, _ in heard]
            self.results += len(heard)
            self.faces += sum(faces for _, faces in heard)

    def pool(self, other: 'Run') -> None:
        """Add another run of this way."""
        for name in ('seconds', 'results', 'latencies', 'computed', 'displayed', 'lost', 'busy',
                     'faces'):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, count in other.dropped.items():
            self.dropped[name] += count
        self.peak = max(self.peak, other.peak)
        self.running = other.running

    def figures(self) -> dict[str, Any]:
        """Return the figures as JSON has them; null where there was nothing to measure."""
        return {
            'fps': round(self.results / self.seconds, 2) if self.seconds else 0.0,
            'latency_ms': percentiles(self.latencies),
            'displayed_ms': percentiles(self.displayed),
            'computed_ms': percentiles(self.computed),
            'dropped': {name.lower(): count for name, count in self.dropped.items()},
            'lost': max(0, self.lost),
            'cpu': round(self.busy / self.seconds, 2) if self.seconds else 0.0,
            'peak_mb': round(self.peak / 1e6, 1),
            'faces': round(self.faces / self.results, 2) if self.results else 0.0,
            'running': self.running}


def percentiles(ages: Sequence[float]) -> dict[str, Optional[float]]:
    """Return p50, p95 and p99 of seconds, in milliseconds; None where there are none."""
    names = (50, 95, 99)
    if not ages:
        return {f'p{n}': None for n in names}
    return {f'p{n}': round(1e3 * float(v), 2) for n, v in zip(names, np.percentile(ages, names))}


def measure(way: str, settings: Mapping[str, Any], seconds: float, warm_up: float,
            listener: Optional[Listener]) -> Run:
    """Return what one way does in so many seconds.

    :param way: one of :data:`WAYS`.
    :param settings: as :mod:`gaze_ros.benchmark.workers` takes them.
    :param warm_up: seconds after the first result that do not count.
    :param listener: needed for those of :data:`OF_NODES`.
    :raises GazeRosError: if a process cannot begin, in its words, or has no result in 2 minutes.
    """
    listener = listener if way in OF_NODES else None
    run, heard = Run(), False
    if listener:
        listener.take()

    def ready(answers: list[Answer]) -> bool:
        nonlocal heard
        if listener:
            heard = heard or bool(listener.take())
        else:
            heard = heard or any(
                answer['stages'].get('Inference', {}).get('done') for answer in answers)
        return heard

    with Children() as children:
        for role in WAYS[way]:
            children.start('gaze_ros.benchmark.workers', role, json.dumps(settings))
        children.wait(ready)
        time.sleep(warm_up)
        children.mark()
        if listener:
            listener.take()
        start = time.monotonic()
        usage = Usage(children.pids)
        for part in _parts(seconds):
            _watch(usage, part)
            run.add(children.mark(), listener.take() if listener else None)
        run.seconds = time.monotonic() - start
        run.busy = run.seconds * usage.cores()
        run.peak = usage.peak
    return run


def _parts(seconds: float) -> list[float]:
    """Return equal parts of at most 10 s."""
    count = max(1, math.ceil(seconds / _PART))
    return [seconds / count] * count


def _watch(usage: Usage, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(_STEP, left))
        usage.sample()
