"""How a stage of the pipeline fares: its figures and a few facts to a level and a sentence."""
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
import math
from pathlib import Path
import sys
from typing import NamedTuple, Protocol

from gaze_ros.core.diagnostics.stage_stats import DROP_REASONS, StageSnapshot

#: What can be the matter, as the message begins, and what that means.
PROBLEMS = {
    'the camera gives nothing': 'no picture could be read',
    'the camera is slow': 'it gives less than 90 % of the pictures it should',
    'nothing publishes': 'a topic that the node listens to has no publisher',
    'nothing arrives': 'the topics have publishers, but nothing came for seconds',
    'pictures fail': 'they came, and could not be worked on',
    'nothing is recorded': 'the video or the bag cannot be written at present',
    'older than max_age': 'pictures were dropped because their turn came too late',
    'inference is slow': 'pictures come faster than they are worked on; the rest is dropped',
    'display is slow': 'likewise',
    'the people node is slow': 'likewise',
    'the recorder is slow': 'likewise',
    'pictures come in bursts': 'some are dropped, although there is time for all of them',
    'results are late': 'one of 20 is older than `warn_age` when it is done',
    'the rate is low': 'fewer pictures a second are done than `warn_rate`',
    'the clocks differ': 'pictures arrive before they were taken',
    'stamps of another time': 'pictures are more than a minute older or younger than now',
    'results miss their pictures': 'they come after the picture was given up',
    'the calibration cannot be used': 'what is in camera_info is wrong, or of other pictures',
    'a GPU lies idle': 'there is one, and the model runs on the CPU',
    'nobody looks': 'nobody shows, saves or subscribes to annotated pictures: none is drawn',
    'no time': '`use_sim_time` is set, and there is no /clock',
    'waiting': 'there was no picture yet, there will be no more, or the node is not active',
}


