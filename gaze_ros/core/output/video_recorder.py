"""Videos that play, and play at the speed things happened."""
import logging
import math
from pathlib import Path
from time import monotonic
from typing import Optional

import cv2
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import disk_guard, safe_paths
import numpy as np

_log = logging.getLogger(__name__)

#: Bytes a frame takes in a file's index, more or less: 16 in an .avi.
_INDEX = 20


class ResumingVideoRecorder:
    """A video that goes on in another file where its own cannot be written any more.

    What was written plays, unless it was removed. As soon as there is room again the video goes on
    in PATH, or PATH_2, PATH_3, ... where that is there: a robot that runs unattended is to record
    again when somebody has made room, and not to overwrite what it has.

    :param path: of the file, see :class:`VideoRecorder`.
    :param kept: the time, in seconds, from which on a file is kept that was written then or later:
        this one's process may have been killed, and started again.
    :raises GazeRosError: if the file cannot be written.
    :ivar asked: the path as it was given.
    :ivar failure: why nothing is saved at present, or ''.
    """

    def __init__(self, path: str, fps: float = 30.0, kept: float = math.inf) -> None:
        self.requested_path, self._fps = path, fps
        # First: what another process writes at present is refused, not gone on with elsewhere.
        self._recorder: Optional[VideoRecorder] = VideoRecorder(path, fps)
        self._again = 0.0
        self.failure = ''
        try:
            self._path = self._recorder.path
            self._disk = disk_guard.device_of(self._path.parent)
            written = self._path.stat()
            if written.st_size and written.st_mtime >= kept:
                self._recorder.close()
                self._recorder = VideoRecorder(str(disk_guard.next_free_path(self._path)), fps)
                _log.info("'%s' was saved before this process was started again, and is kept; the "
                          "video goes on in '%s'", self._path, self._recorder.path)
        except BaseException:  # a signal, too: nothing empty is left behind
            self.close()
            raise

    def add(self, bgr: np.ndarray, stamp: float) -> None:
        """Add a picture as :meth:`VideoRecorder.add` does; what fails is told, not raised."""
        if self._recorder is None and monotonic() >= self._again:
            self._go_on()
        if self._recorder is None:
            return
        try:
            self._recorder.add(bgr, stamp)
        except GazeRosError as e:
            if not self.failure:
                _log.error('%s; the video goes on in another file when it can', e)
            self.failure = str(e)
            self.close()
            self._again = monotonic() + disk_guard.RETRY_PERIOD
            return
        if self.failure:  # not before: the next file may fail at its first picture, too
            self.failure = ''
            _log.info("the video goes on in '%s'", self._recorder.path)

    def close(self) -> None:
        """End the file so that it plays, and say where it is."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        try:
            if recorder.close():
                _log.info("saved '%s'", recorder.path)
        except GazeRosError as e:
            _log.error('%s', e)

    def _go_on(self) -> None:
        self._again = monotonic() + disk_guard.RETRY_PERIOD
        if not disk_guard.can_resume(self._path.parent, self._disk):
            return
        try:
            self._recorder = VideoRecorder(str(disk_guard.next_free_path(self._path)), self._fps)
        except GazeRosError:  # as told before
            return


class VideoRecorder:
    """Writes an .mp4 or .avi file at a constant rate from frames that come when they come.

    A frame is repeated until the next one's time, and one that shares its slot with a later one
    is left out. The first frame sets the size; later ones are scaled to it.

    It is ended before its disk is full.

    :param path: of the file; its folder is made.
    :param fps: frames a second of the file.
    :raises GazeRosError: if the file cannot be written.
    """

    def __init__(self, path: str, fps: float = 30.0) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in ('.mp4', '.avi', '.mkv'):
            raise GazeRosError(f"output '{path}' must end in .mp4, .avi or .mkv")
        try:
            self.path = safe_paths.safe_path(path)
        except OSError as e:
            raise GazeRosError(f"output '{path}' cannot be written: {e}") from e
        self._disk_guard = disk_guard.DiskSpaceGuard(self.path)  # told now, not at the first frame
        self.fps = fps
        self._writer: Optional[cv2.VideoWriter] = None
        self._size = (0, 0)
        #: Bytes that a frame takes at least: a bit for each block of 16 x 16 pixels.
        self._least = 0
        self._start = 0.0
        self._written = 0
        self._saved = False
        self._held: Optional[np.ndarray] = None

    def add(self, bgr: np.ndarray, stamp: float) -> None:
        """Add a (H, W, 3) uint8 BGR picture, which must not change afterwards.

        :param stamp: seconds; a stamp that jumps by more than 2 s, or back, is taken as the next
            slot.
        :raises GazeRosError: if the file cannot be written, or has to be ended now: close it.
        """
        if self._writer is None:
            self._check()
            self._open(bgr, stamp)
        slot = round((stamp - self._start) * self.fps)
        gap = slot - self._written
        if not 0 <= gap <= 2 * self.fps:
            self._start = stamp - (self._written + 1) / self.fps
            gap = 1
        for _ in range(gap if self._held is not None else 0):
            self._check()
            self._write()
        self._held = bgr

    def close(self) -> bool:
        """Write the last frame and the file's index: without it the file does not play.

        :returns: whether there is a file.
        :raises GazeRosError: if there should be one, and it does not play.
        """
        self._disk_guard.release_reserve()
        if self._writer is not None:
            if self._held is not None:
                self._write()
            self._writer.release()
            self._writer = self._held = None
            self._saved = self._disk_guard.in_place and cv2.VideoCapture(str(self.path)).grab()
        elif not self._written:
            self._disk_guard.remove_empty()
        lost = self._written and not self._saved and self._disk_guard.in_place
        self._disk_guard.close()
        if lost:
            raise GazeRosError(
                f"'{self.path}' does not play: its disk was full before it could be ended")
        return self._saved

    def _open(self, bgr: np.ndarray, stamp: float) -> None:
        height, width = bgr.shape[:2]
        # Encoders of 4:2:0 want even sides.
        self._size = max(2, width // 2 * 2), max(2, height // 2 * 2)
        self._least = self._size[0] * self._size[1] // (16 * 16 * 8)
        codec = 'MJPG' if self.path.suffix.lower() == '.avi' else 'mp4v'
        writer = cv2.VideoWriter(
            str(self.path), cv2.VideoWriter_fourcc(*codec), self.fps, self._size)
        if not writer.isOpened():
            raise GazeRosError(
                f"output '{self.path}' cannot be written as {codec} of {width}x{height}: are the "
                'pictures too large for it, or is its folder not writable?')
        self._writer = writer
        self._disk_guard.restarted()
        self._start = stamp

    def _check(self) -> None:
        # The encoder says nothing of a full disk, and its file does not play then.
        self._disk_guard.check(_INDEX * self._written, self._written * self._least)

    def _write(self) -> None:
        picture = self._held
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = cv2.resize(picture, self._size)
        self._writer.write(picture)
        self._written += 1
