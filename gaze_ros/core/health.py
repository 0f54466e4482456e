"""How a stage of the pipeline fares: its figures and a few facts to a level and a sentence."""
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
import math
from pathlib import Path
import sys
from typing import NamedTuple, Protocol

from gaze_ros.core.stage import DROPS, Figures

#: What can be the matter, as the message begins, and what that means.
MEANINGS = {
    'the camera gives nothing': 'no picture could be read',
    'the camera is slow': 'it gives less than 90 % of the pictures it should',
    'nothing publishes': 'a topic that the node listens to has no publisher',
    'nothing arrives': 'the topics have publishers, but nothing came for seconds',
    'pictures fail': 'they came, and could not be worked on',
    'older than max_age': 'pictures were dropped because their turn came too late',
    'inference is slow': 'pictures come faster than they are worked on; the rest is dropped',
    'display is slow': 'likewise',
    'pictures come in bursts': 'some are dropped, although there is time for all of them',
    'results are late': 'one of 20 is older than half a second when it is done',
    'the clocks differ': 'pictures arrive before they were taken',
    'stamps of another time': 'pictures are more than a minute older or younger than now',
    'results miss their pictures': 'they come after the picture was given up',
    'a GPU lies idle': 'there is one, and the model runs on the CPU',
    'nobody looks': 'nobody shows, saves or subscribes to annotated pictures: none is drawn',
    'waiting': 'there was no picture yet, or there will be no more',
}

#: Share of pictures dropped that is let pass.
_LET_PASS = 0.05
#: Share of the time from one picture to the next above which work leaves none for a hiccup.
_FULL = 0.8
#: Seconds without a picture until that is worth a complaint.
PATIENCE = 3.0
#: Seconds of age until results are late, and until it is no age but another time.
_LATE, _NO_AGE = 0.5, 60.0
#: Seconds a stamp may be in the future. /clock comes in steps, and pictures do between two.
_FUTURE, _SIM_FUTURE = 0.01, 0.2


