"""Status of each node: its state beside the stage statistics, its checks and key-value pairs."""
from collections.abc import Iterator
from dataclasses import dataclass
import math
from typing import ClassVar, Optional

from gaze_ros.core.diagnostics import checks
from gaze_ros.core.diagnostics.stage_stats import StageSnapshot
from gaze_ros.core.diagnostics.status import CheckResult, format_ms, InputTopic, Level, Thresholds

#: Share of its expected rate below which a camera is slow.
_MIN_RATE_SHARE = 0.9

_SMALLER = 'use smaller images'


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """Base of the statuses: what a node receives, and the checks that most nodes have.

    :ivar inputs: the subscribed topics that the node depends on.
    :ivar queue_depth: maximum number of queued images at present.
    :ivar failure: reason of the last failed image, or ''.
    :ivar sim_time: whether the time comes from /clock.
    """

    #: Key of :data:`.status.PROBLEMS` for images that are dropped for newer ones.
    slow_problem: ClassVar[str] = ''
    #: What to do if images arrive old, and if too few arrive.
    latency_advice: ClassVar[str] = ''
    rate_advice: ClassVar[str] = ''

    inputs: tuple[InputTopic, ...] = ()
    queue_depth: int = 1
    failure: str = ''
    sim_time: bool = False

    def checks(self, snapshot: StageSnapshot, thresholds: Thresholds) -> Iterator[CheckResult]:
        """Yield every problem of the node."""
        advice = self._speed_advice(snapshot)
        yield from checks.check_input(snapshot, self.inputs)
        yield from checks.check_loss(snapshot)
        yield from self._failure_checks(snapshot)
        overload = [*checks.check_overload(snapshot, self.slow_problem, advice)]
        yield from overload
        yield from checks.check_latency(
            snapshot, thresholds, self.latency_advice, advice, self.queue_depth)
        yield from checks.check_rate(snapshot, thresholds, self.rate_advice, advice)
        yield from checks.check_clocks(snapshot, self.sim_time)
        yield from self._own_checks(bool(overload))

    def key_values(self) -> dict[str, str]:
        """Return the state as diagnostic key-value pairs."""
        return {'queue depth': str(self.queue_depth), **checks.publisher_counts(self.inputs)}

    def _speed_advice(self, snapshot: StageSnapshot) -> str:
        """Return what makes the node faster."""
        return ''

    def _failure_checks(self, snapshot: StageSnapshot) -> Iterator[CheckResult]:
        """Yield the problems of images that were not processed."""
        return checks.check_failures(snapshot, self.failure)

    def _own_checks(self, overloaded: bool) -> Iterator[CheckResult]:
        """Yield the problems that only this node has."""
        return iter(())


