"""Webcams, streams and video files, through OpenCV."""
import math
import os
from pathlib import Path
import re
import sys
import time
from typing import Optional, Union

import cv2
from gaze_ros.core.errors import SourceError
import numpy as np

#: Milliseconds after which a stream that cannot be opened, or stalls, counts as failed.
_STREAM_TIMEOUT = 5000


class VideoFile:
    """A video file, here or behind a URL, played at its own rate.

    :param location: path or URL.
    :raises SourceError: if it holds no video OpenCV can decode.
    """

    taken = math.nan

    def __init__(self, location: str, *, loop: bool = False) -> None:
        self.name = without_password(location)
        self._location = location
        self.loop = loop
        self._capture = self._open()
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= 1000 else 30.0
        self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def read(self) -> Optional[np.ndarray]:
        """Return the next picture, or None at the end of a file that is not looped."""
        ok, picture = self._capture.read()
        if not ok and self.loop:
            # Opened anew: seeking to 0 is not exact in every container.
            self._capture.release()
            self._capture = self._open()
            ok, picture = self._capture.read()
        return _as_bgr(picture) if ok else None

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = _open_url(self._location) if '://' in self._location else (
            cv2.VideoCapture(self._location))
        # FFmpeg plays text, too: as a terminal that shows it.
        text = int(capture.get(cv2.CAP_PROP_FOURCC)) == cv2.VideoWriter_fourcc(*'ansi')
        if text or not capture.isOpened():
            path = Path(self._location)
            what = f'{path.stat().st_size} bytes' if path.is_file() else 'not there'
            raise SourceError(
                f"source '{self.name}' ({what}) is no video OpenCV can decode: is it whole, and a "
                'video?')
        return capture


class LiveCapture:
    """A webcam or a network stream: pictures come at its own pace.

    :param device: index, device path or URL.
    :param width: asked of a webcam, as are height and fps; it may give others. 0 for its own.
    :raises SourceError: if it cannot be opened.
    """

    rate = 0.0
    count = 0
    taken = math.nan
    loop = False

    def __init__(self, device: Union[int, str], *, width: int = 0, height: int = 0,
                 fps: float = 0.0) -> None:
        self._device = device
        self._wanted = {
            cv2.CAP_PROP_FRAME_WIDTH: width, cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FPS: fps}
        self.name = without_password(str(device))
        self._capture: Optional[cv2.VideoCapture] = None
        self._open()

    def read(self) -> np.ndarray:
        """Return the next picture; after a failure, open the device anew first.

        :raises SourceError: if no picture comes.
        """
        if self._capture is None:
            self._open()
        # Taken when it was grabbed; decoding can take as long as the picture's way here.
        ok = self._capture.grab()
        self.taken = time.monotonic()
        ok, picture = self._capture.retrieve() if ok else (False, None)
        if not ok or picture is None or not picture.size:
            self.close()
            raise SourceError(f"source '{self.name}' gives no picture")
        return _as_bgr(picture)

    @property
    def finite(self) -> bool:
        """Whether this is a file after all."""
        return self._capture is not None and self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0

    def close(self) -> None:
        """Let go of the device."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _open(self) -> None:
        if isinstance(self._device, str) and '://' in self._device:
            capture = _open_url(self._device)
        else:
            # On Linux only its own back end: the others try in vain, and print pages.
            linux = sys.platform.startswith('linux')
            capture = cv2.VideoCapture(self._device, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
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
    return cv2.VideoCapture(url, cv2.CAP_FFMPEG, [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _STREAM_TIMEOUT,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC, _STREAM_TIMEOUT])


def without_password(url: str) -> str:
    """Return a URL as it may be logged: all up to its last @, which may be a password, as ***."""
    return re.sub(r'://.*@', '://***@', url, count=1)


def _as_bgr(picture: np.ndarray) -> np.ndarray:
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    if picture.shape[2] == 4:
        return cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR)
    return picture
