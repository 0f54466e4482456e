"""What the nodes of bags know of themselves beside their figures, and the rules they go by."""
from collections.abc import Iterator
from dataclasses import dataclass

from gaze_ros.core import rules
from gaze_ros.core.health import Finding, Input, Level, Limits
from gaze_ros.core.stage import Figures

#: What helps the recorder.
_DISK = 'a faster disk, or images false'


@dataclass(frozen=True)
class ReplayFacts:
    """Of the replay node; the ages are those at which pictures were recorded.

    :ivar bag: its path.
    :ivar failure: why the last picture that failed did, or ''.
    :ivar idle: why it is right that it gives nothing at present, or ''.
    """

    bag: str
    failure: str = ''
    idle: str = ''

    def findings(self, figures: Figures, limits: Limits) -> Iterator[Finding]:
        """Tell all that is the matter."""
        yield from rules.failing(figures, self.failure)
        if self.idle or figures.came <= 0:
            yield Finding(
                Level.STALE, 'waiting', self.idle or 'for the next picture: the bag has none here')
            return
        yield from rules.late(
            figures, limits, 'they were so when they were recorded', 'lower rate')
        yield from rules.too_few(figures, limits, 'the bag has no more: raise rate', 'lower rate')

    def values(self) -> dict[str, str]:
        """Return the facts by name."""
        return {'source': self.bag}


@dataclass(frozen=True)
class RecorderFacts:
    """Of the recorder; its figures count messages, not pictures.

    :ivar inputs: the topic of the gaze.
    :ivar place: what is written to.
    :ivar failure: why nothing is recorded at present, or ''.
    :ivar sim_time: whether the time is that of /clock.
    """

    inputs: tuple[Input, ...]
    place: str
    failure: str = ''
    sim_time: bool = False

    def findings(self, figures: Figures, limits: Limits) -> Iterator[Finding]:
        """Tell all that is the matter."""
        yield from rules.starved(figures, self.inputs)
        if self.failure:
            yield from rules.unsaved(self.failure)
        else:
            yield from rules.failing(figures, 'see its log')
        yield from rules.overloaded(figures, 'the recorder is slow', _DISK)
        yield from rules.late(
            figures, limits, "the lag is the other nodes': see their status; or the disk's",
            _DISK)
        yield from rules.too_few(figures, limits, "see the gaze node's status", _DISK)
        yield from rules.clocks(figures, self.sim_time)

    def values(self) -> dict[str, str]:
        """Return the facts by name."""
        return {'output': self.place}
