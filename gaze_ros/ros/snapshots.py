"""The service ~/save_snapshot: the next picture as a file."""
from pathlib import Path
from threading import Condition
from typing import Optional

import cv2
import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from std_msgs.msg import Header
from std_srvs.srv import Trigger

#: Seconds a picture has to come.
_PATIENCE = 2.0


class Snapshots:
    """Saves the next picture that a node draws, whenever it is asked to.

    :param node: a ManagedNode with the parameter snapshot_folder.
    """

    def __init__(self, node) -> None:
        self._node = node
        self._moved = Condition()
        self._wanted = False
        self._taken: Optional[tuple[np.ndarray, Header]] = None
        # A group of its own: this one waits, and nothing else is to wait for it.
        node.create_service(
            Trigger, '~/save_snapshot', self._on_save,
            callback_group=MutuallyExclusiveCallbackGroup())

    @property
    def wanted(self) -> bool:
        """Whether the next picture is to be offered."""
        return self._wanted

    def offer(self, bgr: np.ndarray, header: Header) -> None:
        """Give a picture, from any thread; it must not change afterwards."""
        with self._moved:
            if self._wanted:
                self._wanted = False
                self._taken = bgr, header
                self._moved.notify()

    def _on_save(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message = str(self._save())
            response.success = True
        except OSError as e:
            response.message = ' '.join(str(e).split())
        return response

    def _save(self) -> Path:
        """Return the file; raises OSError with the reason where there is none."""
        if not self._node.active:
            raise OSError('the node is not active: it draws no picture')
        folder = Path(self._node.values['snapshot_folder']).expanduser().absolute()
        picture, header = self._next()
        path = folder / f'gaze_{header.stamp.sec}_{header.stamp.nanosec:09d}.png'
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode('.png', picture)[1].tobytes())
        except OSError as e:
            raise OSError(f"'{path}' cannot be written: {e}; set snapshot_folder") from e
        return path

    def _next(self) -> tuple[np.ndarray, Header]:
        with self._moved:
            self._taken, self._wanted = None, True
            try:
                if not self._moved.wait_for(lambda: self._taken is not None, _PATIENCE):
                    raise OSError(
                        f'no picture and its gaze came within {_PATIENCE:g} s: do the camera and '
                        'the gaze node run?')
                return self._taken
            finally:
                self._taken, self._wanted = None, False
