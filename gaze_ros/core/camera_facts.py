"""What the camera knows of itself beside its figures, and the rules that go by it."""
from collections.abc import Iterator
from dataclasses import dataclass
import math

from gaze_ros.core import rules
from gaze_ros.core.health import Finding, Level, Limits, ms
from gaze_ros.core.stage import Figures

#: Share of the wanted rate below which a camera is slow.
_FAST_ENOUGH = 0.9

_SMALLER = 'take smaller pictures'


@dataclass(frozen=True)
class CameraFacts:
    """Of the camera.

    :ivar source: its name.
    :ivar wanted: pictures a second it should give; 0 where that is not known.
    :ivar recent: pictures a second over its last ones: what it waited for at first is not in it;
        NaN where that is not known.
    :ivar live: whether it sets its own pace: a webcam or a stream. The figures' work is reading a
        picture, its age when it is published what that took from its capture on.
    :ivar failure: why it gives nothing at present, or ''.
    :ivar idle: why it is right that it gives nothing at present, or ''.
    :ivar last: why the last picture that failed did, or ''.
    """

    source: str
    wanted: float = 0.0
    recent: float = math.nan
    live: bool = True
    failure: str = ''
    idle: str = ''
    last: str = ''

    def findings(self, figures: Figures, limits: Limits) -> Iterator[Finding]:
        """Tell all that is the matter."""
        begun = figures.seconds >= rules.PATIENCE
        rate = max(figures.rate, self.recent)
        if self.idle:
            yield Finding(Level.STALE, 'waiting', self.idle)
        elif self.failure or begun and figures.done <= 0:
            yield Finding(
                Level.ERROR, 'the camera gives nothing',
                self.failure or f"'{self.source}' is open and no picture comes of it; plug it in "
                'anew, or end what else uses it')
        elif figures.done <= 0:
            yield Finding(Level.STALE, 'waiting', 'for the first picture')
        elif begun and rate < _FAST_ENOUGH * self.wanted:
            yield Finding(
                Level.WARN, 'the camera is slow', f'{rate:.1f} of {self.wanted:.1f} '
                f'pictures/s; {self._faster(figures)}')
        if figures.done > 0 and not (self.idle or self.failure):
            yield from rules.failing(figures, self.last)
        yield from rules.late(
            figures, limits, 'its driver or the stream keeps old ones', 'lower width and height')
        if not self.idle:
            yield from rules.too_few(figures, limits, *[self._faster(figures)] * 2)

    def values(self) -> dict[str, str]:
        """Return the facts by name."""
        return {'source': self.source, 'wanted [Hz]': f'{self.wanted:.2f}'}

    def _faster(self, figures: Figures) -> str:
        if not self.live:
            return (f'reading takes {ms(figures.work)} and publishing '
                    f'{ms(figures.age(50))}; lower rate, or {_SMALLER}')
        if figures.age(50) * self.wanted > _FAST_ENOUGH:
            return f'decoding and publishing take {ms(figures.age(50))}; {_SMALLER}'
        return ('lower width and height, give it more light (a long exposure costs pictures) and '
                'a USB port of its own')
