"""The service ~/save_snapshot: saves the next annotated image as a PNG file."""
from pathlib import Path
from threading import Condition
from typing import Optional

import cv2
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import safe_paths
from gaze_ros.ros.base.services import create_trigger_service
import numpy as np
from std_msgs.msg import Header

#: Seconds to wait for the next image.
_IMAGE_TIMEOUT = 2.0


def snapshot_folder(path: str) -> Path:
    """Return the folder for snapshots; it is created if missing, see safe_paths.safe_folder.

    :raises GazeRosError: if it is not a folder and cannot be created.
    """
    try:
        return safe_paths.safe_folder(path)
    except (OSError, GazeRosError) as e:
        raise GazeRosError(
            f"snapshot_folder '{path}' is not a folder and cannot be created: {e}; set it to a "
            'writable folder') from e


class SnapshotService:
    """Saves the next image that a node draws, on request.

    :param node: a ManagedNode with the parameter snapshot_folder.
    """

    def __init__(self, node) -> None:
        self._node = node
        self._condition = Condition()
        self._pending = False
        self._offered: Optional[tuple[np.ndarray, Header]] = None
        create_trigger_service(node, '~/save_snapshot', self._save)

    @property
    def pending(self) -> bool:
        """Whether a request waits for the next image."""
        return self._pending

    def offer(self, image: np.ndarray, header: Header) -> None:
        """Pass an annotated image, from any thread; it must not change afterwards.

        :param image: (H, W, 3) uint8 BGR.
        """
        with self._condition:
            if self._pending:
                self._pending = False
                self._offered = image, header
                self._condition.notify()

    def _save(self) -> str:
        """Save the next image and return the path of the file; raise GazeRosError on failure."""
        if not self._node.active:
            raise GazeRosError('the node is not active: it draws no images')
        folder = snapshot_folder(self._node.values['snapshot_folder'])
        image, header = self._next()
        path = folder / f'gaze_{header.stamp.sec}_{header.stamp.nanosec:09d}.png'
        try:
            with safe_paths.open_output(path) as file:
                file.write(cv2.imencode('.png', image)[1].tobytes())
        except OSError as e:
            path.unlink(missing_ok=True)  # incomplete
            raise GazeRosError(f"'{path}' cannot be written: {e}; set snapshot_folder") from e
        return str(path)

    def _next(self) -> tuple[np.ndarray, Header]:
        with self._condition:
            self._offered, self._pending = None, True
            try:
                if not self._condition.wait_for(
                        lambda: self._offered is not None, _IMAGE_TIMEOUT):
                    raise GazeRosError(
                        f'no image with its gaze arrived within {_IMAGE_TIMEOUT:g} s; check that '
                        'the camera and the gaze node run')
                return self._offered
            finally:
                self._offered, self._pending = None, False
