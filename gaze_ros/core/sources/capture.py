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
from gaze_ros.core.sources.containers import is_whole
from gaze_ros.core.sources.decoding import as_bgr, ImageError, square_pixels
from gaze_ros.core.system import native_threads
from gaze_ros.core.system.file_locks import lock
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

#: Largest rate that is one of images: sound files with a cover image claim 90000.
_MAX_RATE = 1000
#: Seconds in a video that are plausible; some versions of OpenCV return garbage for some formats.
_MAX_STAMP = 1e7
#: Seconds by which the stamps of a video step back at least where another recording begins.
_MIN_RESTART = 1.0

#: Rates of recordings of videos with uneven times, frames per second.
_RECORDING_RATES = (30.0, 60.0, 120.0, 240.0)

#: Width of a pixel divided by its height, or the inverse: below, it counts as square; above, it
#: is not believed.
_MIN_PIXEL_ASPECT, _MAX_PIXEL_ASPECT = 1.005, 4.0


class VideoFile:
    """A video file, local or behind a URL, with its own rate.

    Undecodable images are skipped. The first ones and an early end are logged once. Images whose
    pixels are not square are scaled so that they are.

    :param location: path or URL.
    :raises SourceError: if OpenCV cannot decode it as a video.
    :ivar stamp: time of the last image in the video, seconds, as its container says; without such
        times (raw H.264) from the rate. It never decreases, except where a looped file restarts.
    """

    capture_time = math.nan

    def __init__(self, location: str, *, loop: bool = False) -> None:
        self.name = redact_url(location) if '://' in location else printable(location)
        self._location = location
        self.loop = loop
        self._undecodable_logged = self._early_end_logged = False
        self._open()
        _log_pixel_aspect(self.name, self._pixel_aspect)

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
        self.close()
        self._open()
        return self._grab()

    def retrieve(self) -> np.ndarray:
        """Return the grabbed image, with square pixels.

        :raises ImageError: if it cannot be converted.
        """
        image = None
        with suppress(cv2.error):
            image = self._capture.retrieve()[1]
        return square_pixels(as_bgr(image, self.name), self._pixel_aspect)

    def recording_rate(self) -> float:
        """Return a rate at which a recording of all images has a frame for each of them.

        :attr:`rate` may be the mean of uneven times. The file is read, but not decoded.
        """
        packets = _open(opencv_path(self._location), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
        stamps = []
        while packets.grab():
            stamps.append(1e-3 * packets.get(cv2.CAP_PROP_POS_MSEC))
        packets.release()
        times = np.unique(stamps)
        return next((rate for rate in (self.rate, *_RECORDING_RATES) if rate >= self.rate
                     and len(np.unique(np.round(rate * times))) == len(times)), self.rate)

    def close(self) -> None:
        """Release the file."""
        self._capture.release()
        if self._file is not None:
            self._file.close()

    def _grab(self) -> bool:
        """Decode the next image that can be; return False at the end."""
        if self._opening:
            self._opening = False
            return True
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
                self._set_stamp(skipped + 1)
                self._position += skipped + 1
                return True
        self._check_end()
        return False

    def _set_stamp(self, count: int) -> None:
        """Set the stamp of the grabbed image, which is that many images after the last one."""
        first = not self._position
        by_rate = (self.stamp + count / self.rate) if not first else 0.0
        position = 1e-3 * self._capture.get(cv2.CAP_PROP_POS_MSEC)
        if not 0 <= position < _MAX_STAMP or not (first or position):
            self.stamp = by_rate
            return
        stamp = position + self._shift
        if not first and stamp < self.stamp - _MIN_RESTART:
            self._shift += by_rate - stamp
            stamp = by_rate
        self.stamp = stamp if first else max(stamp, self.stamp)

    def _check_end(self) -> None:
        """Log once if the file ends early by its number of images, its time and its size."""
        share, period = 1 - _MAX_MISSING_SHARE, 1 / self.rate
        duration = self.count * period
        if (0 < self._position < share * self.count and self.stamp + period < share * duration
                and not self._early_end_logged and not is_whole(Path(self._location))):
            self._early_end_logged = True
            _log.warning("source '%s' ends after %d of %d images, at %.1f of %.1f s: is the file "
                         'complete?', self.name, self._position, self.count,
                         self.stamp + period, duration)

    def _lock(self) -> None:
        """Keep a file from being written while it is played.

        :raises SourceError: if it is being written.
        """
        self._file = None
        with suppress(OSError):
            if Path(self._location).is_file():  # opening a pipe would block
                self._file = open(self._location, 'rb')
        if self._file is not None and not lock(self._file, exclusive=False):
            self._file.close()
            raise SourceError(f"source '{self.name}' is being written by gaze_ros: wait until it "
                              'is finished, or set output to another file')

    def _open(self) -> None:
        path = '' if '://' in self._location else opencv_path(self._location)
        self._lock()
        self._capture = _open(path, cv2.CAP_ANY) if path else _open_url(self._location)
        # FFmpeg renders text files as video, too.
        text = int(self._capture.get(cv2.CAP_PROP_FOURCC)) == cv2.VideoWriter_fourcc(*'ansi')
        if text or not self._capture.isOpened():
            self.close()
            path = Path(self._location)
            size = f'{path.stat().st_size} bytes' if path.is_file() else 'does not exist'
            raise SourceError(
                f"source '{self.name}' ({size}) is not a video that OpenCV can decode; expected a "
                'complete video file')
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        plausible = 0 < rate <= _MAX_RATE
        self.rate = rate if plausible else 30.0
        self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))) if plausible else 0
        #: Number of images of this pass already read or skipped.
        self._position = 0
        self.stamp = math.nan
        #: Seconds added to the times of the container.
        self._shift = 0.0
        # A container opens whatever its codec is.
        self._opening = False
        self._opening = self._grab()
        if not self._opening:
            codec = int(self._capture.get(cv2.CAP_PROP_FOURCC)) & 0xffffffff
            self.close()
            raise SourceError(
                f"source '{self.name}': no image of it can be decoded; its codec is "
                f"{codec.to_bytes(4, 'little').decode('ascii', 'replace')!r}, which this OpenCV "
                'may lack: convert it, for example with ffmpeg -i IN -c:v libx264 OUT.mp4')
        self._pixel_aspect = _pixel_aspect(self._capture)


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
    capture_time = stamp = math.nan
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
        _log_pixel_aspect(self.name, self._pixel_aspect)

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
        return square_pixels(as_bgr(image, self.name), self._pixel_aspect)

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
            self._pixel_aspect = _pixel_aspect(capture)
        else:
            self._pixel_aspect = 1.0
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


def _pixel_aspect(capture: cv2.VideoCapture) -> float:
    """Return the width of a pixel divided by its height in the images that a capture delivers."""
    width, height = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    if not (width > 0 and height > 0 and (
            _MIN_PIXEL_ASPECT < max(width / height, height / width) < _MAX_PIXEL_ASPECT)):
        return 1.0
    sideways = capture.get(cv2.CAP_PROP_ORIENTATION_AUTO) and (
        capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180)
    return height / width if sideways else width / height


def _log_pixel_aspect(name: str, aspect: float) -> None:
    if aspect != 1:
        _log.info("source '%s' has pixels that are %.3f times as wide as high: its images are "
                  'scaled so that they are square', name, aspect)


def _open(device: Union[int, str], *options: object) -> cv2.VideoCapture:
    os.environ.setdefault('OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT', str(_TIMEOUT))
    native_threads.configure_opencv_logging()
    native_threads.silence_opencv()
    return cv2.VideoCapture(device, *options)
