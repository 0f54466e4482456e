"""Playing a source: each picture at its time, in a thread that other sources can be given to."""
from collections.abc import Callable
import logging
from threading import Event, Thread
import time
from typing import Optional

from gaze_ros.core.errors import SourceError
from gaze_ros.core.sources import Source
from gaze_ros.core.sources.pacing import Pacer
from gaze_ros.core.stage import Stage
from gaze_ros.core.swapping import Swap
import numpy as np

_log = logging.getLogger(__name__)

#: Seconds a file waits for those who are to see it, a failed camera until it is tried again, and
#: the last picture of a file has to get through.
_WAIT, _RETRY, _LINGER = 15.0, 1.0, 1.0

#: A file is read this many times earlier than reading the last picture took.
_LEAD = 2.0


def wait_for(missing: Callable[[], str], woken: Event) -> bool:
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
            self, source: Source, stage: Stage,
            publish: Callable[[np.ndarray, Source, float], None], missing: Callable[[], str],
            at_end: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        self._sources = Swap(source)
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
        self._thread: Optional[Thread] = None

    @property
    def source(self) -> Source:
        """What is played, or is about to be."""
        return self._sources.newest

    def replace(self, source: Source) -> None:
        """Go on with another source after the picture that is being read; close the old one."""
        self._sources.put(source)
        self._woken.set()

    def wake(self) -> None:
        """Mind what was changed at once, not at the time of the next picture."""
        self._woken.set()

    def begin(self) -> None:
        """Begin to play, or go on where it was ended."""
        self.failure = self.idle = ''
        self._ending = False
        self._begun = None
        self._thread = Thread(target=self._run, name='camera', daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Tell the thread to end."""
        self._ending = True
        self._woken.set()

    def join(self, timeout: float) -> bool:
        """Wait for the thread, in seconds; False where a read hangs."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._thread is None or not self._thread.is_alive()

    def close(self) -> None:
        """Let go of the source; the thread has ended."""
        self._sources.close()

    def _run(self) -> None:
        try:
            while not self._ending:
                self._woken.clear()
                if self._ending:  # told between the two lines above
                    return
                self._play(self._sources.take())
        except Exception as e:
            if not self._ending:
                self._failed(e)

    def _play(self, source: Source) -> None:
        """Publish what a source gives until woken."""
        if source is not self._played:
            self._played, self._before = source, self._stage.rate.count
        rate = source.rate and (self.rate or source.rate)
        pacer = Pacer(rate) if rate else None
        if source is not self._begun:
            self.failure = self.idle = ''
            if pacer and not wait_for(self._waiting, self._woken):
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
                picture = source.read()
            except SourceError as e:
                self._fail(str(e))
                continue
            reading = time.monotonic() - start
            if self.failure:
                _log.info("source '%s' is back", source.name)
                self.failure = ''
            if picture is None:
                self._end(source)
                return
            self.idle = ''
            self._stage.come()
            if pacer and not pacer.wait(self._woken) and self._ending:
                return
            self._publish(picture, source, reading)

    def _waiting(self) -> str:
        self.idle = self._missing()
        return self.idle

    def _fail(self, reason: str) -> None:
        self._stage.drop('failed')
        self._stage.fail(reason)
        if not self.failure:
            _log.error('%s; trying again every %g s', reason, _RETRY)
        self.failure = reason
        self._woken.wait(_RETRY)

    def _end(self, source: Source) -> None:
        if not self.idle:
            _log.info("source '%s' is at its end after %d frames", source.name,
                      self._stage.rate.count - self._before)
        self.idle = 'the source is at its end'
        if not self._woken.wait(_LINGER):
            self._at_end()
            self._woken.wait()
