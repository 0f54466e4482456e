"""Webcams, network streams and video files, read by OpenCV."""
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
from gaze_ros.core.sources.decoding import as_bgr, ImageError
from gaze_ros.core.system import native_threads
from gaze_ros.core.system.opencv_files import opencv_path
from gaze_ros.core.system.urls import add_netrc_login, redact_url
from gaze_ros.core.system.utf8 import is_utf8, printable
import numpy as np

_log = logging.getLogger(__name__)

#: Seconds after which opening or reading a stream or a webcam has failed. OpenCV's own limits are
#: 30 s for a stream and 10 s for a webcam. A webcam that is triggered less often needs OpenCV's
#: variable OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT, at most 10.
_TIMEOUT = 5

#: Consecutive undecodable images of a file after which it counts as ended.
_MAX_UNDECODABLE = 300

#: Tolerated share of missing images at the end of a file: some formats only estimate the count.
_MAX_MISSING_SHARE = 0.1


class VideoFile:
    """A video file, local or behind a URL, with its own rate.

    Undecodable images are skipped. The first ones and an early end are logged once.

    :param location: path or URL.
    :raises SourceError: if OpenCV cannot decode it as a video.
    """

    capture_time = math.nan

    def __init__(self, location: str, *, loop: bool = False) -> None:
        self.name = redact_url(location) if '://' in location else printable(location)
        self._location = location
        self.loop = loop
        self._undecodable_logged = self._early_end_logged = False
        self._open()
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= 1000 else 30.0

    def read(self) -> Optional[np.ndarray]:
        """Return the next image, or None at the end of a file that is not looped.

        :raises ImageError: if 300 images in a row cannot be converted.
        :raises SourceError: if a looped file was removed or has no image.
        """
        for attempt in range(_MAX_UNDECODABLE):
            if not self.grab():
                return None
            try:
                return self.retrieve()
            except ImageError:
                if attempt + 1 == _MAX_UNDECODABLE:
                    raise
        return None

    def grab(self) -> bool:
        """Decode the next image; return False at the end of a file that is not looped.

        A video decoder needs every image for the next one; :meth:`retrieve` converts it.

        :raises SourceError: if a looped file was removed or has no image.
        """
        if self._grab():
            return True
        if not self.loop:
            return False
        # Opened again: seeking to 0 is not exact in every container.
        self._capture.release()
        self._open()
        if not self._grab():
            raise SourceError(f"source '{self.name}' has no image that OpenCV can decode")
        return True

    def retrieve(self) -> np.ndarray:
        """Return the grabbed image.

        :raises ImageError: if it cannot be converted.
        """
        image = None
        with suppress(cv2.error):
            image = self._capture.retrieve()[1]
        return as_bgr(image, self.name)

    def close(self) -> None:
        """Release the file."""
        self._capture.release()

    def _grab(self) -> bool:
        """Decode the next image that can be; return False at the end."""
        # It may fail in the middle of a file, too. A stalled server is not retried: each attempt
        # would wait for its timeout.
        local = '://' not in self._location
        attempts = min(_MAX_UNDECODABLE, max(0, self.count - self._position)) + 1 if local else 1
        for skipped in range(attempts):
            try:
                ok = self._capture.grab()
            except cv2.error:
                continue
            if ok:
                if skipped and not self._undecodable_logged:
                    self._undecodable_logged = True
                    _log.warning(
                        "source '%s': %d images from number %d on cannot be decoded; these and "
                        'later ones are skipped', self.name, skipped, self._position + 1)
                self._position += skipped + 1
                return True
        early = self._position < (1 - _MAX_MISSING_SHARE) * self.count
        if early and not self._early_end_logged:
            self._early_end_logged = True
            _log.warning("source '%s' ends after %d of %d images: is the file complete?",
                         self.name, self._position, self.count)
        return False

    def _open(self) -> None:
        self._capture = _open_url(self._location) if '://' in self._location else (
            _open(opencv_path(self._location), cv2.CAP_ANY))
        # FFmpeg renders text files as video, too.
        text = int(self._capture.get(cv2.CAP_PROP_FOURCC)) == cv2.VideoWriter_fourcc(*'ansi')
        if text or not self._capture.isOpened():
            self._capture.release()
            path = Path(self._location)
            size = f'{path.stat().st_size} bytes' if path.is_file() else 'does not exist'
            raise SourceError(
                f"source '{self.name}' ({size}) is not a video that OpenCV can decode; expected a "
                'complete video file')
        self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        #: Number of images of this pass already read or skipped.
        self._position = 0


