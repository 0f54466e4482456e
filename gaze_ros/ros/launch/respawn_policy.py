"""Whether a process that died is started again; without importing launch, for tests."""
from collections import deque
import math
import os
import signal

#: Environment variable with the time at which launch started its processes, seconds.
SINCE = 'GAZE_ROS_LAUNCHED_AT'

#: Seconds until it is started again.
RESPAWN_DELAY = 1.0

#: Seconds after its start from which a process is taken to work: what does not work at all, a
#: wrong setting or a model that is refused, is told before, on a slow machine, too.
STARTUP_TIME = 30.0

#: How often it is started again at most, and in how many seconds: one that dies as soon as it has
#: loaded its models is not to keep the processor busy for ever.
MAX_RESPAWNS, RESPAWN_WINDOW = 5, 300.0


class RespawnPolicy:
    """The starts and ends of one process.

    :param now: seconds of a clock that is never set, here and below; it is started then.
    """

    def __init__(self, now: float) -> None:
        self._started = now
        self._worked = False
        self._again: deque[float] = deque(maxlen=MAX_RESPAWNS)

    def record_exit(self, code: int, now: float) -> str:
        """Return why it is not to be started again after it failed, or ''.

        It is, if a signal ended it that nobody minds (killed, out of memory, a crash), or if it
        has worked before: then its settings are right.

        :param code: its exit code, not 0; negative for a signal.
        """
        self._worked = self._worked or now - self._started >= STARTUP_TIME
        if code > 0 and not self._worked:
            return ' as it started'
        if len(self._again) == MAX_RESPAWNS and now - self._again[0] < RESPAWN_WINDOW:
            return f', and was started again {MAX_RESPAWNS} times within {RESPAWN_WINDOW:g} s'
        self._again.append(now)
        self._started = now + RESPAWN_DELAY
        return ''


def describe_exit(code: int) -> str:
    """Return in words how a process failed, by its exit code: negative for a signal."""
    if code >= 0:
        return f'failed with exit code {code}'
    known = -code in set(signal.Signals)
    return f'was ended by {signal.Signals(-code).name if known else f"signal {-code}"}'


def launched_at() -> float:
    """Return when launch started its processes, this one for the first time; infinity without one.

    What has been written since then is of this process's former life, and is not overwritten. Told
    in seconds of the system's clock, as files have it: when a process began is told by the time
    since the machine did, and moves with that clock when it is set.
    """
    try:
        return float(os.environ.get(SINCE, 'inf'))
    except ValueError:
        return math.inf
