"""Runs a camera node with virtual webcams; used as a prefix of its command line.

``virtual_devices.py STATE HANGS TIMEOUT camera_node --ros-args ...``

The test machine needs no /dev/video*: cv2.VideoCapture of a number opens a virtual device, below
all code of the package. OpenCV itself opens paths and URLs.

STATE is a file. Its text sets what the devices do; STATE.counts gets the numbers of devices and
threads as JSON, 10 times a second.

good   30 images/s
gone   opening and reading fail, as for an unplugged webcam
empty  reading succeeds with an image of 0x0 pixels; none: with None; odd: with 2 channels
raises OpenCV raises an error
spoilt every third image is empty
stuck  a read that starts now blocks, and the device cannot be opened
loose  blocked reads return without an image; otherwise as good
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


def read_state() -> str:
    return STATE.read_text()


class Device:
    """One opened device."""

    open = stuck = 0

    def __init__(self) -> None:
        self._opened = read_state() not in ('gone', 'stuck')
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
        if read_state() == 'stuck':
            Device.stuck += 1
            while read_state() != 'loose':
                time.sleep(0.02)
            Device.stuck -= 1
            return False
        if read_state() == 'raises':
            cv2.cvtColor(np.empty((0, 0), np.uint8), cv2.COLOR_GRAY2BGR)
        return self._opened and read_state() != 'gone'

    def retrieve(self) -> tuple:
        what = read_state()
        if what == 'none':
            return True, None
        if what == 'odd':
            return True, np.zeros((480, 640, 2), np.uint8)
        if what == 'empty' or what == 'spoilt' and self._count % 3 == 0:
            return True, np.zeros((0, 0, 3), np.uint8)
        return True, np.full((480, 640, 3), self._count % 200, np.uint8)


def report_counts() -> None:
    while True:
        counts = STATE.with_suffix('.new')
        counts.write_text(json.dumps({
            'open': Device.open, 'stuck': Device.stuck,
            'readers': sum(t.name == 'camera' for t in threads())}))
        counts.replace(STATE.with_suffix('.counts'))
        Event().wait(0.1)


if __name__ == '__main__':
    del sys.argv[1:5]
    cv2.VideoCapture = lambda what, *how: Device() if isinstance(what, int) else REAL(what, *how)
    capture._TIMEOUT = TIMEOUT
    capture_thread.HANG_TIMEOUT = player.HANG_TIMEOUT = HANGS
    Thread(target=report_counts, daemon=True).start()
    camera_node()
