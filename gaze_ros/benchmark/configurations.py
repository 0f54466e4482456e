"""The configurations that do the same work, each measured from outside its processes."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import json
import math
import time
from typing import Any, Optional

from gaze_ros.benchmark.child_processes import Answer, Children
from gaze_ros.benchmark.listener import Listener, Result
from gaze_ros.benchmark.resource_usage import ResourceUsage
import numpy as np

STAGES = ('Camera', 'Inference', 'Display')

#: Time between two marks, s: stages keep the ages of 3600 images.
_MARK_PERIOD = 10.0

#: Time between two memory samples, s.
_SAMPLE_PERIOD = 0.5

#: Time after a start, or after models were loaded, until the measurement starts, s.
_SETTLING = 1.0


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
    :ivar detecting: seconds of the threads that process images; estimating and drawing: as well.
    :ivar cpu: CPU seconds by work, see :mod:`gaze_ros.benchmark.thread_times`.
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
    detecting: float = 0.0
    estimating: float = 0.0
    drawing: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    running: str = ''

    def add(self, answers: Sequence[Answer], received: Optional[list[Result]]) -> None:
        """Add what the children counted between two marks.

        :param received: of the messages that arrived meanwhile; None where results are not
            published.
        """
        stages: dict[str, Any] = {}
        for answer in answers:
            stages |= answer['stages']
            self.running = answer.get('running', self.running)
            self._add_cpu(answer['cpu'])
        for name in STAGES:
            self.dropped[name] += sum(stages[name]['dropped'].values())
        inference = stages['Inference']
        self.computed += inference['ages']
        self.displayed += stages['Display']['ages']
        self.lost += stages['Camera']['processed'] - inference['received']
        if received is None:
            received = [Result(*result) for answer in answers for result in answer['results']]
        self.latencies += [result.age for result in received]
        self.results += len(received)
        self.faces += sum(result.faces for result in received)
        self.detecting += sum(result.detecting for result in received)
        self.estimating += sum(result.estimating for result in received)
        if (display := stages['Display'])['processed']:
            self.drawing += display['work'] * display['processed']

    def _add_cpu(self, cpu: Mapping[str, float]) -> None:
        for work, seconds in cpu.items():
            self.cpu[work] = self.cpu.get(work, 0.0) + seconds

    def pool(self, other: 'Run') -> None:
        """Add another run of this configuration."""
        self._add_cpu(other.cpu)
        for name in ('seconds', 'results', 'latencies', 'computed', 'displayed', 'lost', 'busy',
                     'faces', 'detecting', 'estimating', 'drawing'):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, count in other.dropped.items():
            self.dropped[name] += count
        self.peak = max(self.peak, other.peak)
        self.running = other.running

    def _per_result(self, seconds: float) -> Optional[float]:
        return round(1e3 * seconds / self.results, 2) if self.results else None

    def _by_work(self) -> dict[str, float]:
        """Return the CPU seconds by work, those of the threads of images divided.

        They are divided as the time is that each part takes: waiting for the interpreter or for
        a core counts for both.
        """
        cpu, parts = dict(self.cpu), {'detect': self.detecting, 'estimate': self.estimating}
        thread = 'gaze' if 'gaze' in cpu else 'main'
        if thread == 'main':
            parts['draw'] = self.drawing
        if thread in cpu and (total := sum(parts.values())):
            seconds = cpu.pop(thread)
            cpu |= {name: seconds * part / total for name, part in parts.items()}
        return cpu

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
            'core_ms': self._per_result(self.busy),
            'core_ms_by_work': {
                work: self._per_result(seconds)
                for work, seconds in sorted(self._by_work().items(), key=lambda item: -item[1])},
            'peak_mb': round(self.peak / 1e6, 1),
            'faces': round(self.faces / self.results, 2) if self.results else 0.0,
            'running': self.running}


def paired(rounds: Mapping[str, Sequence[Mapping[str, Any]]], base: str = 'sequential'
           ) -> dict[str, Any]:
    """Return ratios to one configuration: the medians over the rounds.

    Other programs disturb a whole round or a single configuration in it; the median of the ratios
    within each round survives both.

    :param rounds: of each configuration, the :meth:`Run.summary` of each round.
    :returns: of each configuration ``fps``, ``latency_p50``, ``latency_p99``, ``cpu`` and
        ``core_ms`` as ratios; empty without the base.
    """
    def value(summary: Mapping[str, Any], name: str) -> Any:
        kind, _, percentile = name.partition('_p')
        return summary['latency_ms'][f'p{percentile}'] if percentile else summary[kind]

    def ratio(name: str, one: Sequence[Mapping[str, Any]]) -> Optional[float]:
        ratios = [value(a, name) / value(b, name) for a, b in zip(one, rounds[base])
                  if value(a, name) is not None and value(b, name)]
        return round(float(np.median(ratios)), 3) if ratios else None

    if base not in rounds:
        return {}
    return {name: {key: ratio(key, one) for key in (
        'fps', 'latency_p50', 'latency_p99', 'cpu', 'core_ms')} for name, one in rounds.items()}


def percentiles(ages: Sequence[float]) -> dict[str, Optional[float]]:
    """Return p50, p95 and p99 in ms of values in s; None where there are none."""
    names = (50, 95, 99)
    if not ages:
        return {f'p{n}': None for n in names}
    return {f'p{n}': round(1e3 * float(v), 2) for n, v in zip(names, np.percentile(ages, names))}


class Session:
    """The processes of a configuration, in a ``with`` block; they play only while measured.

    So several configurations can be measured in turns of few seconds, in which the machine is
    equally fast.

    :param configuration: to be run.
    :param settings: of its workers, see :mod:`gaze_ros.benchmark.workers`.
    :param listener: required if the configuration publishes; its processes join its ROS domain.
    """

    def __init__(self, configuration: Configuration, settings: Mapping[str, Any],
                 listener: Optional[Listener]) -> None:
        self._configuration, self._settings = configuration, settings
        self._listener = listener if configuration.publishes else None
        self._children = Children(self._listener.domain if self._listener else None)

    def __enter__(self) -> 'Session':
        return self

    def __exit__(self, *_: object) -> None:
        self._children.close()

    def start(self, warm_up: float) -> None:
        """Start the processes, play until they are warm, and pause.

        :param warm_up: seconds after the first result; longer while models are being loaded to
            process more images side by side.
        :raises GazeRosError: if a process fails, with its reason, or has no result within 120 s.
        """
        for role in self._configuration.roles:
            self._children.start(self._configuration.module, role, json.dumps(self._settings))
        self._children.wait(self._has_results)
        time.sleep(warm_up)
        if any(answer['loading'] for answer in self._children.mark()):
            self._children.wait(lambda answers: not any(answer['loading'] for answer in answers))
            time.sleep(_SETTLING)
        self._children.play(False)

    def measure(self, seconds: float) -> Run:
        """Play and return what was measured, then pause.

        :param seconds: measured time.
        :raises GazeRosError: if a process fails, with its reason.
        """
        run = Run()
        self._children.play(True)
        time.sleep(_SETTLING)
        self._mark()
        start = time.monotonic()
        usage = ResourceUsage(self._children.pids)
        for part in _parts(seconds):
            _sample_for(part, usage)
            run.add(*self._mark())
        run.seconds = time.monotonic() - start
        run.busy = run.seconds * usage.cores()
        run.peak = usage.peak
        self._children.play(False)
        return run

    def _mark(self) -> tuple[list[Answer], Optional[list[Result]]]:
        """Return what the children counted since the last mark, and the messages received."""
        answers = self._children.mark()
        return answers, self._listener.take() if self._listener else None

    def _has_results(self, answers: list[Answer]) -> bool:
        if self._listener:
            return bool(self._listener.take())
        return any(answer['stages'].get('Inference', {}).get('processed') for answer in answers)


def _parts(seconds: float) -> list[float]:
    """Split a time into equal parts of at most 10 s."""
    count = max(1, math.ceil(seconds / _MARK_PERIOD))
    return [seconds / count] * count


def _sample_for(seconds: float, usage: ResourceUsage) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(_SAMPLE_PERIOD, left))
        usage.sample()