class Level(IntEnum):
    """As in diagnostic_msgs/msg/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


#: From bad to good: who waits has no complaint.
_ORDER = (Level.ERROR, Level.WARN, Level.STALE, Level.OK)


class Finding(NamedTuple):
    """One thing that is the matter: a level, a key of :data:`MEANINGS`, and what to do."""

    level: Level
    what: str
    detail: str

    def __str__(self) -> str:
        return f'{self.what}: {self.detail}'


class Verdict(NamedTuple):
    """How a stage fares: the worst finding's level and sentence, and the sentences of the others.

    Where nothing is the matter the sentence gives the rate and the median age.
    """

    level: Level
    message: str
    also: str


class Facts(Protocol):
    """What is known of a stage beside its figures; see :mod:`gaze_ros.core.facts`."""

    def findings(self, figures: Figures) -> Iterator[Finding]:
        """Tell all that is the matter, in any order."""

    def values(self) -> dict[str, str]:
        """Return the facts by name."""


@dataclass(frozen=True)
class Input:
    """A topic a stage listens to, as it is called after remapping, and who publishes it."""

    topic: str
    publishers: int


def judge(figures: Figures, facts: Facts) -> Verdict:
    """Return how a stage fares, for any figures and facts."""
    found = sorted(facts.findings(figures), key=lambda finding: _ORDER.index(finding.level))
    level = found[0].level if found else Level.OK
    sentences = [str(finding) for finding in found]
    if level is Level.OK:
        age = figures.age(50)
        words = f'{figures.rate:.1f} pictures/s' + (
            f', {ms(age)} old' if math.isfinite(age) else '')
        return Verdict(level, '; '.join([words, *sentences]), '')
    return Verdict(level, sentences[0], '; '.join(sentences[1:]))


def values(figures: Figures, facts: Facts) -> dict[str, str]:
    """Return figures and facts by name; numbers as such, nan where unknown, always the same."""
    return {
        'period [s]': f'{figures.seconds:.1f}',
        'rate [Hz]': f'{figures.rate:.2f}',
        'pictures came [Hz]': f'{figures.came_rate:.2f}',
        'work a picture [ms]': f'{1e3 * figures.work:.1f}',
        'age p50 [ms]': f'{1e3 * figures.age(50):.1f}',
        'age p95 [ms]': f'{1e3 * figures.age(95):.1f}',
        **{f'dropped: {why}': str(figures.dropped.get(why, 0)) for why in DROPS},
        **facts.values(),
    }


def gpu_present() -> bool:
    """Return whether this machine has an NVIDIA GPU; never imports torch to find out."""
    if Path('/proc/driver/nvidia').exists():
        return True
    cuda = getattr(sys.modules.get('torch'), 'cuda', None)
    return cuda is not None and cuda.is_available()


def ms(seconds: float) -> str:
    """Return a time in words."""
    return f'{1e3 * seconds:.0f} ms'


def starved(figures: Figures, inputs: tuple[Input, ...]) -> Iterator[Finding]:
    """Tell that a stage was given nothing, and why that may be."""
    if figures.came > 0:
        return
    if figures.seconds < PATIENCE:
        yield Finding(Level.STALE, 'waiting', 'for the first picture')
    elif missing := ' and '.join(one.topic for one in inputs if one.publishers < 1):
        yield Finding(
            Level.ERROR, 'nothing publishes',
            f'{missing}; start the node that does (with the same ROS_DOMAIN_ID), or remap the '
            'topic to the one it publishes')
    else:
        heard = ' or '.join(f'{one.topic} ({one.publishers} publishers)' for one in inputs)
        same = ', do results have the stamps of their pictures' if len(inputs) > 1 else ''
        yield Finding(
            Level.ERROR, 'nothing arrives',
            f'on {heard}; does the publisher still run{same}, does shared memory hold two '
            'pictures, and is this no reliable subscription to a best effort publisher')


def failing(figures: Figures, reason: str) -> Iterator[Finding]:
    """Tell of pictures that could not be worked on, and the last reason."""
    failed = figures.dropped.get('failed', 0)
    if failed > 0:
        yield Finding(Level.WARN if figures.done > 0 else Level.ERROR, 'pictures fail',
                      f'{failed} in {figures.seconds:.0f} s; the last: {reason or "unknown"}')


def overloaded(figures: Figures, what: str, advice: str) -> Iterator[Finding]:
    """Tell that pictures are dropped for newer ones.

    :param what: the finding for a stage that is too slow, and what helps then.
    """
    dropped = figures.dropped.get('newer', 0)
    if dropped <= max(1, _LET_PASS * figures.came):
        return
    turns = figures.came_rate - sum(
        figures.dropped.get(why, 0) for why in ('skipped', 'old')) / max(figures.seconds, 1e-9)
    share = f'{dropped} of {figures.came} pictures were dropped'
    if 0 < figures.work * turns < _FULL:
        yield Finding(
            Level.WARN, 'pictures come in bursts',
            f'{share}, though {ms(figures.work)} are enough for each; raise queue_depth, or end '
            'what else takes the processor or the network')
    else:
        took = f', each takes {ms(figures.work)}' if figures.work > 0 else ''
        yield Finding(Level.WARN, what, f'{share}{took}; {advice}')


def late(figures: Figures, outside: str, advice: str = '', queue_depth: int = 0
         ) -> Iterator[Finding]:
    """Tell that results are late, and where the time goes.

    :param outside: what to do where pictures arrive old.
    :param advice: what to do where the work takes long.
    :param queue_depth: pictures that may wait before the work.
    """
    age, work = figures.age(95), max(0.0, figures.work)
    if not _LATE < age <= _NO_AGE:
        return
    if work > age / 2:
        why = f'the work takes {ms(work)}; {advice}'
    elif work * (1 + queue_depth) > age / 2:
        why = f'they wait for their turn; set queue_depth to 1 ({queue_depth} now)'
    else:
        why = f'the work takes {ms(work)}, so pictures arrive old; {outside}'
    yield Finding(Level.WARN, 'results are late', f'95 % are up to {ms(age)} old; {why}')


def clocks(figures: Figures, sim_time: bool) -> Iterator[Finding]:
    """Tell of stamps that are not of this machine's time.

    :param sim_time: whether the time is that of /clock.
    """
    age = figures.age(50)
    if abs(age) > _NO_AGE:
        hours = f'{abs(age) / 3600:.1f} h {"old" if age > 0 else "in the future"}'
        yield Finding(Level.WARN, 'stamps of another time', f'pictures are {hours}; ' + (
            'use_sim_time is set: does /clock come, and is it of the same bag' if sim_time else
            'a bag is played with --clock, and to nodes with use_sim_time'))
    elif age < -(_SIM_FUTURE if sim_time else _FUTURE):
        yield Finding(
            Level.WARN, 'the clocks differ',
            f"pictures are stamped {ms(-age)} in the future; set the camera's and this machine's "
            'clock by each other (chrony, PTP)')
