"""Shows images in a window, if there is a display."""
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
    """Shows the newest image. Call everything but :meth:`show` from the main thread.

    :raises GazeRosError: if there is no display, or OpenCV was built without windows.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._newest: Optional[np.ndarray] = None
        self._shown = False
        _check_display()

    def show(self, image: np.ndarray) -> None:
        """Set the image to show next, from any thread; it must not change afterwards."""
        self._newest = image

    def poll(self, wait: int = 15) -> bool:
        """Show the newest image; return False once q or Esc is pressed or the window is closed.

        :param wait: milliseconds to process window events.
        """
        image, self._newest = self._newest, None
        if image is not None:
            if not self._shown:
                cv2.namedWindow(self.name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
                cv2.resizeWindow(self.name, image.shape[1], image.shape[0])
                self._shown = True
            cv2.imshow(self.name, image)
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
            cv2.waitKey(1)  # closes when window events are processed
            self._shown = False


def _check_display() -> None:
    """Open a window in another process: OpenCV's Qt aborts a process without a display."""
    if re.search(r'GUI:\s+NONE', cv2.getBuildInformation()):
        raise GazeRosError(
            'view: this OpenCV has no windows (opencv-python-headless); continuing without one. '
            'docs/install.md describes how to replace it')
    if sys.platform.startswith('linux') and not (
            os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        raise GazeRosError(
            'view: there is no display (DISPLAY and WAYLAND_DISPLAY are not set); continuing '
            'without a window. The annotated image is on its topic, and output saves a video.')
    # -c puts the current folder first in sys.path; its modules must not be imported.
    code = ('import sys; sys.path[:] = filter(None, sys.path); '
            'import cv2; cv2.namedWindow("gaze_ros"); cv2.waitKey(1)')
    try:
        done = subprocess.run(  # noqa: S603, our own interpreter and code
            [sys.executable, '-c', code], capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        raise GazeRosError(
            f"view: the display '{os.environ.get('DISPLAY')}' does not answer; continuing without "
            'a window') from None
    if done.returncode:
        lines = done.stderr.decode(errors='replace').strip().splitlines()
        raise GazeRosError(
            f"view: no window could be opened on '{os.environ.get('DISPLAY')}' "
            f'({lines[-1] if lines else "no reason given"}); continuing without a window')
