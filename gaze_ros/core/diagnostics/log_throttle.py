"""Keeps repeated log lines from filling the log."""
import re
from time import monotonic

#: At most this many kinds of messages are logged within this many seconds.
_MAX_KINDS, _SECONDS = 16, 60.0

#: Numbers and sizes in which messages of one kind may differ; 8UC2 and 16UC2 are two kinds.
_NUMBERS = re.compile(r'\b\d+(x\d+)?\b')


def kind_of(message: str) -> str:
    """Return what all messages have in common that differ only in numbers."""
    return _NUMBERS.sub('#', message[:500])


class LogThrottle:
    """Decides whether to log a message: once, and again after a minute without it.

    Messages that differ only in numbers are of one kind. Every received ROS message may cause a
    different error, so the number of kinds logged per minute is limited, too.
    """

    def __init__(self) -> None:
        #: When each kind occurred last, the latest at the end.
        self._last_seen: dict[str, float] = {}

    def should_log(self, message: str) -> bool:
        """Return whether to log a message, and count it as logged."""
        now, kind = monotonic(), kind_of(message)
        last = self._last_seen.pop(kind, None)
        if last is None and len(self._last_seen) >= _MAX_KINDS:
            oldest = next(iter(self._last_seen))
            if now - self._last_seen[oldest] < _SECONDS:
                return False
            del self._last_seen[oldest]
        self._last_seen[kind] = now
        return last is None or now - last >= _SECONDS
