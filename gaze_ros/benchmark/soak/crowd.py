"""People who come and go: the sample's face, up to five times in one picture."""
import math
from pathlib import Path

import cv2
from gaze_ros.core.errors import SourceError
from gaze_ros.core.sources.sample import Sample
import numpy as np

#: How many are there, a slot after the other, and then anew; each slot in seconds.
PRESENT, SLOT = (0, 1, 2, 3, 5, 4, 5, 2, 1, 3, 0, 2), 2.5

#: Size of the pictures and how many a second: what 2 cores do with time left.
WIDTH, HEIGHT, RATE = 640, 480, 15.0

#: The head in a picture of Sample(512, 512): x, y, width and height, pixels.
_HEAD = (146, 96, 210, 280)

#: Seconds in which one comes or goes, and pixels between two people.
_COMING, _APART = 0.8, WIDTH / 5


class Crowd:
    """Draws the pictures; the same time gives the same picture.

    :raises SourceError: if scikit-image, which the photograph is of, is not installed.
    """

    def __init__(self) -> None:
        x, y, w, h = _HEAD
        photograph = Sample(512, 512).read()
        size = (96, 128)
        self._head = cv2.resize(
            photograph[y:y + h, x:x + w], size, interpolation=cv2.INTER_AREA)
        shape = np.zeros(size[::-1], np.float32)
        cv2.ellipse(shape, (48, 64), (42, 58), 0, 0, 360, 1.0, -1)
        self._shape = cv2.GaussianBlur(shape, (0, 0), 3)[..., None]
        shades = np.linspace(70, 130, HEIGHT, dtype=np.float32)
        self._room = np.repeat(shades[:, None], WIDTH, 1)[..., None] * np.float32([1.0, 0.95, 0.9])

    def read(self, t: float) -> np.ndarray:
        """Return the (480, 640, 3) uint8 BGR picture at t seconds."""
        picture = self._room.copy()
        for person in range(5):
            if there := presence(person, t):
                x = (person + 0.5) * _APART + 12 * math.sin(t / 2 + person)
                y = HEIGHT * (0.45 + 0.65 * (1 - there)) + 8 * math.sin(t + 2 * person)
                self._put(picture, round(x - 48), round(y - 64))
        return picture.astype(np.uint8)

    def _put(self, picture: np.ndarray, x: int, y: int) -> None:
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + 96, WIDTH), min(y + 128, HEIGHT)
        if left >= right or top >= bottom:
            return
        part = np.s_[top - y:bottom - y, left - x:right - x]
        where = picture[top:bottom, left:right]
        where += self._shape[part] * (self._head[part] - where)


def presence(person: int, t: float) -> float:
    """Return how far somebody has come into the picture at t seconds: 0 not at all, 1 wholly.

    :param person: 0..4.
    """
    slot, within = divmod(t, SLOT)
    now, before = (PRESENT[int(n) % len(PRESENT)] > person for n in (slot, slot - 1))
    if now == before:
        return float(now)
    moved = min(1.0, within / _COMING)
    return moved if now else 1.0 - moved


def save_clip(path: Path, seconds: float) -> Path:
    """Save a video of them.

    :raises SourceError: if it cannot be written.
    """
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'mp4v'), RATE, (WIDTH, HEIGHT))
    try:
        if not writer.isOpened():
            raise SourceError(f"'{path}' cannot be written: is there room on the disk?")
        crowd = Crowd()
        for index in range(round(RATE * seconds)):
            writer.write(crowd.read(index / RATE))
    finally:
        writer.release()
    return path


def save_stills(folder: Path) -> Path:
    """Save a picture of each slot in a folder, to be played in turns.

    :raises SourceError: if they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    crowd = Crowd()
    for slot in range(len(PRESENT)):
        path = folder / f'{slot:02}.jpg'
        if not cv2.imwrite(str(path), crowd.read((slot + 0.9) * SLOT)):
            raise SourceError(f"'{path}' cannot be written: is there room on the disk?")
    return folder
