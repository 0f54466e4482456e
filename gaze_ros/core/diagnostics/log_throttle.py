"""What is worth a line in the log, and what would only fill it."""
import re
from time import monotonic

#: So many kinds of things are told in so many seconds at most.
_MOST, _SECONDS = 16, 60.0

#: What two things of one kind may differ in: numbers and sizes, but not 8UC2 and 16UC2.
_NUMBERS = re.compile(r'\b\d+(x\d+)?\b')


class LogThrottle:
    """Says whether to tell a thing: once, until it has not come for a minute.

    Reasons may hold what every message has another value of, and come with every message, in
    turns: what differs only in its numbers is the same thing, and of others a few a minute are
    told at most.
    """

    def __init__(self) -> None:
        #: When each kind came last, the latest at the end.
        self._came: dict[str, float] = {}

    def should_log(self, what: str) -> bool:
        """Return whether to tell it; then it counts as told."""
        now, kind = monotonic(), _NUMBERS.sub('#', what[:500])
        came = self._came.pop(kind, None)
        if came is None and len(self._came) >= _MOST:
            oldest = next(iter(self._came))
            if now - self._came[oldest] < _SECONDS:
                return False
            del self._came[oldest]
        self._came[kind] = now
        return came is None or now - came >= _SECONDS
