"""The service ~/save_snapshot: the next picture as a file."""
from pathlib import Path
from threading import Condition
from typing import Optional

import cv2
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import safe_paths
from gaze_ros.ros.base.services import create_trigger_service
import numpy as np
from std_msgs.msg import Header

#: Seconds a picture has to come.
_PATIENCE = 2.0


def snapshot_folder(path: str) -> Path:
    """Return a folder for snapshots, made where it is not there, as outputs.folder does.

    :raises GazeRosError: if there is none, and none can be made.
    """
    try:
        return safe_paths.safe_folder(path)
    except (OSError, GazeRosError) as e:
        raise GazeRosError(
            f"snapshot_folder '{path}' is no folder and cannot be made: {e}; set it to a folder "
            'that can be written') from e


class SnapshotService:
    """Saves the next picture that a node draws, whenever it is asked to.

    :param node: a ManagedNode with the parameter snapshot_folder.
    """

    def __init__(self, node) -> None:
        self._node = node
        self._moved = Condition()
        self._wanted = False
        self._taken: Optional[tuple[np.ndarray, Header]] = None
        create_trigger_service(node, '~/save_snapshot', self._save)

    @property
    def pending(self) -> bool:
        """Whether the next picture is to be offered."""
        return self._wanted

    def offer(self, bgr: np.ndarray, header: Header) -> None:
        """Give a picture, from any thread; it must not change afterwards."""
        with self._moved:
            if self._wanted:
                self._wanted = False
                self._taken = bgr, header
                self._moved.notify()

    def _save(self) -> str:
        """Return the file; raises GazeRosError with the reason where there is none."""
        if not self._node.active:
            raise GazeRosError('the node is not active: it draws no picture')
        folder = snapshot_folder(self._node.values['snapshot_folder'])
        picture, header = self._next()
        path = folder / f'gaze_{header.stamp.sec}_{header.stamp.nanosec:09d}.png'
        try:
            with safe_paths.open_output(path) as file:
                file.write(cv2.imencode('.png', picture)[1].tobytes())
        except OSError as e:
            path.unlink(missing_ok=True)  # half of it
            raise GazeRosError(f"'{path}' cannot be written: {e}; set snapshot_folder") from e
        return str(path)

    def _next(self) -> tuple[np.ndarray, Header]:
        with self._moved:
            self._taken, self._wanted = None, True
            try:
                if not self._moved.wait_for(lambda: self._taken is not None, _PATIENCE):
                    raise GazeRosError(
                        f'no picture and its gaze came within {_PATIENCE:g} s: do the camera and '
                        'the gaze node run?')
                return self._taken
            finally:
                self._taken, self._wanted = None, False
