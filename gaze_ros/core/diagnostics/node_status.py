"""What the nodes know of themselves beside their figures, and the rules that go by it."""
from collections.abc import Iterator
from dataclasses import dataclass
import math
from typing import Optional

from gaze_ros.core.diagnostics import checks
from gaze_ros.core.diagnostics.stage_stats import StageSnapshot
from gaze_ros.core.diagnostics.status import CheckResult, format_ms, InputTopic, Level, Thresholds

_SMALLER = 'take smaller pictures'


@dataclass(frozen=True)
class InferenceStatus:
    """Of the gaze node.

    :ivar inputs: the images' topic.
    :ivar detection: seconds a picture to find the faces, mean; NaN where not known.
    :ivar estimation: seconds a picture for the gaze of all faces, likewise.
    :ivar model: its name.
    :ivar running: runtime, device and precision of the model, as
        :attr:`gaze_ros.core.estimators.Estimator.running` has them.
    :ivar detector: its name.
    :ivar device: what was asked for; only 'auto' and 'cuda' want the GPU.
    :ivar gpu: whether there is one, of :func:`gaze_ros.core.diagnostics.status.gpu_present`.
    :ivar calibrated: whether directions go by camera_info, else horizontal_fov; None: no picture
        yet.
    :ivar uncalibrated: why the calibration in camera_info cannot be used, or ''.
    :ivar queue_depth: pictures that may wait at present.
    :ivar max_age: seconds; 0 for any.
    :ivar failure: why the last picture that failed did, or ''.
    :ivar sim_time: whether the time is that of /clock.
    """

    inputs: tuple[InputTopic, ...]
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

    def checks(self, figures: StageSnapshot, limits: Thresholds) -> Iterator[CheckResult]:
        """Tell all that is the matter."""
        yield from checks.check_input(figures, self.inputs)
        yield from checks.check_failures(figures, self.failure)
        yield from self._old(figures)
        slow = [*checks.check_overload(figures, 'inference is slow', self._faster(figures))]
        yield from slow
        yield from checks.check_latency(
            figures, limits, "the lag is the camera's or the network's; take smaller pictures, "
            'or set image_transport to compressed', self._faster(figures), self.queue_depth)
        yield from checks.check_rate(
            figures, limits, "see the camera's status", self._faster(figures))
        yield from checks.check_clocks(figures, self.sim_time)
        if self.uncalibrated:
            yield CheckResult(
                Level.WARN, 'the calibration cannot be used',
                f'{self.uncalibrated}; horizontal_fov is assumed: calibrate the camera anew')
        if self.gpu and self.device in ('auto', 'cuda') and self._running[1] == 'cpu':
            yield CheckResult(
                Level.WARN if slow else Level.OK, 'a GPU lies idle',
                f'{self.model} runs on the CPU; install torch or onnxruntime-gpu for CUDA and '
                'take a model that they run, or set device to cpu if that is what you want')

    def key_values(self) -> dict[str, str]:
        """Return the facts by name."""
        runtime, device, precision = self._running
        return {
            'detection [ms]': f'{1e3 * self.detection:.1f}',
            'estimation [ms]': f'{1e3 * self.estimation:.1f}',
            'queue depth': str(self.queue_depth), 'max_age [s]': f'{self.max_age:g}',
            'model': self.model, 'runtime': runtime, 'device': device, 'precision': precision,
            'detector': self.detector,
            'calibrated': '' if self.calibrated is None else str(self.calibrated).lower(),
            **checks.publisher_counts(self.inputs)}

    @property
    def _running(self) -> list[str]:
        return [*self.running.split(', '), '', '', ''][:3]

    def _old(self, figures: StageSnapshot) -> Iterator[CheckResult]:
        old = figures.dropped.get('old', 0)
        if old > 0:
            yield CheckResult(
                Level.WARN if figures.processed > 0 else Level.ERROR, 'older than max_age',
                f'{old} of {figures.received} pictures were over {format_ms(self.max_age)} old; '
                'max_age is shorter than the lag of the camera and the network, or they have '
                'another clock')

    def _faster(self, figures: StageSnapshot) -> str:
        detection, estimation = (
            0.0 if math.isnan(part) else part for part in (self.detection, self.estimation))
        rest = figures.work - detection - estimation
        if rest > max(detection, estimation) > 0:
            return f'{format_ms(rest)} go into reading and publishing; {_SMALLER}'
        if estimation > detection:
            return (f'{format_ms(estimation)} go into the gaze; lower max_faces or input_size, '
                    'take a faster model, or raise frame_skip; runtime, precision and device are '
                    'fastest as auto')
        found = f'{format_ms(detection)} go into finding faces; ' if detection else ''
        return f'{found}set detect_interval to 0, raise frame_skip, or take a faster detector'


