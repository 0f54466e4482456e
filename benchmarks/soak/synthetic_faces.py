"""Draw people who come and go: the face of the sample, up to five times per image."""
import math
from pathlib import Path

import cv2
from gaze_ros.core.errors import SourceError
from gaze_ros.core.sources.sample import Sample
import numpy as np

#: Number of people in each time slot, repeated, and duration of a slot, s.
PRESENT, SLOT = (0, 1, 2, 3, 5, 4, 5, 2, 1, 3, 0, 2), 2.5

#: Image size in pixels and frame rate: 2 cores process it with time to spare.
WIDTH, HEIGHT, RATE = 640, 480, 15.0

#: The head in an image of Sample(512, 512): x, y, width and height, pixels.
_HEAD = (146, 96, 210, 280)

#: Time in which a person enters or leaves, s, and distance of two people, pixels.
_ENTER_SECONDS, _DISTANCE = 0.8, WIDTH / 5


class SyntheticFaces:
    """Draws the images; the same time gives the same image.

    :raises SourceError: if scikit-image, which provides the photograph, is not installed.
    """

    def __init__(self) -> None:
        x, y, w, h = _HEAD
        photograph = Sample(512, 512).read()
        size = (96, 128)
        self._head = cv2.resize(
            photograph[y:y + h, x:x + w], size, interpolation=cv2.INTER_AREA)
        mask = np.zeros(size[::-1], np.float32)
        cv2.ellipse(mask, (48, 64), (42, 58), 0, 0, 360, 1.0, -1)
        self._mask = cv2.GaussianBlur(mask, (0, 0), 3)[..., None]
        shades = np.linspace(70, 130, HEIGHT, dtype=np.float32)
        grey = np.repeat(shades[:, None], WIDTH, 1)[..., None]
        self._background = grey * np.float32([1.0, 0.95, 0.9])

    def read(self, t: float) -> np.ndarray:
        """Return the (480, 640, 3) uint8 BGR image at t seconds."""
        image = self._background.copy()
        for person in range(5):
            if share := presence(person, t):
                x = (person + 0.5) * _DISTANCE + 12 * math.sin(t / 2 + person)
                y = HEIGHT * (0.45 + 0.65 * (1 - share)) + 8 * math.sin(t + 2 * person)
                self._draw(image, round(x - 48), round(y - 64))
        return image.astype(np.uint8)

    def _draw(self, image: np.ndarray, x: int, y: int) -> None:
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + 96, WIDTH), min(y + 128, HEIGHT)
        if left >= right or top >= bottom:
            return
        part = np.s_[top - y:bottom - y, left - x:right - x]
        target = image[top:bottom, left:right]
        target += self._mask[part] * (self._head[part] - target)


def presence(person: int, t: float) -> float:
    """Return the visible share of a person at t seconds, 0..1.

    :param person: 0..4.
    """
    slot, within = divmod(t, SLOT)
    now, before = (PRESENT[int(n) % len(PRESENT)] > person for n in (slot, slot - 1))
    if now == before:
        return float(now)
    moved = min(1.0, within / _ENTER_SECONDS)
    return moved if now else 1.0 - moved


def save_clip(path: Path, seconds: float) -> Path:
    """Save a video of the synthetic faces; return its path.

    :raises SourceError: if the video cannot be written.
    """
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'mp4v'), RATE, (WIDTH, HEIGHT))
    try:
        if not writer.isOpened():
            raise SourceError(f"'{path}' cannot be written: check the free disk space")
        faces = SyntheticFaces()
        for index in range(round(RATE * seconds)):
            writer.write(faces.read(index / RATE))
    finally:
        writer.release()
    return path


def save_stills(folder: Path) -> Path:
    """Save an image of each time slot in a folder; return the folder.

    :raises SourceError: if an image cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    faces = SyntheticFaces()
    for slot in range(len(PRESENT)):
        path = folder / f'{slot:02}.jpg'
        if not cv2.imwrite(str(path), faces.read((slot + 0.9) * SLOT)):
            raise SourceError(f"'{path}' cannot be written: check the free disk space")
    return folder
