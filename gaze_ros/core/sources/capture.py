"""Webcams, streams and video files, through OpenCV."""
from contextlib import suppress
from copy import copy
import logging
import math
import os
from pathlib import Path
import sys
import time
from typing import Optional, Union

import cv2
from gaze_ros.core.errors import SourceError
from gaze_ros.core.sources.decoding import as_bgr
from gaze_ros.core.system import native_threads
from gaze_ros.core.system.urls import add_netrc_login, redact_url
import numpy as np

_log = logging.getLogger(__name__)

#: Seconds after which a stream or a webcam that cannot be opened, or gives nothing, has failed.
#: OpenCV waits 30 s for a stream, and 10 s for a webcam. One that is triggered less often needs
#: OpenCV's own OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT, and at most 10 there.
_TIMEOUT = 5

#: Pictures of a file in a row that may be beyond decoding, and it goes on with those behind them.
_LOST = 300

#: Share of its pictures that a file may lack without a word: some formats only estimate how many
#: there are.
_LACKING = 0.1


class VideoFile:
    """A video file, here or behind a URL, played at its own rate.

    What cannot be decoded is left out, and told once; so is that a file ends early.

    :param location: path or URL.
    :raises SourceError: if it holds no video OpenCV can decode.
    """

    capture_time = math.nan

    def __init__(self, location: str, *, loop: bool = False) -> None:
        self.name = redact_url(location)
        self._location = location
        self.loop = loop
        self._told_lost = self._told_short = False
        self._open()
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= 1000 else 30.0

    def read(self) -> Optional[np.ndarray]:
        """Return the next picture, or None at the end of a file that is not looped.

        :raises SourceError: if a looped file is gone, or has no picture.
        """
        picture = self._next()
        if picture is None and self.loop:
            # Opened anew: seeking to 0 is not exact in every container.
            self._capture.release()
            self._open()
            picture = self._next()
            if picture is None:
                raise SourceError(f"source '{self.name}' has no picture OpenCV can decode")
        return picture

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()

    def _next(self) -> Optional[np.ndarray]:
        """Return the next picture that can be decoded, or None at the end."""
        # A read may fail in the middle, too. A server that stalled is not waited for again.
        here = '://' not in self._location
        for lost in range(min(_LOST, max(0, self.count - self._played)) + 1 if here else 1):
            try:
                ok, picture = self._capture.read()
            except cv2.error:
                continue
            if ok:
                if lost and not self._told_lost:
                    self._told_lost = True
                    _log.warning(
                        "source '%s': %d pictures from the %d. on cannot be decoded: they, and "
                        'others like them, are left out', self.name, lost, self._played + 1)
                self._played += lost + 1
                return as_bgr(picture, self.name)
        if self._played < (1 - _LACKING) * self.count and not self._told_short:
            self._told_short = True
            _log.warning("source '%s' ends after %d of %d pictures: is the file whole?",
                         self.name, self._played, self.count)
        return None

    def _open(self) -> None:
        self._capture = _open_url(self._location) if '://' in self._location else (
            _open(self._location, cv2.CAP_ANY))
        # FFmpeg plays text, too: as a terminal that shows it.
        text = int(self._capture.get(cv2.CAP_PROP_FOURCC)) == cv2.VideoWriter_fourcc(*'ansi')
        if text or not self._capture.isOpened():
            self._capture.release()
            path = Path(self._location)
            what = f'{path.stat().st_size} bytes' if path.is_file() else 'not there'
            raise SourceError(
                f"source '{self.name}' ({what}) is no video OpenCV can decode: is it whole, and a "
                'video?')
        self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        #: Pictures of this pass that are behind.
        self._played = 0


class LiveCapture:
    """A webcam or a network stream: pictures come at its own pace.

    :param device: index, device path or URL.
    :param width: asked of a webcam, as are height and fps; it may give others. 0 for its own.
    :raises SourceError: if it cannot be opened.
    """

    rate = 0.0
    count = 0
    capture_time = math.nan
    loop = False

    def __init__(self, device: Union[int, str], *, width: int = 0, height: int = 0,
                 fps: float = 0.0) -> None:
        self._device = device
        self._wanted = {
            cv2.CAP_PROP_FRAME_WIDTH: width, cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FPS: fps}
        self.name = redact_url(str(device))
        self._capture: Optional[cv2.VideoCapture] = None
        self._open()

    def read(self) -> np.ndarray:
        """Return the next picture; after a failure, open the device anew first.

        :raises PictureError: if one comes that cannot be decoded.
        :raises SourceError: if none comes.
        """
        if self._capture is None:
            self._open()
        picture, words = None, ''
        # Taken when it was grabbed; decoding can take as long as the picture's way here.
        try:
            ok = self._capture.grab()
        except cv2.error as e:
            ok, words = False, f': {e.err}'
        self.capture_time = time.monotonic()
        if not ok:
            self.close()
            raise SourceError(f"source '{self.name}' gives no picture{words}")
        with suppress(cv2.error):
            picture = self._capture.retrieve()[1]
        return as_bgr(picture, self.name)

    @property
    def finite(self) -> bool:
        """Whether this is a file after all."""
        return self._capture is not None and self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0

    def close(self) -> None:
        """Let go of the device; to read opens it again."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def reopened(self) -> 'LiveCapture':
        """Return another one for the same device, which it opens when it is read."""
        other = copy(self)
        other._capture = None
        return other

    def _open(self) -> None:
        if isinstance(self._device, str) and '://' in self._device:
            capture = _open_url(self._device)
        else:
            # On Linux only its own back end: the others try in vain, and print pages.
            linux = sys.platform.startswith('linux')
            capture = _open(self._device, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"source '{self.name}' cannot be opened: is it plugged in or reachable, not in "
                'use by another program, and may this user read it?')
        for key, value in self._wanted.items():
            if value:
                capture.set(key, value)
        # The newest picture, not the oldest of a driver's queue; not every back end listens.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._capture = capture


def open_url(url: str, *, loop: bool = False) -> Union[VideoFile, LiveCapture]:
    """Return the video file or the live stream behind a URL: a file has an end.

    :raises SourceError: if it cannot be opened.
    """
    live = LiveCapture(url)
    if not live.finite:
        return live
    live.close()
    return VideoFile(url, loop=loop)


def _open_url(url: str) -> cv2.VideoCapture:
    os.environ.setdefault('OPENCV_FFMPEG_CAPTURE_OPTIONS', 'rtsp_transport;tcp')
    return _open(add_netrc_login(url), cv2.CAP_FFMPEG, [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 1000 * _TIMEOUT,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC, 1000 * _TIMEOUT])


def _open(what: Union[int, str], *how: object) -> cv2.VideoCapture:
    os.environ.setdefault('OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT', str(_TIMEOUT))
    native_threads.configure_opencv_logging()
    native_threads.silence_opencv()
    return cv2.VideoCapture(what, *how)
