"""Playing a source: each picture at its time, in a thread that other sources can be given to."""
from collections.abc import Callable
import logging
from threading import Event, Lock
import time
from typing import Optional

import cv2
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.errors import SourceError
from gaze_ros.core.pipeline.hot_swap import HotSwap
from gaze_ros.core.sources import Source
from gaze_ros.core.sources.capture_thread import (
    AbandonedError,
    CaptureThread,
    CaptureWatchdog,
    HANG_TIMEOUT,
)
from gaze_ros.core.sources.decoding import ImageError
from gaze_ros.core.sources.pacing import Pacer
import numpy as np

_log = logging.getLogger(__name__)

#: Seconds a file waits for those who are to see it, a failed camera until it is tried again, and
#: the last picture of a file has to get through.
_WAIT, _RETRY, _LINGER = 15.0, 1.0, 1.0

#: A file is read this many times earlier than reading the last picture took.
_LEAD = 2.0

#: Pictures in a row that cannot be decoded, after which a camera is opened anew.
_SPOILT = 30


def wait_for_subscribers(missing: Callable[[], str], woken: Event) -> bool:
    """Wait for those who are to see a file, 15 s at most; return False if woken meanwhile.

    :param missing: asked again and again: what is waited for, or '' where it may start.
    """
    until = time.monotonic() + _WAIT
    while words := missing():
        if woken.wait(0.02):
            return False
        if time.monotonic() > until:
            _log.warning('%s, after %g s: starting all the same', words, _WAIT)
            break
    return True


