"""What the nodes know of themselves beside their figures, and the rules that go by it."""
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
import math
from threading import Lock
from typing import Optional

from gaze_ros.core import rules
from gaze_ros.core.health import Finding, Input, Level, Limits, ms
from gaze_ros.core.stage import Figures

_SMALLER = 'take smaller pictures'


class Recent:
    """Mean of the last values. Added to and read from any thread."""

    def __init__(self, window: int = 60) -> None:
        self._values: deque[float] = deque(maxlen=window)
        self._lock = Lock()

    def add(self, value: float) -> None:
        """Count a value; what is not finite is passed over."""
        if math.isfinite(value):
            with self._lock:
                self._values.append(value)

    @property
    def mean(self) -> float:
        """Of the last values; NaN for none."""
        with self._lock:
            return sum(self._values) / len(self._values) if self._values else math.nan


@dataclass(frozen=True)
class InferenceFacts:
    """Of the gaze node.

    :ivar inputs: the images' topic.
    :ivar detection: seconds a picture to find the faces, mean; NaN where not known.
    :ivar estimation: seconds a picture for the gaze of all faces, likewise.
    :ivar model: its name.
    :ivar running: runtime, device and precision of the model, as
        :attr:`gaze_ros.core.estimators.Estimator.running` has them.
    :ivar detector: its name.
    :ivar device: what was asked for; only 'auto' and 'cuda' want the GPU.
    :ivar gpu: whether there is one, of :func:`gaze_ros.core.health.gpu_present`.
    :ivar calibrated: whether directions go by camera_info, else horizontal_fov; None: no picture
        yet.
    :ivar uncalibrated: why the calibration in camera_info cannot be used, or ''.
    :ivar queue_depth: pictures that may wait at present.
    :ivar max_age: seconds; 0 for any.
    :ivar failure: why the last picture that failed did, or ''.
    :ivar sim_time: whether the time is that of /clock.
    """

    inputs: tuple[Input, ...]
    detection: float = math.nan
    estimation: float = math.nan
    model: str = ''
    running: str = ''
    detector: str = ''
    device: str = 'auto'
    gpu: bool = False
    calibrated: Optional[bool] = None
    uncalibrated: str = ''
    queue_depth: int = 1
    max_age: float = 0.0
    failure: str = ''
    sim_time: bool = False

    def findings(self, figures: Figures, limits: Limits) -> Iterator[Finding]:
        """Tell all that is the matter."""
        yield from rules.starved(figures, self.inputs)
        yield from rules.failing(figures, self.failure)
        yield from self._old(figures)
        slow = [*rules.overloaded(figures, 'inference is slow', self._faster(figures))]
        yield from slow
        yield from rules.late(
            figures, limits, "the lag is the camera's or the network's; take smaller pictures, "
            'or set image_transport to compressed', self._faster(figures), self.queue_depth)
        yield from rules.too_few(
            figures, limits, "see the camera's status", self._faster(figures))
        yield from rules.clocks(figures, self.sim_time)
        if self.uncalibrated:
            yield Finding(
                Level.WARN, 'the calibration cannot be used',
                f'{self.uncalibrated}; horizontal_fov is assumed: calibrate the camera anew')
        if self.gpu and self.device in ('auto', 'cuda') and self._running[1] == 'cpu':
            yield Finding(
                Level.WARN if slow else Level.OK, 'a GPU lies idle',
                f'{self.model} runs on the CPU; install torch or onnxruntime-gpu for CUDA and '
                'take a model that they run, or set device to cpu if that is what you want')

    def values(self) -> dict[str, str]:
        """Return the facts by name."""
        runtime, device, precision = self._running
        return {
            'detection [ms]': f'{1e3 * self.detection:.1f}',
            'estimation [ms]': f'{1e3 * self.estimation:.1f}',
            'queue depth': str(self.queue_depth), 'max_age [s]': f'{self.max_age:g}',
            'model': self.model, 'runtime': runtime, 'device': device, 'precision': precision,
            'detector': self.detector,
            'calibrated': '' if self.calibrated is None else str(self.calibrated).lower(),
            **rules.listened(self.inputs)}

    @property
    def _running(self) -> list[str]:
        return [*self.running.split(', '), '', '', ''][:3]

    def _old(self, figures: Figures) -> Iterator[Finding]:
        old = figures.dropped.get('old', 0)
        if old > 0:
            yield Finding(
                Level.WARN if figures.done > 0 else Level.ERROR, 'older than max_age',
                f'{old} of {figures.came} pictures were over {ms(self.max_age)} old; '
                'max_age is shorter than the lag of the camera and the network, or they have '
                'another clock')

    def _faster(self, figures: Figures) -> str:
        detection, estimation = (
            0.0 if math.isnan(part) else part for part in (self.detection, self.estimation))
        rest = figures.work - detection - estimation
        if rest > max(detection, estimation) > 0:
            return f'{ms(rest)} go into reading and publishing; {_SMALLER}'
        if estimation > detection:
            return (f'{ms(estimation)} go into the gaze; lower max_faces or input_size, '
                    'take a faster model, or raise frame_skip; runtime, precision and device are '
                    'fastest as auto')
        found = f'{ms(detection)} go into finding faces; ' if detection else ''
        return f'{found}set detect_interval to 0, raise frame_skip, or take a faster detector'


@dataclass(frozen=True)
class DisplayFacts:
    """Of the visualizer.

    :ivar inputs: the topics of images and gaze.
    :ivar window: whether one is open.
    :ivar video: whether one is saved.
    :ivar unsaved: why none is at present, though it should, or ''.
    :ivar listeners: to the annotated images.
    :ivar missed: results that came after their picture was given up, since last asked.
    :ivar queue_depth: pictures that may wait at present.
    :ivar failure: why the last picture that failed did, or ''.
    :ivar sim_time: whether the time is that of /clock.
    """

    inputs: tuple[Input, ...]
    window: bool = False
    video: bool = False
    unsaved: str = ''
    listeners: int = 0
    missed: int = 0
    queue_depth: int = 1
    failure: str = ''
    sim_time: bool = False

    def findings(self, figures: Figures, limits: Limits) -> Iterator[Finding]:
        """Tell all that is the matter."""
        yield from rules.starved(figures, self.inputs)
        yield from rules.failing(figures, self.failure)
        yield from rules.unsaved(self.unsaved)
        yield from rules.overloaded(figures, 'display is slow', self._faster())
        yield from rules.late(
            figures, limits, "the lag is the other nodes' or the network's: see their status",
            self._faster(), self.queue_depth)
        yield from rules.too_few(figures, limits, "see the other nodes' status", self._faster())
        yield from rules.clocks(figures, self.sim_time)
        if self.missed > 0:
            yield Finding(
                Level.WARN, 'results miss their pictures',
                f'{self.missed} of late; make the gaze faster, or {_SMALLER}: more of them are '
                'kept')
        if not (self.window or self.video or self.listeners > 0):
            yield Finding(Level.OK, 'nobody looks', 'nothing is drawn')

    def values(self) -> dict[str, str]:
        """Return the facts by name."""
        return {
            'window': str(self.window).lower(), 'video': str(self.video).lower(),
            'listeners': str(self.listeners), 'results too late': str(self.missed),
            'queue depth': str(self.queue_depth), **rules.listened(self.inputs)}

    def _faster(self) -> str:
        return ' or '.join([
            *['leave the window away (view)'] * self.window,
            *['save no video (output)'] * self.video,
            *['unsubscribe from the annotated pictures'] * (self.listeners > 0), _SMALLER])