class Level(IntEnum):
    """As in diagnostic_msgs/msg/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


#: From bad to good: who waits has no complaint.
_ORDER = (Level.ERROR, Level.WARN, Level.STALE, Level.OK)


class CheckResult(NamedTuple):
    """One thing that is the matter: a level, a key of :data:`MEANINGS`, and what to do."""

    level: Level
    what: str
    detail: str

    def __str__(self) -> str:
        return f'{self.what}: {self.detail}'


class Thresholds(NamedTuple):
    """From where on ages and rates are a matter: 0 for never. The worse level wins.

    :ivar warn_age: seconds, of the 95th percentile of the ages; error_age likewise.
    :ivar warn_rate: pictures a second; error_rate likewise.
    """

    warn_age: float = 0.5
    error_age: float = 5.0
    warn_rate: float = 0.0
    error_rate: float = 0.0

    def age_level(self, age: float) -> tuple[Level, str]:
        """Return the level of an age in seconds, and the limit it is beyond, in words."""
        if 0 < self.error_age < age:
            return Level.ERROR, f'error_age ({self.error_age:g} s)'
        if 0 < self.warn_age < age:
            return Level.WARN, f'warn_age ({self.warn_age:g} s)'
        return Level.OK, ''

    def rate_level(self, rate: float) -> tuple[Level, str]:
        """Return the level of pictures a second, and the limit they are below, in words."""
        if rate < self.error_rate:
            return Level.ERROR, f'error_rate ({self.error_rate:g})'
        if rate < self.warn_rate:
            return Level.WARN, f'warn_rate ({self.warn_rate:g})'
        return Level.OK, ''


class DiagnosticSummary(NamedTuple):
    """How a stage fares: the worst finding's level and sentence, and the sentences of the others.

    Where nothing is the matter the sentence gives the rate and the median age.
    """

    level: Level
    message: str
    also: str


class NodeStatus(Protocol):
    """What is known of a stage beside its figures; see :mod:`.node_status`."""

    def checks(self, figures: StageSnapshot, limits: Thresholds) -> Iterator[CheckResult]:
        """Tell all that is the matter, in any order."""

    def key_values(self) -> dict[str, str]:
        """Return the facts by name."""


@dataclass(frozen=True)
class InputTopic:
    """A topic a stage listens to, as it is called after remapping, and who publishes it."""

    topic: str
    publishers: int


@dataclass(frozen=True)
class InactiveStatus:
    """Of a managed node that does nothing at present.

    :ivar configured: whether it is inactive; else unconfigured.
    :ivar moving: whether it is being moved to another state, or changed.
    """

    configured: bool
    in_transition: bool = False

    def checks(self, figures: StageSnapshot, limits: Thresholds) -> Iterator[CheckResult]:
        """Tell what it waits for."""
        if self.in_transition:
            yield CheckResult(Level.STALE, 'waiting', 'a change of state is under way')
            return
        state, next_step = ('inactive', 'activate') if self.configured else (
            'unconfigured', 'configure')
        yield CheckResult(Level.STALE, 'waiting', f'the node is {state}: {next_step} it')

    def key_values(self) -> dict[str, str]:
        """Return the facts by name."""
        return {}


@dataclass(frozen=True)
class NoClockStatus:
    """Of a node that takes its time from /clock, and none has come: pictures have no stamps.

    :ivar facts: what else is known of it.
    """

    status: NodeStatus

    def checks(self, figures: StageSnapshot, limits: Thresholds) -> Iterator[CheckResult]:
        """Tell all that is the matter."""
        yield CheckResult(
            Level.WARN, 'no time', 'use_sim_time is set, and nothing has come on /clock: play a '
            'bag with --clock, start the simulator, or set use_sim_time to false')
        yield from self.status.checks(figures, limits)

    def key_values(self) -> dict[str, str]:
        """Return the facts by name."""
        return self.status.key_values()


def summarize(figures: StageSnapshot, facts: NodeStatus, limits: Thresholds) -> DiagnosticSummary:
    """Return how a stage fares, for any figures, facts and limits."""
    found = sorted(facts.checks(figures, limits), key=lambda found: _ORDER.index(found.level))
    level = found[0].level if found else Level.OK
    sentences = [str(finding) for finding in found]
    if level is Level.OK:
        age = figures.age_percentile(50)
        words = f'{figures.rate:.1f} pictures/s' + (
            f', {format_ms(age)} old' if math.isfinite(age) else '')
        return DiagnosticSummary(level, '; '.join([words, *sentences]), '')
    return DiagnosticSummary(level, sentences[0], '; '.join(sentences[1:]))


def key_values(figures: StageSnapshot, facts: NodeStatus, limits: Thresholds) -> dict[str, str]:
    """Return figures, facts and limits by name; numbers as such, nan where unknown."""
    return {
        'period [s]': f'{figures.seconds:.1f}',
        'rate [Hz]': f'{figures.rate:.2f}',
        'pictures came [Hz]': f'{figures.received_rate:.2f}',
        'work a picture [ms]': f'{1e3 * figures.work:.1f}',
        'age p50 [ms]': f'{1e3 * figures.age_percentile(50):.1f}',
        'age p95 [ms]': f'{1e3 * figures.age_percentile(95):.1f}',
        **{f'dropped: {why}': str(figures.dropped.get(why, 0)) for why in DROP_REASONS},
        **facts.key_values(),
        'warn_age [s]': f'{limits.warn_age:g}', 'error_age [s]': f'{limits.error_age:g}',
        'warn_rate [Hz]': f'{limits.warn_rate:g}', 'error_rate [Hz]': f'{limits.error_rate:g}',
    }


def has_nvidia_gpu() -> bool:
    """Return whether this machine has an NVIDIA GPU; never imports torch to find out."""
    if Path('/proc/driver/nvidia').exists():
        return True
    cuda = getattr(sys.modules.get('torch'), 'cuda', None)
    return cuda is not None and cuda.is_available()


def format_ms(seconds: float) -> str:
    """Return a time in words."""
    return f'{1e3 * seconds:.0f} ms'
