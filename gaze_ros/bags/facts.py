"""What the recorder knows of itself beside its figures."""
from collections.abc import Iterator
from dataclasses import dataclass

from gaze_ros.core import rules
from gaze_ros.core.health import Finding, Input, Limits
from gaze_ros.core.stage import Figures


@dataclass(frozen=True)
class RecorderFacts:
    """Of the recorder; its figures count messages, not pictures.

    :ivar inputs: the topic of the gaze.
    :ivar place: what is written to.
    :ivar failure: why nothing is recorded any more, or ''.
    """

    inputs: tuple[Input, ...]
    place: str
    failure: str = ''

    def findings(self, figures: Figures, limits: Limits) -> Iterator[Finding]:
        """Tell all that is the matter."""
        yield from rules.starved(figures, self.inputs)
        yield from rules.failing(figures, self.failure)
        yield from rules.overloaded(
            figures, 'the recorder is slow', 'a faster disk, or images false')

    def values(self) -> dict[str, str]:
        """Return the facts by name."""
        return {'output': self.place}
