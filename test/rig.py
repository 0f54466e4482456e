"""A camera node whose devices do what a test says: as a prefix of its command line.

``rig.py STATE HANGS TIMEOUT camera_node --ros-args ...``

There is no /dev/video* where tests run. So cv2.VideoCapture of numbers is one of the test here,
below everything that is the package's. Paths and URLs are opened by OpenCV itself.

STATE is a file: its text is what devices do at present, and STATE.told is what there is of them
and of threads, as JSON, ten times a second.

good   a picture 30 times a second
gone   opening and reading fail, as when it is unplugged
empty  reading succeeds, and the picture has 0x0 pixels; none: it is None; odd: it has 2 channels
raises OpenCV raises an error
spoilt every third picture is empty
stuck  who reads now never comes back, also later, and the device cannot be opened
loose  who was stuck comes back, without a picture; devices are as good
"""
import json
from pathlib import Path
import sys
from threading import enumerate as threads
from threading import Event, Thread
import time

import cv2
from gaze_ros.core.sources import capture, capture_thread, player
from gaze_ros.ros.process.entry_points import camera_node
import numpy as np

STATE, HANGS, TIMEOUT = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
REAL = cv2.VideoCapture


def state() -> str:
    return STATE.read_text()


class Device:
    """One opened device."""

    open = stuck = 0

    def __init__(self) -> None:
        self._opened = state() not in ('gone', 'stuck')
        self._count = 0
        Device.open += self._opened

    def isOpened(self) -> bool:  # noqa: N802, OpenCV's
        return self._opened

    def set(self, key: int, value: float) -> bool:
        return True

    def get(self, key: int) -> float:
        return 0.0

    def release(self) -> None:
        Device.open -= self._opened
        self._opened = False

    def grab(self) -> bool:
        time.sleep(1 / 30)
        self._count += 1
        if state() == 'stuck':
            Device.stuck += 1
            while state() != 'loose':
                time.sleep(0.02)
            Device.stuck -= 1
            return False
        if state() == 'raises':
            cv2.cvtColor(np.empty((0, 0), np.uint8), cv2.COLOR_GRAY2BGR)
        return self._opened and state() != 'gone'

    def retrieve(self) -> tuple:
        what = state()
        if what == 'none':
            return True, None
        if what == 'odd':
            return True, np.zeros((480, 640, 2), np.uint8)
        if what == 'empty' or what == 'spoilt' and self._count % 3 == 0:
            return True, np.zeros((0, 0, 3), np.uint8)
        return True, np.full((480, 640, 3), self._count % 200, np.uint8)


def tell() -> None:
    while True:
        told = STATE.with_suffix('.new')
        told.write_text(json.dumps({
            'open': Device.open, 'stuck': Device.stuck,
            'readers': sum(t.name == 'camera' for t in threads())}))
        told.replace(STATE.with_suffix('.told'))
        Event().wait(0.1)


if __name__ == '__main__':
    del sys.argv[1:5]
    cv2.VideoCapture = lambda what, *how: Device() if isinstance(what, int) else REAL(what, *how)
    capture._TIMEOUT = TIMEOUT
    capture_thread.HANG_TIMEOUT = player.HANG_TIMEOUT = HANGS
    Thread(target=tell, daemon=True).start()
    camera_node()