@dataclass(frozen=True)
class DisplayStatus:
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

    inputs: tuple[InputTopic, ...]
    window: bool = False
    video: bool = False
    unsaved: str = ''
    listeners: int = 0
    missed: int = 0
    queue_depth: int = 1
    failure: str = ''
    sim_time: bool = False

    def checks(self, figures: StageSnapshot, limits: Thresholds) -> Iterator[CheckResult]:
        """Tell all that is the matter."""
        yield from checks.check_input(figures, self.inputs)
        yield from checks.check_failures(figures, self.failure)
        yield from checks.check_recording(self.unsaved)
        yield from checks.check_overload(figures, 'display is slow', self._faster())
        yield from checks.check_latency(
            figures, limits, "the lag is the other nodes' or the network's: see their status",
            self._faster(), self.queue_depth)
        yield from checks.check_rate(figures, limits, "see the other nodes' status", self._faster())
        yield from checks.check_clocks(figures, self.sim_time)
        if self.missed > 0:
            yield CheckResult(
                Level.WARN, 'results miss their pictures',
                f'{self.missed} of late; make the gaze faster, or {_SMALLER}: more of them are '
                'kept')
        if not (self.window or self.video or self.listeners > 0):
            yield CheckResult(Level.OK, 'nobody looks', 'nothing is drawn')

    def key_values(self) -> dict[str, str]:
        """Return the facts by name."""
        return {
            'window': str(self.window).lower(), 'video': str(self.video).lower(),
            'listeners': str(self.listeners), 'results too late': str(self.missed),
            'queue depth': str(self.queue_depth), **checks.publisher_counts(self.inputs)}

    def _faster(self) -> str:
        return ' or '.join([
            *['leave the window away (view)'] * self.window,
            *['save no video (output)'] * self.video,
            *['unsubscribe from the annotated pictures'] * (self.listeners > 0), _SMALLER])


#: Share of the wanted rate below which a camera is slow.
_FAST_ENOUGH = 0.9




@dataclass(frozen=True)
class CameraStatus:
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

    def checks(self, figures: StageSnapshot, limits: Thresholds) -> Iterator[CheckResult]:
        """Tell all that is the matter."""
        begun = figures.seconds >= checks.STARTUP_GRACE
        rate = max(figures.rate, self.recent)
        if self.idle:
            yield CheckResult(Level.STALE, 'waiting', self.idle)
        elif self.failure or begun and figures.processed <= 0:
            yield CheckResult(
                Level.ERROR, 'the camera gives nothing',
                self.failure or f"'{self.source}' is open and no picture comes of it; plug it in "
                'anew, or end what else uses it')
        elif figures.processed <= 0:
            yield CheckResult(Level.STALE, 'waiting', 'for the first picture')
        elif begun and rate < _FAST_ENOUGH * self.wanted:
            yield CheckResult(
                Level.WARN, 'the camera is slow', f'{rate:.1f} of {self.wanted:.1f} '
                f'pictures/s; {self._faster(figures)}')
        if figures.processed > 0 and not (self.idle or self.failure):
            yield from checks.check_failures(figures, self.last)
        yield from checks.check_latency(
            figures, limits, 'its driver or the stream keeps old ones', 'lower width and height')
        if not self.idle:
            yield from checks.check_rate(figures, limits, *[self._faster(figures)] * 2)

    def key_values(self) -> dict[str, str]:
        """Return the facts by name."""
        return {'source': self.source, 'wanted [Hz]': f'{self.wanted:.2f}'}

    def _faster(self, figures: StageSnapshot) -> str:
        if not self.live:
            return (f'reading takes {format_ms(figures.work)} and publishing '
                    f'{format_ms(figures.age_percentile(50))}; lower rate, or {_SMALLER}')
        if figures.age_percentile(50) * self.wanted > _FAST_ENOUGH:
            return f'decoding and publishing take {format_ms(figures.age_percentile(50))}; {_SMALLER}'
        return ('lower width and height, give it more light (a long exposure costs pictures) and '
                'a USB port of its own')


