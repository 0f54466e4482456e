"""Videos that play, and play at the speed things happened."""
from pathlib import Path
from typing import Optional

import cv2
from gaze_ros.core.errors import GazeRosError
import numpy as np


class VideoRecorder:
    """Writes an .mp4 or .avi file at a constant rate from frames that come when they come.

    A frame is repeated until the next one's time, and one that shares its slot with a later one
    is left out. The first frame sets the size; later ones are scaled to it.

    :param path: of the file; its folder is made.
    :param fps: frames a second of the file.
    :raises GazeRosError: if the file cannot be written.
    """

    def __init__(self, path: str, fps: float = 30.0) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in ('.mp4', '.avi', '.mkv'):
            raise GazeRosError(f"output '{path}' must end in .mp4, .avi or .mkv")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.open('ab').close()  # told now, not at the first frame
        except OSError as e:
            raise GazeRosError(f"output '{path}' cannot be written: {e}") from e
        self.fps = fps
        self._writer: Optional[cv2.VideoWriter] = None
        self._size = (0, 0)
        self._start = 0.0
        self._written = 0
        self._held: Optional[np.ndarray] = None

    def add(self, bgr: np.ndarray, stamp: float) -> None:
        """Add a (H, W, 3) uint8 BGR picture, which must not change afterwards.

        :param stamp: seconds; a stamp that jumps by more than 2 s, or back, is taken as the next
            slot.
        :raises GazeRosError: if the file cannot be written.
        """
        if self._writer is None:
            self._open(bgr, stamp)
        slot = round((stamp - self._start) * self.fps)
        gap = slot - self._written
        if not 0 <= gap <= 2 * self.fps:
            self._start = stamp - (self._written + 1) / self.fps
            gap = 1
        for _ in range(gap if self._held is not None else 0):
            self._write()
        self._held = bgr

    def close(self) -> bool:
        """Write the last frame and the file's index: without it the file does not play.

        :returns: whether there is a file.
        """
        if self._writer is not None:
            if self._held is not None:
                self._write()
            self._writer.release()
            self._writer = self._held = None
        elif self.path.is_file() and not self.path.stat().st_size:
            self.path.unlink()
        return self._written > 0

    def _open(self, bgr: np.ndarray, stamp: float) -> None:
        height, width = bgr.shape[:2]
        # Encoders of 4:2:0 want even sides.
        self._size = max(2, width // 2 * 2), max(2, height // 2 * 2)
        codec = 'MJPG' if self.path.suffix.lower() == '.avi' else 'mp4v'
        writer = cv2.VideoWriter(
            str(self.path), cv2.VideoWriter_fourcc(*codec), self.fps, self._size)
        if not writer.isOpened():
            raise GazeRosError(
                f"output '{self.path}' cannot be written as {codec}: is its folder writable?")
        self._writer = writer
        self._start = stamp

    def _write(self) -> None:
        picture = self._held
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = cv2.resize(picture, self._size)
        self._writer.write(picture)
        self._written += 1