@dataclass(frozen=True, kw_only=True)
class InferenceStatus(StageStatus):
    """Status of the gaze node.

    :ivar detection_time: mean seconds of face detection per image; NaN if unknown.
    :ivar estimation_time: mean seconds of gaze estimation of all faces per image; NaN if unknown.
    :ivar model: name of the model.
    :ivar running: runtime, device and precision of the model, see
        :attr:`gaze_ros.core.estimators.Estimator.running`.
    :ivar detector: name of the detector.
    :ivar device: the parameter ``device``; only 'auto' and 'cuda' request the GPU.
    :ivar gpu: whether there is a GPU, see :func:`gaze_ros.core.diagnostics.status.has_nvidia_gpu`.
    :ivar calibrated: whether camera_info, not horizontal_fov, gives the directions; None before
        the first image.
    :ivar calibration_problem: why the calibration in camera_info is unusable, or ''.
    :ivar max_age: the parameter ``max_age``, seconds; 0 = off.
    :ivar late_stamps: number of images since the last status whose stamp was not later than all
        before.
    :ivar parallel: number of images that are processed side by side.
    :ivar most_parallel: its limit.
    """

    slow_problem = 'inference is slow'
    latency_advice = ("the latency is the camera's or the network's; use smaller images, or set "
                      'image_transport to compressed')
    rate_advice = "see the camera's status"

    detection_time: float = math.nan
    estimation_time: float = math.nan
    model: str = ''
    running: str = ''
    detector: str = ''
    device: str = 'auto'
    gpu: bool = False
    calibrated: Optional[bool] = None
    calibration_problem: str = ''
    max_age: float = 0.0
    late_stamps: int = 0
    parallel: int = 1
    most_parallel: int = 1

    def key_values(self) -> dict[str, str]:
        """Return the state as diagnostic key-value pairs."""
        runtime, device, precision = self._running_parts
        return {
            'detection [ms]': f'{1e3 * self.detection_time:.1f}',
            'estimation [ms]': f'{1e3 * self.estimation_time:.1f}',
            'parallel': f'{self.parallel} of {self.most_parallel}',
            'queue depth': str(self.queue_depth), 'max_age [s]': f'{self.max_age:g}',
            'model': self.model, 'runtime': runtime, 'device': device, 'precision': precision,
            'detector': self.detector,
            'calibrated': '' if self.calibrated is None else str(self.calibrated).lower(),
            **checks.publisher_counts(self.inputs)}

    @property
    def _running_parts(self) -> list[str]:
        return [*self.running.split(', '), '', '', ''][:3]

    def _failure_checks(self, snapshot: StageSnapshot) -> Iterator[CheckResult]:
        yield from super()._failure_checks(snapshot)
        old = snapshot.dropped.get('old', 0)
        if old > 0:
            yield CheckResult(
                Level.WARN if snapshot.processed > 0 else Level.ERROR, 'older than max_age',
                f'{old} of {snapshot.received} images were over {format_ms(self.max_age)} old; '
                'max_age is shorter than the latency of the camera and the network, or their '
                'clocks differ')

    def _own_checks(self, overloaded: bool) -> Iterator[CheckResult]:
        if self.late_stamps > 0:
            yield CheckResult(
                Level.WARN, 'stamps do not rise',
                f'{self.late_stamps} recently: the driver exchanges or repeats images, its clock '
                'is set back, or two cameras publish on one topic')
        if self.calibration_problem:
            yield CheckResult(
                Level.WARN, 'calibration unusable',
                f'{self.calibration_problem}; horizontal_fov is assumed: calibrate the camera '
                'again')
        if self.gpu and self.device in ('auto', 'cuda') and self._running_parts[1] == 'cpu':
            yield CheckResult(
                Level.WARN if overloaded else Level.OK, 'GPU idle',
                f'{self.model} runs on the CPU; install torch or onnxruntime-gpu for CUDA and '
                'choose a model that they run, or set device to cpu to silence this')

    def _speed_advice(self, snapshot: StageSnapshot) -> str:
        detection, estimation = (
            0.0 if math.isnan(part) else part
            for part in (self.detection_time, self.estimation_time))
        rest = snapshot.work - detection - estimation
        if rest > max(detection, estimation) > 0:
            return f'reading and publishing take {format_ms(rest)}; {_SMALLER}'
        if estimation > detection:
            return (f'gaze estimation takes {format_ms(estimation)}; lower max_faces or '
                    'input_size, choose a faster model, or raise frame_skip; runtime, precision '
                    'and device are fastest at auto')
        share = f'face detection takes {format_ms(detection)}; ' if detection else ''
        return f'{share}set detect_interval to 0, raise frame_skip, or choose a faster detector'