class Player:
    """Plays a source for as long as it is begun.

    A live source whose read hangs is left to its thread, which closes it if it ever returns, and
    opened anew in another one. A file that hangs is waited for: it would begin at its start.
    Either is left for a source that is put in its place.

    :param source: the player's from here on; :meth:`close` closes it.
    :param stage: counts the pictures that come and those that cannot be read.
    :param publish: gets each (H, W, 3) uint8 picture, its source, and the seconds reading it took.
    :param missing: asked before a file starts: what it waits for, or '' where it may start.
    :param at_end: called when the last picture of a file has got through; it may be called again.
    :param failed: called with what ends the thread against all expectation.
    :ivar rate: pictures a second at which a file is played; 0 for its own. To be changed followed
        by :meth:`wake`.
    :ivar failure: why the source gives nothing at present, or ''.
    :ivar idle: why it is right that it gives nothing at present, or ''.
    """

    def __init__(
            self, source: Source, stage: StageStats,
            publish: Callable[[np.ndarray, Source, float], None], missing: Callable[[], str],
            at_end: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        self._sources = HotSwap(source)
        #: While a source is put in, or the place of the sources is taken by another.
        self._putting = Lock()
        self._stage = stage
        self._publish = publish
        self._missing = missing
        self._at_end = at_end
        self._failed = failed
        self.rate = 0.0
        self.failure = self.idle = ''
        #: Set wherever the thread waits: it is to end, or to mind what has changed.
        self._woken = Event()
        self._ending = False
        self._begun: Optional[Source] = None
        #: What was played last, and how many pictures had been published before it.
        self._played, self._before = source, stage.rate.count
        #: Pictures in a row that could not be decoded, and of which source that was told.
        self._undecodable = 0
        self._reported: Optional[Source] = None
        self._watchdog = CaptureWatchdog(self._run, self._hangs, self._hand_over)

    @property
    def source(self) -> Source:
        """What is played, or is about to be."""
        return self._sources.newest

    def replace(self, source: Source) -> None:
        """Go on with another source after the picture that is being read; close the old one."""
        with self._putting:
            self._sources.replace(source)
        self._woken.set()

    def wake(self) -> None:
        """Mind what was changed at once, not at the time of the next picture."""
        self._woken.set()

    def start(self) -> None:
        """Begin to play, or go on where it was ended."""
        self.failure = self.idle = ''
        self._ending = False
        self._begun = None
        self._watchdog.start()

    def request_stop(self) -> None:
        """Tell the thread to end."""
        self._ending = True
        self._watchdog.stop()
        self._woken.set()

    def join(self, timeout: float) -> bool:
        """Wait for the thread, in seconds; False where a read hangs."""
        return self._watchdog.join(timeout)

    def close(self) -> None:
        """Let go of the source; the thread has ended."""
        self._sources.close()

    def _run(self, turn: CaptureThread) -> None:
        try:
            while not self._ending:
                self._woken.clear()
                if self._ending:  # told between the two lines above
                    return
                turn.source = None
                turn.source = turn.call(self._sources.acquire)
                self._play(turn, turn.source)
        except AbandonedError:
            if turn.source is not None:
                turn.source.close()
        except Exception as e:
            if not self._ending:
                self._failed(e)

    def _hangs(self, turn: CaptureThread) -> None:
        source = turn.source or self.source
        self._report(f"source '{source.name}' hangs: no answer for {HANG_TIMEOUT:g} s",
                   'waiting for it' if source.rate else 'opening it anew beside')

    def _hand_over(self, turn: CaptureThread) -> bool:
        """Give the next turn another source than the one that hangs, if there can be one."""
        with self._putting:
            source = self.source
            if source is turn.source:
                if source.rate:
                    return False
                source = self._begun = source.reopened()
            self._sources = HotSwap(source)
        return True

    def _play(self, turn: CaptureThread, source: Source) -> None:
        """Publish what a source gives until woken."""
        if source is not self._played:
            self._played, self._before = source, self._stage.rate.count
            self._undecodable = 0
        rate = source.rate and (self.rate or source.rate)
        pacer = Pacer(rate) if rate else None
        if source is not self._begun:
            self.failure = self.idle = ''
            if pacer and not wait_for_subscribers(self._waiting, self._woken):
                return
            self.idle = ''
            self._begun = source
        reading = 0.0
        while not self._woken.is_set():
            # A file is read no sooner than need be: till then the cores are the other nodes'.
            if pacer and not pacer.approach(self._woken, _LEAD * reading):
                return
            start = time.monotonic()
            try:
                picture = turn.call(source.read)
            except ImageError as e:
                self._skip_image(turn, source, str(e))
                continue
            except SourceError as e:
                self._fail(str(e))
                continue
            except (ArithmeticError, LookupError, MemoryError, OSError, TypeError, ValueError,
                    cv2.error) as e:  # of a driver or a decoder: the next one may come
                self._fail(f"source '{source.name}': {e!r}")
                continue
            reading = time.monotonic() - start
            self._undecodable = 0
            if self.failure:
                _log.info("source '%s' is back", source.name)
                self.failure = ''
            if picture is None:
                self._end(source)
                return
            self.idle = ''
            self._stage.received()
            if pacer and not pacer.wait(self._woken) and self._ending:
                return
            self._publish(picture, source, reading)

    def _waiting(self) -> str:
        self.idle = self._missing()
        return self.idle

    def _skip_image(self, turn: CaptureThread, source: Source, reason: str) -> None:
        """Leave out a picture; where there are many in a row, the source has failed."""
        self._undecodable += 1
        if self._undecodable < _SPOILT:
            self._stage.dropped('failed')
            self._stage.failed(reason)
            if self._reported is not source:
                self._reported = source
                _log.warning('%s: it, and others like it, are left out', reason)
            return
        if not source.rate:
            turn.call(source.close)
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        self._report(reason, f'trying again every {_RETRY:g} s')
        self._woken.wait(_RETRY)

    def _report(self, reason: str, doing: str) -> None:
        """Say why there are no pictures, and what is done about it: once until there are."""
        self._stage.dropped('failed')
        self._stage.failed(reason)
        if not self.failure:
            _log.error('%s; %s', reason, doing)
        self.failure = reason

    def _end(self, source: Source) -> None:
        if not self.idle:
            _log.info("source '%s' is at its end after %d frames", source.name,
                      self._stage.rate.count - self._before)
        self.idle = 'the source is at its end'
        if not self._woken.wait(_LINGER):
            self._at_end()
            self._woken.wait()