class LiveCapture:
    """A webcam or a network stream, which sets its own pace.

    :param device: index, device path or URL.
    :param width: requested width of a webcam in pixels; 0 = the driver's default. The driver may
        choose other values than the requested ones.
    :param height: requested height of a webcam in pixels; 0 = the driver's default.
    :param fps: requested images per second of a webcam; 0 = the driver's default.
    :raises SourceError: if it cannot be opened.
    """

    rate = 0.0
    count = 0
    capture_time = math.nan
    loop = False

    def __init__(self, device: Union[int, str], *, width: int = 0, height: int = 0,
                 fps: float = 0.0) -> None:
        self._device = device
        self._requested = {
            cv2.CAP_PROP_FRAME_WIDTH: width, cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FPS: fps}
        self.name = printable(redact_url(str(device)))
        self._capture: Optional[cv2.VideoCapture] = None
        self._open()

    def read(self) -> np.ndarray:
        """Return the next image; after a failure, open the device again first.

        :raises ImageError: if this image cannot be decoded.
        :raises SourceError: if the device delivers no image.
        """
        self.grab()
        return self.retrieve()

    def grab(self) -> bool:
        """Wait for the next image; after a failure, open the device again first.

        :raises SourceError: if the device delivers no image.
        """
        if self._capture is None:
            self._open()
        reason = ''
        # The capture time is that of the grab: decoding may take as long as the transfer.
        try:
            ok = self._capture.grab()
        except cv2.error as e:
            ok, reason = False, f': {e.err}'
        self.capture_time = time.monotonic()
        if not ok:
            self.close()
            raise SourceError(f"source '{self.name}' delivers no image{reason}")
        return True

    def retrieve(self) -> np.ndarray:
        """Return the grabbed image.

        :raises ImageError: if it cannot be decoded.
        """
        image = None
        with suppress(cv2.error):
            image = self._capture.retrieve()[1]
        return as_bgr(image, self.name)

    @property
    def finite(self) -> bool:
        """Whether this is in fact a file."""
        return self._capture is not None and self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0

    def close(self) -> None:
        """Release the device; reading opens it again."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def reopened(self) -> 'LiveCapture':
        """Return a new capture of the same device, which it opens at the first read."""
        other = copy(self)
        other._capture = None
        return other

    def _open(self) -> None:
        if isinstance(self._device, str) and '://' in self._device:
            capture = _open_url(self._device)
        else:
            # Only the native backend on Linux: the others fail and print pages of messages.
            linux = sys.platform.startswith('linux')
            capture = _open(
                self._device if isinstance(self._device, int) else opencv_path(self._device),
                cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"source '{self.name}' cannot be opened: is it plugged in or reachable, not in "
                'use by another program, and may this user read it?')
        for key, value in self._requested.items():
            if value:
                capture.set(key, value)
        # The newest image, not the oldest of the driver's queue; not every backend supports it.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._capture = capture


def open_url(url: str, *, loop: bool = False) -> Union[VideoFile, LiveCapture]:
    """Return the video file or the live stream at a URL; only a file has an end.

    :raises SourceError: if it cannot be opened.
    """
    live = LiveCapture(url)
    if not live.finite:
        return live
    live.close()
    return VideoFile(url, loop=loop)


def _open_url(url: str) -> cv2.VideoCapture:
    if not is_utf8(url):
        raise SourceError(f"source '{redact_url(url)}' is not UTF-8; write its bytes as %NN")
    os.environ.setdefault('OPENCV_FFMPEG_CAPTURE_OPTIONS', 'rtsp_transport;tcp')
    return _open(add_netrc_login(url), cv2.CAP_FFMPEG, [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 1000 * _TIMEOUT,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC, 1000 * _TIMEOUT])


def _open(device: Union[int, str], *options: object) -> cv2.VideoCapture:
    os.environ.setdefault('OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT', str(_TIMEOUT))
    native_threads.configure_opencv_logging()
    native_threads.silence_opencv()
    return cv2.VideoCapture(device, *options)