@dataclass(frozen=True, kw_only=True)
class DisplayStatus(StageStatus):
    """Status of the visualizer.

    :ivar window: whether a window is open.
    :ivar video: whether a video is saved.
    :ivar recording_failure: why the video is not written at present, or ''.
    :ivar subscribers: number of subscribers to the annotated images.
    :ivar late_results: results since the last status whose image had been discarded before.
    """

    slow_problem = 'display is slow'
    latency_advice = "the latency is the other nodes' or the network's: see their status"
    rate_advice = "see the other nodes' status"

    window: bool = False
    video: bool = False
    recording_failure: str = ''
    subscribers: int = 0
    late_results: int = 0

    def checks(self, snapshot: StageSnapshot, thresholds: Thresholds) -> Iterator[CheckResult]:
        """Yield every problem; without viewers, images of other processes are not taken."""
        if self.window or self.video or self.subscribers > 0:
            yield from super().checks(snapshot, thresholds)
        else:
            yield from self._failure_checks(snapshot)
            yield CheckResult(Level.OK, 'no viewers', 'nothing is drawn')

    def key_values(self) -> dict[str, str]:
        """Return the state as diagnostic key-value pairs."""
        return {
            'window': str(self.window).lower(), 'video': str(self.video).lower(),
            'listeners': str(self.subscribers), 'results too late': str(self.late_results),
            **super().key_values()}

    def _failure_checks(self, snapshot: StageSnapshot) -> Iterator[CheckResult]:
        yield from super()._failure_checks(snapshot)
        yield from checks.check_recording(self.recording_failure)

    def _own_checks(self, overloaded: bool) -> Iterator[CheckResult]:
        if self.late_results > 0:
            yield CheckResult(
                Level.WARN, 'results miss their images',
                f'{self.late_results} recently; make inference faster, or {_SMALLER}: then more '
                'of them are kept')

    def _speed_advice(self, snapshot: StageSnapshot) -> str:
        return ' or '.join([
            *['close the window (view)'] * self.window,
            *['save no video (output)'] * self.video,
            *['unsubscribe from the annotated images'] * (self.subscribers > 0), _SMALLER])


@dataclass(frozen=True, kw_only=True)
class PeopleStatus(StageStatus):
    """Status of the people node.

    :ivar people: number of people at present.
    :ivar events: number of attention events so far.
    :ivar tf: whether TF frames are published.
    :ivar subscribers: number of subscribers to the markers.
    :ivar humans: whether /humans is published.
    """

    slow_problem = 'the people node is slow'
    latency_advice = "the latency is the gaze node's: see its status"
    rate_advice = "see the gaze node's status"

    people: int = 0
    events: int = 0
    tf: bool = True
    subscribers: int = 0
    humans: bool = False

    def key_values(self) -> dict[str, str]:
        """Return the state as diagnostic key-value pairs."""
        return {
            'people': str(self.people), 'events': str(self.events), 'tf': str(self.tf).lower(),
            'listeners': str(self.subscribers), 'humans': str(self.humans).lower(),
            **super().key_values()}

    def _speed_advice(self, snapshot: StageSnapshot) -> str:
        return 'lower max_faces of the gaze node, or unsubscribe from gaze/markers'


@dataclass(frozen=True, kw_only=True)
class RecorderStatus(StageStatus):
    """Status of the recorder; its statistics count messages, not images.

    :ivar output: path of the bag.
    :ivar failure: why nothing is recorded at present, or ''.
    """

    slow_problem = 'the recorder is slow'
    latency_advice = "the latency is the other nodes' or the disk's: see the nodes' status"
    rate_advice = "see the gaze node's status"

    output: str
    queue_depth: int = 0

    def key_values(self) -> dict[str, str]:
        """Return the state as diagnostic key-value pairs."""
        return {'output': self.output}

    def _failure_checks(self, snapshot: StageSnapshot) -> Iterator[CheckResult]:
        if self.failure:
            return checks.check_recording(self.failure)
        return checks.check_failures(snapshot, 'see its log')

    def _speed_advice(self, snapshot: StageSnapshot) -> str:
        return 'use a faster disk, or set images to false'


