"""Plays the source of the camera node: each image at its time, in a thread of its own."""
from collections.abc import Callable
import logging
import math
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

#: Seconds that a file waits for its subscribers.
_SUBSCRIBER_TIMEOUT = 15.0
#: Seconds between two attempts to read a failed source.
_RETRY_PERIOD = 1.0
#: Seconds that the last image of a file has to pass through the pipeline.
_LINGER = 1.0

#: A file is read this many times the last read's duration before the image is due.
_LEAD = 2.0

#: Seconds between two images of a file above which diagnostics report the wait.
_LONG_STEP = 0.5

#: Consecutive undecodable images after which a camera is opened again.
_MAX_UNDECODABLE = 30


def wait_for_subscribers(missing: Callable[[], str], woken: Event) -> bool:
    """Wait for the subscribers of a file, 15 s at most; return False if woken meanwhile.

    :param missing: polled: what is still missing, or '' to start.
    """
    until = time.monotonic() + _SUBSCRIBER_TIMEOUT
    while state := missing():
        if woken.wait(0.02):
            return False
        if time.monotonic() > until:
            _log.warning('timed out waiting for subscribers (%s after %g s); starting anyway',
                         state, _SUBSCRIBER_TIMEOUT)
            break
    return True


class Player:
    """Plays a source from :meth:`start` to :meth:`request_stop`.

    A live source whose read hangs is left to its thread, which closes it if the read ever returns;
    a new thread opens the device again. A file that hangs is waited for, because opened again it
    would start over. Either is abandoned when :meth:`replace` gives another source.

    :param source: owned by the player; :meth:`close` closes it.
    :param stats: counts the images received and those that cannot be read.
    :param wanted: called for each image with the seconds until the next one replaces it, and those
        that retrieving it takes: whether anyone would take it. Otherwise it is not retrieved.
    :param publish: called with each wanted (H, W, 3) uint8 BGR image, its source, and the seconds
        that reading it took.
    :param missing: called before a file starts: which subscribers are missing, or '' to start.
    :param on_end: called after the last image of a file had time to pass through the pipeline; may
        be called again.
    :param on_failure: called with an unexpected exception that ends the thread.
    :ivar rate: playback rate of a file in images per second; 0 = its own times. Call
        :meth:`wake` after a change.
    :ivar failure: why the source delivers no images at present, or ''.
    :ivar idle: reason for intentionally delivering no images at present, or ''.
    """

    def __init__(
            self, source: Source, stats: StageStats,
            wanted: Callable[[float, float], bool],
            publish: Callable[[np.ndarray, Source, float], None],
            missing: Callable[[], str], on_end: Callable[[], None],
            on_failure: Callable[[Exception], None]) -> None:
        self._sources = HotSwap(source)
        #: Held while a source is replaced, or the HotSwap itself.
        self._replacing = Lock()
        self._stats = stats
        self._wanted = wanted
        self._publish = publish
        self._missing = missing
        self._on_end = on_end
        self._on_failure = on_failure
        self.rate = 0.0
        self.failure = self.idle = ''
        #: Wakes the waiting thread, so that it stops or applies a change.
        self._woken = Event()
        self._stopping = False
        #: Source whose subscribers were waited for.
        self._started: Optional[Source] = None
        #: The source played last, and the number of images published before it.
        self._played, self._count_before = source, stats.rate.count
        #: Seconds that the conversion of the last image took.
        self._retrieve_time = 0.0
        self._pacer: Optional[Pacer] = None
        #: Number of consecutive undecodable images.
        self._undecodable = 0
        #: Source for which an undecodable image was logged.
        self._logged: Optional[Source] = None
        self._watchdog = CaptureWatchdog(self._run, self._report_hang, self._hand_over)

    @property
    def source(self) -> Source:
        """The source that is played, or will be next."""
        return self._sources.newest

    @property
    def expected_rate(self) -> float:
        """Images per second at which a file is played at present; 0 for a live source."""
        return self._pacer.rate if self._pacer else 0.0

    def replace(self, source: Source) -> None:
        """Continue with another source after the current read; close the old one."""
        with self._replacing:
            self._sources.replace(source)
        self._woken.set()

    def wake(self) -> None:
        """Apply a change at once, not at the time of the next image."""
        self._woken.set()

    def start(self) -> None:
        """Start or resume playing."""
        self.failure = self.idle = ''
        self._stopping = False
        self._started = None
        self._watchdog.start()

    def request_stop(self) -> None:
        """Ask the thread to stop; return at once."""
        self._stopping = True
        self._watchdog.stop()
        self._woken.set()

    def join(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the thread; return False if a read hangs."""
        return self._watchdog.join(timeout)

    def close(self) -> None:
        """Release the source; call after the thread has stopped."""
        self._sources.close()

    def _run(self, thread: CaptureThread) -> None:
        try:
            while not self._stopping:
                self._woken.clear()
                if self._stopping:  # requested between the two lines above
                    return
                thread.source = None
                thread.source = thread.call(self._sources.acquire)
                self._play(thread, thread.source)
        except AbandonedError:
            if thread.source is not None:
                thread.source.close()
        except Exception as e:
            if not self._stopping:
                self._on_failure(e)

    def _report_hang(self, thread: CaptureThread) -> None:
        source = thread.source or self.source
        self._report(
            f"source '{source.name}' hangs: no answer for {HANG_TIMEOUT:g} s",
            'waiting for it' if source.rate else 'opening it again in another thread')

    def _hand_over(self, thread: CaptureThread) -> bool:
        """Give the next thread another source than the hanging one, if possible."""
        with self._replacing:
            source = self.source
            if source is thread.source:
                if source.rate:
                    return False
                source = self._started = source.reopened()
            self._sources = HotSwap(source)
        return True

    def _play(self, thread: CaptureThread, source: Source) -> None:
        """Publish the images of a source until woken."""
        if source is not self._played:
            self._played, self._count_before = source, self._stats.rate.count
            self._undecodable = 0
        rate = source.rate and (self.rate or source.rate)
        pacer = self._pacer = Pacer(rate) if rate else None
        if source is not self._started:
            self.failure = self.idle = ''
            if pacer and not wait_for_subscribers(self._missing_subscribers, self._woken):
                return
            self.idle = ''
            self._started = source
        read_time = 0.0
        while not self._woken.is_set():
            # A file is read as late as possible, to leave the processor to the other nodes.
            if pacer and not pacer.approach(self._woken, _LEAD * read_time):
                return
            start = time.monotonic()
            try:
                grabbed = thread.call(source.grab)
                read_time = time.monotonic() - start
                image = self._retrieve(thread, source, pacer) if grabbed else None
            except ImageError as e:
                self._skip_image(thread, source, str(e))
                continue
            except SourceError as e:
                self._fail(str(e))
                continue
            except (ArithmeticError, LookupError, MemoryError, OSError, TypeError, ValueError,
                    cv2.error) as e:  # of a driver or a decoder: the next read may succeed
                self._fail(f"source '{source.name}': {e!r}")
                continue
            self._report_recovery(source)
            if not grabbed:
                self._finish(source)
                return
            self.idle = ''
            self._stats.received()
            if pacer and not pacer.wait(self._woken) and self._stopping:
                return
            if image is None:
                self._stats.processed()
            else:
                read_time += self._retrieve_time
                self._publish(image, source, read_time)

    def _retrieve(self, thread: CaptureThread, source: Source, pacer: Optional[Pacer]
                  ) -> Optional[np.ndarray]:
        """Return the grabbed image if anyone would take it, else None.

        An image of a file that is due later is waited for first: only then it is known who takes
        it. If woken meanwhile, it is not late.

        :param pacer: of a file; None for a live source.
        """
        if pacer:
            pacer.stamp = math.nan if self.rate else source.stamp
            if pacer.step > _LONG_STEP:
                self.idle = f'the next image of the file is due in {pacer.step:.1f} s'
            pacer.approach(self._woken, _LEAD * self._retrieve_time)
        rate = pacer.rate if pacer else self._stats.rate.recent
        period = 1 / rate if rate > 0 else math.inf  # 0 before the second image
        if not self._wanted(period, self._retrieve_time):
            return None
        start = time.monotonic()
        image = thread.call(source.retrieve)
        self._retrieve_time = time.monotonic() - start
        self._undecodable = 0
        return image

    def _report_recovery(self, source: Source) -> None:
        if self.failure and not self._undecodable:
            _log.info("source '%s' is back", source.name)
            self.failure = ''

    def _missing_subscribers(self) -> str:
        self.idle = self._missing()
        return self.idle

    def _skip_image(self, thread: CaptureThread, source: Source, reason: str) -> None:
        """Skip an undecodable image; after many in a row, the source has failed."""
        self._undecodable += 1
        if self._undecodable < _MAX_UNDECODABLE:
            self._stats.dropped('failed')
            self._stats.failed(reason)
            if self._logged is not source:
                self._logged = source
                _log.warning('%s; this image and later ones like it are skipped', reason)
            return
        if not source.rate:
            thread.call(source.close)
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        self._report(reason, f'trying again every {_RETRY_PERIOD:g} s')
        self._woken.wait(_RETRY_PERIOD)

    def _report(self, reason: str, action: str) -> None:
        """Store why there are no images; log it and the reaction once, until images return."""
        self._stats.dropped('failed')
        self._stats.failed(reason)
        if not self.failure:
            _log.error('%s; %s', reason, action)
        self.failure = reason

    def _finish(self, source: Source) -> None:
        if not self.idle:
            _log.info("source '%s' is at its end after %d frames", source.name,
                      self._stats.rate.count - self._count_before)
        self.idle = 'the source is at its end'
        if not self._woken.wait(_LINGER):
            self._on_end()
            self._woken.wait()
