"""The configurations that do the same work, each measured from outside its processes."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import json
import math
import time
from typing import Any, Optional

from gaze_ros.benchmark.child_processes import Answer, Children
from gaze_ros.benchmark.listener import Listener
from gaze_ros.benchmark.resource_usage import ResourceUsage
import numpy as np

STAGES = ('Camera', 'Inference', 'Display')

#: Time between two marks, s: stages keep the ages of 3600 images.
_MARK_PERIOD = 10.0

#: Time between two memory samples, s.
_SAMPLE_PERIOD = 0.5


@dataclass(frozen=True)
class Configuration:
    """Processes that do the work together.

    :ivar roles: one process each, started in this order.
    :ivar publishes: whether the results are published on the topic ``gaze``. They are then
        measured where they arrive: in the parent process.
    :ivar module: run as ``python -m module ROLE SETTINGS``; see
        :mod:`gaze_ros.benchmark.workers`.
    """

    roles: tuple[str, ...]
    publishes: bool = False
    module: str = 'gaze_ros.benchmark.workers'


CONFIGURATIONS = {
    'sequential': Configuration(('sequential',)),
    'pipeline': Configuration(('pipeline',), publishes=True),
    'processes': Configuration(('gaze', 'visualizer', 'camera'), publishes=True),
}


@dataclass
class Run:
    """Measurements of one configuration; further rounds are added.

    :ivar seconds: wall clock time.
    :ivar results: number of results.
    :ivar latencies: seconds from capture to result: to its arrival in the parent process where
        results are published, else to its computation.
    :ivar computed: seconds from capture to result, in the process that computed it.
    :ivar displayed: seconds from capture to the drawn image.
    :ivar dropped: dropped images by stage.
    :ivar lost: images of the camera that never arrived at the inference.
    :ivar busy: CPU time of all cores, s.
    :ivar peak: bytes.
    :ivar faces: sum over all results.
    :ivar running: model, runtime and detector in words.
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

    def add(self, answers: Sequence[Answer], received: Optional[list[tuple[float, int]]]) -> None:
        """Add what the children counted between two marks.

        :param received: (age in s, faces) of the messages that arrived meanwhile; None where
            results are not published.
        """
        stages: dict[str, Any] = {}
        for answer in answers:
            stages |= answer['stages']
            self.running = answer.get('running', self.running)
        for name in STAGES:
            self.dropped[name] += sum(stages[name]['dropped'].values())
        inference = stages['Inference']
        self.computed += inference['ages']
        self.displayed += stages['Display']['ages']
        self.lost += stages['Camera']['processed'] - inference['received']
        if received is None:
            self.latencies += inference['ages']
            self.results += inference['processed']
            self.faces += sum(answer['faces'] for answer in answers)
        else:
            self.latencies += [age for age, _ in received]
            self.results += len(received)
            self.faces += sum(faces for _, faces in received)

    def pool(self, other: 'Run') -> None:
        """Add another run of this configuration."""
        for name in ('seconds', 'results', 'latencies', 'computed', 'displayed', 'lost', 'busy',
                     'faces'):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, count in other.dropped.items():
            self.dropped[name] += count
        self.peak = max(self.peak, other.peak)
        self.running = other.running

    def summary(self) -> dict[str, Any]:
        """Return the values of the JSON output; null where nothing was measured."""
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
    """Return p50, p95 and p99 in ms of values in s; None where there are none."""
    names = (50, 95, 99)
    if not ages:
        return {f'p{n}': None for n in names}
    return {f'p{n}': round(1e3 * float(v), 2) for n, v in zip(names, np.percentile(ages, names))}


def measure(configuration: Configuration, settings: Mapping[str, Any], seconds: float,
            warm_up: float, listener: Optional[Listener]) -> Run:
    """Run a configuration and measure it.

    :param settings: of its workers, see :mod:`gaze_ros.benchmark.workers`.
    :param seconds: measured time.
    :param warm_up: seconds after the first result that are not measured.
    :param listener: required for a configuration that publishes.
    :raises GazeRosError: if a process fails, with its reason, or has no result within 120 s.
    """
    listener = listener if configuration.publishes else None
    run, started = Run(), False
    if listener:
        listener.take()

    def ready(answers: list[Answer]) -> bool:
        nonlocal started
        if listener:
            started = started or bool(listener.take())
        else:
            started = started or any(
                answer['stages'].get('Inference', {}).get('processed') for answer in answers)
        return started

    with Children() as children:
        for role in configuration.roles:
            children.start(configuration.module, role, json.dumps(settings))
        children.wait(ready)
        time.sleep(warm_up)
        children.mark()
        if listener:
            listener.take()
        start = time.monotonic()
        usage = ResourceUsage(children.pids)
        for part in _parts(seconds):
            _sample_for(part, usage)
            run.add(children.mark(), listener.take() if listener else None)
        run.seconds = time.monotonic() - start
        run.busy = run.seconds * usage.cores()
        run.peak = usage.peak
    return run


def _parts(seconds: float) -> list[float]:
    """Split a time into equal parts of at most 10 s."""
    count = max(1, math.ceil(seconds / _MARK_PERIOD))
    return [seconds / count] * count


def _sample_for(seconds: float, usage: ResourceUsage) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(_SAMPLE_PERIOD, left))
        usage.sample()
