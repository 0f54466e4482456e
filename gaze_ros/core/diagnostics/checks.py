"""Checks that the diagnostics of several nodes share: input, failures, load, latency, clocks."""
from collections.abc import Iterator

from gaze_ros.core.diagnostics.rolling import MAX_PLAUSIBLE_AGE
from gaze_ros.core.diagnostics.stage_stats import StageSnapshot
from gaze_ros.core.diagnostics.status import CheckResult, format_ms, InputTopic, Level, Thresholds

#: Tolerated share of dropped images.
_MAX_DROP_SHARE = 0.05
#: Utilization (work per image / image period) above which a stage has no time for a hiccup.
_MAX_UTILIZATION = 0.8
#: Tolerated number and share of lost images.
_MIN_LOST, _MAX_LOST_SHARE = 5, 0.2
#: What a publisher of another package needs.
LOSS_REMEDY = (
    "make the publisher reliable, or start it with this package's profile for Fast DDS: "
    'gaze_ros doctor prints the command')
#: Seconds without an image before that counts as a problem.
STARTUP_GRACE = 3.0
#: Seconds a stamp may lie in the future. /clock advances in steps; images arrive in between.
_MAX_FUTURE, _MAX_FUTURE_SIM = 0.01, 0.2


def publisher_counts(inputs: tuple[InputTopic, ...]) -> dict[str, str]:
    """Return the number of publishers of each subscribed topic, by name."""
    return {f'publishers of {topic.topic}': str(topic.publishers) for topic in inputs}


def check_input(
        snapshot: StageSnapshot, inputs: tuple[InputTopic, ...]) -> Iterator[CheckResult]:
    """Report that a stage received nothing, and the likely cause."""
    if snapshot.received > 0:
        return
    if snapshot.seconds < STARTUP_GRACE:
        yield CheckResult(Level.STALE, 'waiting', 'for the first image')
    elif missing := ' and '.join(topic.topic for topic in inputs if topic.publishers < 1):
        yield CheckResult(
            Level.ERROR, 'no publisher',
            f'{missing}; start the node that publishes it (with the same ROS_DOMAIN_ID), or remap '
            'the topic')
    else:
        topics = ' or '.join(f'{topic.topic} ({topic.publishers} publishers)' for topic in inputs)
        stamps = ', that results carry the stamps of their images' if len(inputs) > 1 else ''
        yield CheckResult(
            Level.ERROR, 'no messages',
            f'on {topics}; check that the publisher runs{stamps}, and that the subscription is '
            f'not reliable while the publisher is best effort; {LOSS_REMEDY}')


def check_loss(snapshot: StageSnapshot) -> Iterator[CheckResult]:
    """Report images that were published and did not arrive, and the likely cause."""
    if snapshot.seconds < STARTUP_GRACE or snapshot.received <= 0:
        return
    lost = snapshot.announced - snapshot.received
    if lost > max(_MIN_LOST, _MAX_LOST_SHARE * snapshot.announced):
        found = f'{lost} of the {snapshot.announced} images that camera_info announces'
    elif snapshot.missing > max(_MIN_LOST, _MAX_LOST_SHARE * (
            snapshot.received + snapshot.missing)):
        found = (f'about {snapshot.missing} of {snapshot.received + snapshot.missing} images, by '
                 'the gaps between their stamps,')
    else:
        return
    yield CheckResult(
        Level.WARN, 'images are lost',
        f'{found} did not arrive, or the publisher leaves them out; {LOSS_REMEDY}')


def check_failures(snapshot: StageSnapshot, reason: str) -> Iterator[CheckResult]:
    """Report images that could not be processed, and the last reason."""
    failed = snapshot.dropped.get('failed', 0)
    if failed > 0:
        yield CheckResult(
            Level.WARN if snapshot.processed > 0 else Level.ERROR, 'images fail',
            f'{failed} in {snapshot.seconds:.0f} s; last error: {reason or "unknown"}')


def check_recording(reason: str) -> Iterator[CheckResult]:
    """Report why a video or bag is not written; '' where it is."""
    if reason:
        yield CheckResult(Level.ERROR, 'not recording', reason)


