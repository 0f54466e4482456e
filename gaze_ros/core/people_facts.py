"""What the people node knows of itself beside its figures, and the rules that go by it."""
from collections.abc import Iterator
from dataclasses import dataclass

from gaze_ros.core import rules
from gaze_ros.core.health import Finding, Input, Limits
from gaze_ros.core.stage import Figures

_FASTER = 'lower max_faces of the gaze node, or unsubscribe from gaze/markers'


@dataclass(frozen=True)
class PeopleFacts:
    """Of the people node.

    :ivar inputs: the topics of gaze, and of images where they are listened to.
    :ivar people: present now.
    :ivar events: of attention, so far.
    :ivar tf: whether frames are broadcast.
    :ivar listeners: to the markers.
    :ivar humans: whether /humans is published.
    :ivar queue_depth: results that may wait at present.
    :ivar failure: why the last one that failed did, or ''.
    :ivar sim_time: whether the time is that of /clock.
    """

    inputs: tuple[Input, ...]
    people: int = 0
    events: int = 0
    tf: bool = True
    listeners: int = 0
    humans: bool = False
    queue_depth: int = 1
    failure: str = ''
    sim_time: bool = False

    def findings(self, figures: Figures, limits: Limits) -> Iterator[Finding]:
        """Tell all that is the matter."""
        yield from rules.starved(figures, self.inputs)
        yield from rules.failing(figures, self.failure)
        yield from rules.overloaded(figures, 'the people node is slow', _FASTER)
        yield from rules.late(
            figures, limits, "the lag is the gaze node's: see its status", _FASTER,
            self.queue_depth)
        yield from rules.too_few(figures, limits, "see the gaze node's status", _FASTER)
        yield from rules.clocks(figures, self.sim_time)

    def values(self) -> dict[str, str]:
        """Return the facts by name."""
        return {
            'people': str(self.people), 'events': str(self.events), 'tf': str(self.tf).lower(),
            'listeners': str(self.listeners), 'humans': str(self.humans).lower(),
            'queue depth': str(self.queue_depth),
            **rules.listened(self.inputs)}
