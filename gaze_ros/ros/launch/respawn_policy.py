"""Decides whether launch restarts a process that failed; it does not import launch."""
from collections import deque
import math
import os
import signal

#: Environment variable with the time at which launch started its processes, Unix time in seconds.
LAUNCH_TIME = 'GAZE_ROS_LAUNCHED_AT'

#: Seconds until a failed process is restarted.
RESPAWN_DELAY = 1.0

#: Seconds after its start from which a process counts as working: a wrong parameter or a rejected
#: model fails earlier, even on a slow machine.
STARTUP_TIME = 30.0

#: Maximum number of restarts within a number of seconds: a process that fails each time it has
#: loaded its models must not keep the CPU busy forever.
MAX_RESPAWNS, RESPAWN_WINDOW = 5, 300.0


class RespawnPolicy:
    """Decides whether one process is restarted, by when and how it failed.

    :param now: start time of the process, seconds of the monotonic clock.
    """

    def __init__(self, now: float) -> None:
        self._started = now
        self._worked = False
        self._restarts: deque[float] = deque(maxlen=MAX_RESPAWNS)

    def record_exit(self, code: int, now: float) -> str:
        """Return why the process is not restarted after it failed, or '' to restart it.

        It is restarted if a signal ended it (killed, out of memory, a crash), or if it has worked
        before: then its parameters are valid.

        :param code: its exit code, not 0; negative for a signal.
        :param now: seconds of the monotonic clock.
        """
        self._worked = self._worked or now - self._started >= STARTUP_TIME
        if code > 0 and not self._worked:
            return ' during startup'
        if len(self._restarts) == MAX_RESPAWNS and now - self._restarts[0] < RESPAWN_WINDOW:
            return f' after {MAX_RESPAWNS} restarts within {RESPAWN_WINDOW:g} s'
        self._restarts.append(now)
        self._started = now + RESPAWN_DELAY
        return ''


def describe_exit(code: int) -> str:
    """Return a description of a failed exit; negative codes are signals."""
    if code >= 0:
        return f'failed with exit code {code}'
    known = -code in set(signal.Signals)
    return f'was terminated by {signal.Signals(-code).name if known else f"signal {-code}"}'


def launched_at() -> float:
    """Return when launch first started this process, in Unix time (s); infinity without launch.

    Files written since then are from this process before a restart, and must not be overwritten.
    It is in the time base of file timestamps. A process's own start time would not do: the kernel
    counts it from boot, so it shifts when the system clock is set.
    """
    try:
        return float(os.environ.get(LAUNCH_TIME, 'inf'))
    except ValueError:
        return math.inf