def check_overload(
        snapshot: StageSnapshot, problem: str, advice: str) -> Iterator[CheckResult]:
    """Report that images are dropped for newer ones.

    :param problem: problem of a stage that is too slow, a key of :data:`.status.PROBLEMS`.
    :param advice: what makes the stage faster.
    """
    dropped = snapshot.dropped.get('newer', 0)
    if dropped <= max(1, _MAX_DROP_SHARE * snapshot.received):
        return
    rate = snapshot.received_rate - sum(
        snapshot.dropped.get(reason, 0) for reason in ('skipped', 'old')
    ) / max(snapshot.seconds, 1e-9)
    share = f'{dropped} of {snapshot.received} images were dropped'
    if snapshot.processed <= 0 and snapshot.seconds >= STARTUP_GRACE:
        yield CheckResult(
            Level.ERROR, problem,
            f'{share}, and none was processed in {snapshot.seconds:.0f} s: the node may hang. See '
            'its log; deactivate and activate it, or restart it')
    elif 0 < snapshot.work * rate < _MAX_UTILIZATION:
        yield CheckResult(
            Level.WARN, 'images come in bursts',
            f'{share}, although each takes only {format_ms(snapshot.work)}; raise queue_depth, or '
            'stop other programs that load the processor or the network')
    else:
        took = f', each takes {format_ms(snapshot.work)}' if snapshot.work > 0 else ''
        yield CheckResult(Level.WARN, problem, f'{share}{took}; {advice}')


def check_latency(
        snapshot: StageSnapshot, thresholds: Thresholds, upstream_advice: str, advice: str = '',
        queue_depth: int = 0) -> Iterator[CheckResult]:
    """Report that results are late, and where the time goes.

    :param upstream_advice: what to do if images arrive old.
    :param advice: what to do if processing takes long.
    :param queue_depth: maximum number of images queued before processing.
    """
    age, work = snapshot.age_percentile(95), max(0.0, snapshot.work)
    level, limit = thresholds.age_level(age)
    if level is Level.OK or age > MAX_PLAUSIBLE_AGE:
        return
    if work > age / 2:
        cause = f'processing takes {format_ms(work)}; {advice}'
    elif work * (1 + queue_depth) > age / 2:
        cause = f'images wait in the queue; set queue_depth to 1 ({queue_depth} now)'
    else:
        cause = f'processing takes {format_ms(work)}, so images arrive old; {upstream_advice}'
    yield CheckResult(
        level, 'results are late', f'the p95 latency of {format_ms(age)} exceeds {limit}; {cause}')


def check_rate(
        snapshot: StageSnapshot, thresholds: Thresholds, upstream_advice: str, advice: str
) -> Iterator[CheckResult]:
    """Report that fewer images are processed than required.

    A stage that receives none is not reported here: :func:`check_input` does that.

    :param upstream_advice: what to do if too few images arrive.
    :param advice: what to do if enough images arrive and are dropped.
    """
    level, limit = thresholds.rate_level(snapshot.rate)
    if level is Level.OK or snapshot.received <= 0 or snapshot.seconds < STARTUP_GRACE:
        return
    skipped = snapshot.dropped.get('skipped', 0)
    if thresholds.rate_level(snapshot.received_rate)[0] is not Level.OK:
        cause = f'only {snapshot.received_rate:.1f} images/s arrive; {upstream_advice}'
    elif skipped > (snapshot.received - snapshot.processed) / 2:
        cause = f'frame_skip skips {skipped} of {snapshot.received} images; lower it'
    else:
        cause = f'{snapshot.received_rate:.1f} images/s arrive and are dropped; {advice}'
    yield CheckResult(
        level, 'the rate is low', f'{snapshot.rate:.1f} images/s are below {limit}; {cause}')


def check_clocks(snapshot: StageSnapshot, sim_time: bool) -> Iterator[CheckResult]:
    """Report stamps that do not match this machine's clock.

    :param sim_time: whether the time comes from /clock.
    """
    age = snapshot.age_percentile(50)
    if abs(age) > MAX_PLAUSIBLE_AGE:
        hours = f'{abs(age) / 3600:.1f} h {"old" if age > 0 else "in the future"}'
        yield CheckResult(Level.WARN, 'stamps of another clock', f'images are {hours}; ' + (
            'use_sim_time is set: check that /clock is published, and by the same bag' if sim_time
            else 'play bags with --clock, and set use_sim_time on the nodes'))
    elif age < -(_MAX_FUTURE_SIM if sim_time else _MAX_FUTURE):
        yield CheckResult(
            Level.WARN, 'clock offset',
            f'images are stamped {format_ms(-age)} in the future; synchronize the clocks of the '
            'camera and of this machine (chrony, PTP)')
