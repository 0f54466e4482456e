"""What can be told of a stage by its figures: rules that several nodes' facts go by."""
from collections.abc import Iterator

from gaze_ros.core.diagnostics.rolling import MAX_PLAUSIBLE_AGE
from gaze_ros.core.diagnostics.stage_stats import StageSnapshot
from gaze_ros.core.diagnostics.status import CheckResult, format_ms, InputTopic, Level, Thresholds

#: Share of pictures dropped that is let pass.
_LET_PASS = 0.05
#: Share of the time from one picture to the next above which work leaves none for a hiccup.
_FULL = 0.8
#: Seconds without a picture until that is worth a complaint.
STARTUP_GRACE = 3.0
#: Seconds a stamp may be in the future. /clock comes in steps, and pictures do between two.
_FUTURE, _SIM_FUTURE = 0.01, 0.2


def publisher_counts(inputs: tuple[InputTopic, ...]) -> dict[str, str]:
    """Return how many publish what a stage listens to, by name."""
    return {f'publishers of {one.topic}': str(one.publishers) for one in inputs}


def check_input(figures: StageSnapshot, inputs: tuple[InputTopic, ...]) -> Iterator[CheckResult]:
    """Tell that a stage was given nothing, and why that may be."""
    if figures.received > 0:
        return
    if figures.seconds < STARTUP_GRACE:
        yield CheckResult(Level.STALE, 'waiting', 'for the first picture')
    elif missing := ' and '.join(one.topic for one in inputs if one.publishers < 1):
        yield CheckResult(
            Level.ERROR, 'nothing publishes',
            f'{missing}; start the node that does (with the same ROS_DOMAIN_ID), or remap the '
            'topic to the one it publishes')
    else:
        heard = ' or '.join(f'{one.topic} ({one.publishers} publishers)' for one in inputs)
        same = ', do results have the stamps of their pictures' if len(inputs) > 1 else ''
        yield CheckResult(
            Level.ERROR, 'nothing arrives',
            f'on {heard}; does the publisher still run{same}, does shared memory hold two '
            'pictures, and is this no reliable subscription to a best effort publisher')


def check_failures(figures: StageSnapshot, reason: str) -> Iterator[CheckResult]:
    """Tell of pictures that could not be worked on, and the last reason."""
    failed = figures.dropped.get('failed', 0)
    if failed > 0:
        yield CheckResult(Level.WARN if figures.processed > 0 else Level.ERROR, 'pictures fail',
                      f'{failed} in {figures.seconds:.0f} s; the last: {reason or "unknown"}')


def check_recording(reason: str) -> Iterator[CheckResult]:
    """Tell that what was to be saved is not, and why; '' where it is."""
    if reason:
        yield CheckResult(Level.ERROR, 'nothing is recorded', reason)


def check_overload(figures: StageSnapshot, what: str, advice: str) -> Iterator[CheckResult]:
    """Tell that pictures are dropped for newer ones.

    :param what: the finding for a stage that is too slow, and what helps then.
    """
    dropped = figures.dropped.get('newer', 0)
    if dropped <= max(1, _LET_PASS * figures.received):
        return
    turns = figures.received_rate - sum(
        figures.dropped.get(why, 0) for why in ('skipped', 'old')) / max(figures.seconds, 1e-9)
    share = f'{dropped} of {figures.received} pictures were dropped'
    if figures.processed <= 0 and figures.seconds >= STARTUP_GRACE:
        yield CheckResult(Level.ERROR, what, f'{share}, and none was done in {figures.seconds:.0f} s: '
                      'does it hang? See its log; deactivate and activate the node, or end it')
        return
    if 0 < figures.work * turns < _FULL:
        yield CheckResult(
            Level.WARN, 'pictures come in bursts',
            f'{share}, though {format_ms(figures.work)} are enough for each; raise queue_depth, or end '
            'what else takes the processor or the network')
    else:
        took = f', each takes {format_ms(figures.work)}' if figures.work > 0 else ''
        yield CheckResult(Level.WARN, what, f'{share}{took}; {advice}')


def check_latency(figures: StageSnapshot, limits: Thresholds, outside: str, advice: str = '', queue_depth: int = 0
         ) -> Iterator[CheckResult]:
    """Tell that results are late, and where the time goes.

    :param outside: what to do where pictures arrive old.
    :param advice: what to do where the work takes long.
    :param queue_depth: pictures that may wait before the work.
    """
    age, work = figures.age_percentile(95), max(0.0, figures.work)
    level, limit = limits.age_level(age)
    if level is Level.OK or age > MAX_PLAUSIBLE_AGE:
        return
    if work > age / 2:
        why = f'the work takes {format_ms(work)}; {advice}'
    elif work * (1 + queue_depth) > age / 2:
        why = f'they wait for their turn; set queue_depth to 1 ({queue_depth} now)'
    else:
        why = f'the work takes {format_ms(work)}, so pictures arrive old; {outside}'
    yield CheckResult(
        level, 'results are late', f'95 % are up to {format_ms(age)} old, {limit} is passed; {why}')


def check_rate(figures: StageSnapshot, limits: Thresholds, outside: str, advice: str) -> Iterator[CheckResult]:
    """Tell that fewer pictures are done than there have to be.

    A stage that is given none is not told about: it waits, or is starved.

    :param outside: what to do where no more come.
    :param advice: what to do where they come and are dropped.
    """
    level, limit = limits.rate_level(figures.rate)
    if level is Level.OK or figures.received <= 0 or figures.seconds < STARTUP_GRACE:
        return
    skipped = figures.dropped.get('skipped', 0)
    if limits.rate_level(figures.received_rate)[0] is not Level.OK:
        why = f'no more than {figures.received_rate:.1f} come; {outside}'
    elif skipped > (figures.received - figures.processed) / 2:
        why = f'frame_skip leaves out {skipped} of {figures.received}; lower it'
    else:
        why = f'{figures.received_rate:.1f} come, and are dropped; {advice}'
    yield CheckResult(
        level, 'the rate is low', f'{figures.rate:.1f} pictures/s are below {limit}; {why}')


def check_clocks(figures: StageSnapshot, sim_time: bool) -> Iterator[CheckResult]:
    """Tell of stamps that are not of this machine's time.

    :param sim_time: whether the time is that of /clock.
    """
    age = figures.age_percentile(50)
    if abs(age) > MAX_PLAUSIBLE_AGE:
        hours = f'{abs(age) / 3600:.1f} h {"old" if age > 0 else "in the future"}'
        yield CheckResult(Level.WARN, 'stamps of another time', f'pictures are {hours}; ' + (
            'use_sim_time is set: does /clock come, and is it of the same bag' if sim_time else
            'a bag is played with --clock, and to nodes with use_sim_time'))
    elif age < -(_SIM_FUTURE if sim_time else _FUTURE):
        yield CheckResult(
            Level.WARN, 'the clocks differ',
            f"pictures are stamped {format_ms(-age)} in the future; set the camera's and this machine's "
            'clock by each other (chrony, PTP)')
