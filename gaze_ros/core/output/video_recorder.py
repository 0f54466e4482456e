"""Records a video at its true speed that stays playable when the disk fills up."""
import logging
import math
from pathlib import Path
from time import monotonic
from typing import Optional

import cv2
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import disk_guard, safe_paths
from gaze_ros.core.system.opencv_files import opencv_path
import numpy as np

_log = logging.getLogger(__name__)

#: Approximate bytes per frame in the index of a file: 16 in an .avi.
_INDEX_BYTES = 20


class ResumingVideoRecorder:
    """Records a video and continues in another file when the current one cannot be written.

    The finished file plays, unless it was removed. When there is space again, the video continues
    in PATH, or in PATH_2, PATH_3, ... if that exists: a robot that runs unattended records again
    as soon as possible and never overwrites its recordings.

    :param path: path of the file, see :class:`VideoRecorder`.
    :param keep_since: an existing file modified at or after this time (seconds) is kept: this
        process may have been killed and restarted.
    :raises GazeRosError: if the file cannot be written.
    :ivar requested_path: the path as given.
    :ivar failure: why nothing is saved at present, or ''.
    """

    def __init__(self, path: str, fps: float = 30.0, keep_since: float = math.inf) -> None:
        self.requested_path, self._fps = path, fps
        # First: a file that another process is writing is refused rather than kept.
        self._recorder: Optional[VideoRecorder] = VideoRecorder(path, fps)
        self._retry_time = 0.0
        self.failure = ''
        try:
            self._path = self._recorder.path
            self._device = disk_guard.device_of(self._path.parent)
            existing = self._path.stat()
            if existing.st_size and existing.st_mtime >= keep_since:
                self._recorder.close()
                self._recorder = VideoRecorder(str(disk_guard.next_free_path(self._path)), fps)
                _log.info("'%s' was saved before this process restarted, and is kept; the video "
                          "continues in '%s'", self._path, self._recorder.path)
        except BaseException:  # including a signal: leave no empty file
            self.close()
            raise

    def add(self, image: np.ndarray, stamp: float) -> None:
        """Add an image as :meth:`VideoRecorder.add` does; a failure is logged, not raised."""
        if self._recorder is None and monotonic() >= self._retry_time:
            self._resume()
        if self._recorder is None:
            return
        try:
            self._recorder.add(image, stamp)
        except GazeRosError as e:
            if not self.failure:
                _log.error('%s; the video continues in another file when possible', e)
            self.failure = str(e)
            self.close()
            self._retry_time = monotonic() + disk_guard.RETRY_PERIOD
            return
        if self.failure:  # cleared only now: the next file may fail at its first image, too
            self.failure = ''
            _log.info("the video continues in '%s'", self._recorder.path)

    def close(self) -> None:
        """Finish the file so that it plays, and log its path."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        try:
            if recorder.close():
                _log.info("saved '%s'", recorder.path)
        except GazeRosError as e:
            _log.error('%s', e)

    def _resume(self) -> None:
        self._retry_time = monotonic() + disk_guard.RETRY_PERIOD
        if not disk_guard.can_resume(self._path.parent, self._device):
            return
        try:
            self._recorder = VideoRecorder(str(disk_guard.next_free_path(self._path)), self._fps)
        except GazeRosError:  # the failure was logged
            return


class VideoRecorder:
    """Writes an .mp4, .avi or .mkv file at a constant rate from images at irregular times.

    An image is repeated until the time of the next one. Of several images within one frame
    period only the last is kept. The first image sets the size; later ones are scaled to it. The
    file is finished before its disk is full.

    :param path: path of the file; its folder is created.
    :param fps: frames per second of the file.
    :param max_gap: seconds between two images that the file reproduces; a longer gap, in which a
        camera was probably paused, becomes one frame period.
    :raises GazeRosError: if the file cannot be written.
    """

    def __init__(self, path: str, fps: float = 30.0, max_gap: float = 2.0) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in ('.mp4', '.avi', '.mkv'):
            raise GazeRosError(f"output '{path}' must end in .mp4, .avi or .mkv")
        try:
            self.path = safe_paths.safe_path(path)
        except OSError as e:
            raise GazeRosError(f"output '{path}' cannot be written: {e}") from e
        self._opencv_path = opencv_path(self.path)
        # Created here, so that a failure is reported now and not at the first image.
        self._disk_guard = disk_guard.DiskSpaceGuard(self.path)
        self.fps = fps
        self.max_gap = max_gap
        self._writer: Optional[cv2.VideoWriter] = None
        self._size = (0, 0)
        #: Minimum bytes per frame: one bit per block of 16 x 16 pixels.
        self._min_frame_bytes = 0
        self._start = 0.0
        self._written = 0
        self._saved = False
        self._pending: Optional[np.ndarray] = None

    def add(self, image: np.ndarray, stamp: float) -> None:
        """Add a (H, W, 3) uint8 BGR image, which must not change afterwards.

        :param stamp: seconds; after a jump back, or forward by more than ``max_gap``, the image
            takes the next frame.
        :raises GazeRosError: if the file cannot be written, or must be finished now: close it.
        """
        if self._writer is None:
            self._check()
            self._open(image, stamp)
        slot = round((stamp - self._start) * self.fps)
        gap = slot - self._written
        if not 0 <= gap <= self.max_gap * self.fps:
            self._start = stamp - (self._written + 1) / self.fps
            gap = 1
        for _ in range(gap if self._pending is not None else 0):
            self._check()
            self._write()
        self._pending = image

    def close(self) -> bool:
        """Write the last frame and the index, without which the file does not play.

        :returns: whether there is a file.
        :raises GazeRosError: if there should be a file and it does not play.
        """
        self._disk_guard.release_reserve()
        if self._writer is not None:
            if self._pending is not None:
                self._write()
            self._writer.release()
            self._writer = self._pending = None
            self._saved = self._disk_guard.in_place and (
                cv2.VideoCapture(self._opencv_path).grab())
        elif not self._written:
            self._disk_guard.remove_empty()
        lost = self._written and not self._saved and self._disk_guard.in_place
        self._disk_guard.close()
        if lost:
            raise GazeRosError(
                f"'{self.path}' does not play: its disk was full before it could be finished")
        return self._saved

    def _open(self, image: np.ndarray, stamp: float) -> None:
        height, width = image.shape[:2]
        # 4:2:0 encoders need even sides.
        self._size = max(2, width // 2 * 2), max(2, height // 2 * 2)
        self._min_frame_bytes = self._size[0] * self._size[1] // (16 * 16 * 8)
        codec = 'MJPG' if self.path.suffix.lower() == '.avi' else 'mp4v'
        writer = cv2.VideoWriter(
            self._opencv_path, cv2.VideoWriter_fourcc(*codec), self.fps, self._size)
        if not writer.isOpened():
            raise GazeRosError(
                f"output '{self.path}' cannot be written as {codec} of {width}x{height}: are the "
                'images too large for it, or is its folder not writable?')
        self._writer = writer
        self._disk_guard.reset()
        self._start = stamp

    def _check(self) -> None:
        # The encoder does not report a full disk, and its file does not play then.
        self._disk_guard.check(
            _INDEX_BYTES * self._written, self._written * self._min_frame_bytes)

    def _write(self) -> None:
        image = self._pending
        if (image.shape[1], image.shape[0]) != self._size:
            image = cv2.resize(image, self._size)
        self._writer.write(image)
        self._written += 1