@dataclass(frozen=True, kw_only=True)
class CameraStatus(StageStatus):
    """Status of the camera node.

    The work of its snapshots is the time to read an image; the ages are from capture to
    publication.

    :ivar source: name of the source.
    :ivar expected_rate: images per second that it should deliver; 0 if unknown.
    :ivar recent_rate: images per second over the latest images, without the wait before the first;
        NaN if unknown.
    :ivar live: whether it is a webcam or stream, which sets its own pace.
    :ivar failure: why it delivers no images at present, or ''.
    :ivar idle: reason for intentionally delivering no images at present, or ''.
    :ivar last_failure: reason of the last failed image, or ''.
    """

    source: str
    expected_rate: float = 0.0
    recent_rate: float = math.nan
    live: bool = True
    idle: str = ''
    last_failure: str = ''

    def checks(self, snapshot: StageSnapshot, thresholds: Thresholds) -> Iterator[CheckResult]:
        """Yield every problem of the node."""
        started = snapshot.seconds >= checks.STARTUP_GRACE
        rate = max(snapshot.rate, self.recent_rate)
        if self.idle:
            yield CheckResult(Level.STALE, 'waiting', self.idle)
        elif self.failure or started and snapshot.processed <= 0:
            yield CheckResult(
                Level.ERROR, 'no images from the camera',
                self.failure or f"'{self.source}' is open but delivers no image; unplug it and "
                'plug it in again, or stop the other program that uses it')
        elif snapshot.processed <= 0:
            yield CheckResult(Level.STALE, 'waiting', 'for the first image')
        elif started and rate < _MIN_RATE_SHARE * self.expected_rate:
            yield CheckResult(
                Level.WARN, 'the camera is slow', f'{rate:.1f} of {self.expected_rate:.1f} '
                f'images/s; {self._speed_advice(snapshot)}')
        if snapshot.processed > 0 and not (self.idle or self.failure):
            yield from checks.check_failures(snapshot, self.last_failure)
        yield from checks.check_latency(
            snapshot, thresholds, 'its driver or the stream buffers old images',
            'lower width and height')
        if not self.idle:
            yield from checks.check_rate(
                snapshot, thresholds, *[self._speed_advice(snapshot)] * 2)

    def key_values(self) -> dict[str, str]:
        """Return the state as diagnostic key-value pairs."""
        return {'source': self.source, 'wanted [Hz]': f'{self.expected_rate:.2f}'}

    def _speed_advice(self, snapshot: StageSnapshot) -> str:
        age = snapshot.age_percentile(50)
        if not self.live:
            return (f'reading takes {format_ms(snapshot.work)} and publishing {format_ms(age)}; '
                    f'lower rate, or {_SMALLER}')
        if age * self.expected_rate > _MIN_RATE_SHARE:
            return f'decoding and publishing take {format_ms(age)}; {_SMALLER}'
        return ('lower width and height, add light (a long exposure lowers the rate), and use a '
                'separate USB port')


@dataclass(frozen=True, kw_only=True)
class ReplayStatus(StageStatus):
    """Status of the replay node; the ages are those at which images were recorded.

    :ivar bag: path of the bag.
    :ivar idle: reason for intentionally publishing no images at present, or ''.
    """

    bag: str
    idle: str = ''

    def checks(self, snapshot: StageSnapshot, thresholds: Thresholds) -> Iterator[CheckResult]:
        """Yield every problem of the node."""
        yield from self._failure_checks(snapshot)
        if self.idle or snapshot.received <= 0:
            yield CheckResult(
                Level.STALE, 'waiting',
                self.idle or 'for the next image: the bag has none at this time')
            return
        yield from checks.check_latency(
            snapshot, thresholds, 'they were this old when recorded', 'lower rate')
        yield from checks.check_rate(
            snapshot, thresholds, 'the bag has no more: raise rate', 'lower rate')

    def key_values(self) -> dict[str, str]:
        """Return the state as diagnostic key-value pairs."""
        return {'source': self.bag}