_PEOPLE_FASTER = 'lower max_faces of the gaze node, or unsubscribe from gaze/markers'


@dataclass(frozen=True)
class PeopleStatus:
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

    inputs: tuple[InputTopic, ...]
    people: int = 0
    events: int = 0
    tf: bool = True
    listeners: int = 0
    humans: bool = False
    queue_depth: int = 1
    failure: str = ''
    sim_time: bool = False

    def checks(self, figures: StageSnapshot, limits: Thresholds) -> Iterator[CheckResult]:
        """Tell all that is the matter."""
        yield from checks.check_input(figures, self.inputs)
        yield from checks.check_failures(figures, self.failure)
        yield from checks.check_overload(figures, 'the people node is slow', _PEOPLE_FASTER)
        yield from checks.check_latency(
            figures, limits, "the lag is the gaze node's: see its status", _PEOPLE_FASTER,
            self.queue_depth)
        yield from checks.check_rate(figures, limits, "see the gaze node's status", _PEOPLE_FASTER)
        yield from checks.check_clocks(figures, self.sim_time)

    def key_values(self) -> dict[str, str]:
        """Return the facts by name."""
        return {
            'people': str(self.people), 'events': str(self.events), 'tf': str(self.tf).lower(),
            'listeners': str(self.listeners), 'humans': str(self.humans).lower(),
            'queue depth': str(self.queue_depth),
            **checks.publisher_counts(self.inputs)}


#: What helps the recorder.
_RECORDER_FASTER = 'a faster disk, or images false'


@dataclass(frozen=True)
class ReplayStatus:
    """Of the replay node; the ages are those at which pictures were recorded.

    :ivar bag: its path.
    :ivar failure: why the last picture that failed did, or ''.
    :ivar idle: why it is right that it gives nothing at present, or ''.
    """

    bag: str
    failure: str = ''
    idle: str = ''

    def checks(self, figures: StageSnapshot, limits: Thresholds) -> Iterator[CheckResult]:
        """Tell all that is the matter."""
        yield from checks.check_failures(figures, self.failure)
        if self.idle or figures.received <= 0:
            yield CheckResult(
                Level.STALE, 'waiting', self.idle or 'for the next picture: the bag has none here')
            return
        yield from checks.check_latency(
            figures, limits, 'they were so when they were recorded', 'lower rate')
        yield from checks.check_rate(figures, limits, 'the bag has no more: raise rate', 'lower rate')

    def key_values(self) -> dict[str, str]:
        """Return the facts by name."""
        return {'source': self.bag}


@dataclass(frozen=True)
class RecorderStatus:
    """Of the recorder; its figures count messages, not pictures.

    :ivar inputs: the topic of the gaze.
    :ivar place: what is written to.
    :ivar failure: why nothing is recorded at present, or ''.
    :ivar sim_time: whether the time is that of /clock.
    """

    inputs: tuple[InputTopic, ...]
    place: str
    failure: str = ''
    sim_time: bool = False

    def checks(self, figures: StageSnapshot, limits: Thresholds) -> Iterator[CheckResult]:
        """Tell all that is the matter."""
        yield from checks.check_input(figures, self.inputs)
        if self.failure:
            yield from checks.check_recording(self.failure)
        else:
            yield from checks.check_failures(figures, 'see its log')
        yield from checks.check_overload(figures, 'the recorder is slow', _RECORDER_FASTER)
        yield from checks.check_latency(
            figures, limits, "the lag is the other nodes': see their status; or the disk's",
            _RECORDER_FASTER)
        yield from checks.check_rate(figures, limits, "see the gaze node's status", _RECORDER_FASTER)
        yield from checks.check_clocks(figures, self.sim_time)

    def key_values(self) -> dict[str, str]:
        """Return the facts by name."""
        return {'output': self.place}
