"""Turns the statistics and the status of a node into a diagnostic level and message."""
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
import math
from pathlib import Path
import sys
from typing import NamedTuple, Protocol

from gaze_ros.core.diagnostics.stage_stats import DROP_REASONS, StageSnapshot

#: Problems with which a diagnostic message starts, and their meaning.
PROBLEMS = {
    'no images from the camera': 'no image could be read',
    'the camera is slow': 'it delivers less than 90 % of the expected rate',
    'no publisher': 'a subscribed topic has no publisher',
    'no messages': 'the topics have publishers, but no message came for seconds',
    'images are lost': 'images were published and did not arrive',
    'images fail': 'images arrived and could not be processed',
    'not recording': 'the video or bag cannot be written',
    'older than max_age': 'images were dropped because they were too old when their turn came',
    'inference is slow': 'images arrive faster than they are processed; the rest is dropped',
    'display is slow': 'images arrive faster than they are drawn; the rest is dropped',
    'the people node is slow': 'gaze arrives faster than it is processed; the rest is dropped',
    'the recorder is slow': 'messages arrive faster than they are written; the rest is dropped',
    'images come in bursts': 'some images are dropped although the average load is low',
    'results are late': 'the p95 latency exceeds `warn_age`',
    'the rate is low': 'the processed rate is below `warn_rate`',
    'clock offset': 'images arrive before their capture time',
    'stamps do not rise': 'image stamps repeat or step back',
    'stamps of another clock': 'image stamps differ from now by more than a minute',
    'results miss their images': 'results arrive after their image was discarded',
    'calibration unusable': 'camera_info is invalid or belongs to other images',
    'GPU idle': 'the machine has a GPU, but the model runs on the CPU',
    'no viewers': 'annotated images are not shown, saved or subscribed to, so none is drawn',
    'no /clock': '`use_sim_time` is set, but `/clock` has no message',
    'waiting': 'no image yet, no further image, or the node is not active',
}


