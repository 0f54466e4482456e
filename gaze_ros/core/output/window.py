"""A window on the screen, where there is a screen."""
import os
import re
import subprocess
import sys
import time
from typing import Optional

import cv2
from gaze_ros.core.errors import GazeRosError
import numpy as np


class Window:
    """Shows the newest picture offered; all but :meth:`offer` belongs to the main thread.

    :raises GazeRosError: if there is no display, or OpenCV has no windows.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._newest: Optional[np.ndarray] = None
        self._shown = False
        _check_display()

    def show(self, bgr: np.ndarray) -> None:
        """Leave a picture to be shown next, from any thread; it must not change afterwards."""
        self._newest = bgr

    def poll(self, wait: int = 15) -> bool:
        """Show what was offered; return False once q or Esc was pressed or the window closed.

        :param wait: milliseconds to mind the window.
        """
        picture, self._newest = self._newest, None
        if picture is not None:
            if not self._shown:
                cv2.namedWindow(self.name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
                cv2.resizeWindow(self.name, picture.shape[1], picture.shape[0])
                self._shown = True
            cv2.imshow(self.name, picture)
        if not self._shown:
            time.sleep(wait / 1000)
            return True
        key = cv2.waitKey(wait) & 0xFF
        closed = cv2.getWindowProperty(self.name, cv2.WND_PROP_VISIBLE) < 1
        return not (key in (ord('q'), 27) or closed)

    def close(self) -> None:
        """Close the window."""
        if self._shown:
            cv2.destroyAllWindows()
            cv2.waitKey(1)  # it is gone when the screen's events were minded
            self._shown = False


def _check_display() -> None:
    """Try a window in another process: OpenCV's Qt ends the process that finds no display."""
    if re.search(r'GUI:\s+NONE', cv2.getBuildInformation()):
        raise GazeRosError(
            'view: this OpenCV has no windows (opencv-python-headless); going on without one. '
            'docs/install.md tells how to exchange it')
    if sys.platform.startswith('linux') and not (
            os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        raise GazeRosError(
            'view: there is no display (DISPLAY and WAYLAND_DISPLAY are not set); going on '
            'without a window. The annotated image is on its topic, and output saves a video.')
    # Without what -c puts first: modules of the folder that it happens to be started in.
    code = ('import sys; sys.path[:] = filter(None, sys.path); '
            'import cv2; cv2.namedWindow("gaze_ros"); cv2.waitKey(1)')
    try:
        done = subprocess.run(  # noqa: S603, our own interpreter and code
            [sys.executable, '-c', code], capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        raise GazeRosError(
            f"view: the display '{os.environ.get('DISPLAY')}' does not answer; going on without "
            'a window') from None
    if done.returncode:
        words = done.stderr.decode(errors='replace').strip().splitlines()
        raise GazeRosError(
            f"view: no window could be opened on '{os.environ.get('DISPLAY')}' "
            f'({words[-1] if words else "no reason given"}); going on without a window')