class Level(IntEnum):
    """The levels of diagnostic_msgs/msg/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


#: From worst to best: a node that waits has no problem.
_ORDER = (Level.ERROR, Level.WARN, Level.STALE, Level.OK)


class CheckResult(NamedTuple):
    """A problem that a check found.

    :ivar problem: a key of :data:`PROBLEMS`.
    :ivar detail: the values, the cause and the remedy.
    """

    level: Level
    problem: str
    detail: str

    def __str__(self) -> str:
        return f'{self.problem}: {self.detail}'


class Thresholds(NamedTuple):
    """Limits of latency and rate; 0 = off. If several are exceeded, the worst level wins.

    :ivar warn_age: p95 latency in seconds above which the level is WARN.
    :ivar error_age: p95 latency in seconds above which the level is ERROR.
    :ivar warn_rate: processed images per second below which the level is WARN.
    :ivar error_rate: processed images per second below which the level is ERROR.
    """

    warn_age: float = 0.5
    error_age: float = 5.0
    warn_rate: float = 0.0
    error_rate: float = 0.0

    def age_level(self, age: float) -> tuple[Level, str]:
        """Return the level of an age in seconds, and a text naming the exceeded limit."""
        if 0 < self.error_age < age:
            return Level.ERROR, f'error_age ({self.error_age:g} s)'
        if 0 < self.warn_age < age:
            return Level.WARN, f'warn_age ({self.warn_age:g} s)'
        return Level.OK, ''

    def rate_level(self, rate: float) -> tuple[Level, str]:
        """Return the level of a rate in Hz, and a text naming the limit it falls below."""
        if rate < self.error_rate:
            return Level.ERROR, f'error_rate ({self.error_rate:g})'
        if rate < self.warn_rate:
            return Level.WARN, f'warn_rate ({self.warn_rate:g})'
        return Level.OK, ''


class DiagnosticSummary(NamedTuple):
    """Level and message of a node: its worst problem, or rate and median age without one.

    :ivar also: the other problems, joined by '; '.
    """

    level: Level
    message: str
    also: str


class NodeStatus(Protocol):
    """State of a node beside its stage statistics; see :mod:`.node_status`."""

    def checks(self, snapshot: StageSnapshot, thresholds: Thresholds) -> Iterator[CheckResult]:
        """Yield every problem, in any order."""

    def key_values(self) -> dict[str, str]:
        """Return the state as diagnostic key-value pairs."""


@dataclass(frozen=True)
class InputTopic:
    """A subscribed topic.

    :ivar topic: its name after remapping.
    :ivar publishers: number of its publishers.
    """

    topic: str
    publishers: int


@dataclass(frozen=True)
class InactiveStatus:
    """Status of a managed node that is not active.

    :ivar configured: whether it is inactive rather than unconfigured.
    :ivar in_transition: whether a lifecycle transition or a parameter change is in progress.
    """

    configured: bool
    in_transition: bool = False

    def checks(self, snapshot: StageSnapshot, thresholds: Thresholds) -> Iterator[CheckResult]:
        """Yield what the node waits for."""
        if self.in_transition:
            yield CheckResult(Level.STALE, 'waiting', 'a state transition is in progress')
            return
        state, next_step = ('inactive', 'activate') if self.configured else (
            'unconfigured', 'configure')
        yield CheckResult(Level.STALE, 'waiting', f'the node is {state}: {next_step} it')

    def key_values(self) -> dict[str, str]:
        """Return no key-value pairs."""
        return {}


@dataclass(frozen=True)
class NoClockStatus:
    """Status of a node with use_sim_time while /clock has no message: images get no stamps.

    :ivar status: the status without regard to the clock.
    """

    status: NodeStatus

    def checks(self, snapshot: StageSnapshot, thresholds: Thresholds) -> Iterator[CheckResult]:
        """Yield the missing clock and all other problems."""
        yield CheckResult(
            Level.WARN, 'no /clock', 'use_sim_time is set, but no message arrived on /clock: play '
            'a bag with --clock, start the simulator, or set use_sim_time to false')
        yield from self.status.checks(snapshot, thresholds)

    def key_values(self) -> dict[str, str]:
        """Return the key-value pairs of the wrapped status."""
        return self.status.key_values()


def summarize(
        snapshot: StageSnapshot, status: NodeStatus, thresholds: Thresholds) -> DiagnosticSummary:
    """Return the diagnostic level and message of a node."""
    results = sorted(
        status.checks(snapshot, thresholds), key=lambda result: _ORDER.index(result.level))
    level = results[0].level if results else Level.OK
    texts = [str(result) for result in results]
    if level is Level.OK:
        age = snapshot.age_percentile(50)
        rate = f'{snapshot.rate:.1f} images/s' + (
            f', {format_ms(age)} old' if math.isfinite(age) else '')
        return DiagnosticSummary(level, '; '.join([rate, *texts]), '')
    return DiagnosticSummary(level, texts[0], '; '.join(texts[1:]))


def key_values(
        snapshot: StageSnapshot, status: NodeStatus, thresholds: Thresholds) -> dict[str, str]:
    """Return statistics, status and thresholds as key-value pairs; unknown numbers are nan."""
    return {
        'period [s]': f'{snapshot.seconds:.1f}',
        'rate [Hz]': f'{snapshot.rate:.2f}',
        'images received [Hz]': f'{snapshot.received_rate:.2f}',
        'work per image [ms]': f'{1e3 * snapshot.work:.1f}',
        'age p50 [ms]': f'{1e3 * snapshot.age_percentile(50):.1f}',
        'age p95 [ms]': f'{1e3 * snapshot.age_percentile(95):.1f}',
        **{f'dropped: {reason}': str(snapshot.dropped.get(reason, 0)) for reason in DROP_REASONS},
        **status.key_values(),
        'warn_age [s]': f'{thresholds.warn_age:g}', 'error_age [s]': f'{thresholds.error_age:g}',
        'warn_rate [Hz]': f'{thresholds.warn_rate:g}',
        'error_rate [Hz]': f'{thresholds.error_rate:g}',
    }


def has_nvidia_gpu() -> bool:
    """Return whether this machine has an NVIDIA GPU; torch is not imported to find out."""
    if Path('/proc/driver/nvidia').exists():
        return True
    cuda = getattr(sys.modules.get('torch'), 'cuda', None)
    return cuda is not None and cuda.is_available()


def format_ms(seconds: float) -> str:
    """Return a time as text, in milliseconds."""
    return f'{1e3 * seconds:.0f} ms'
