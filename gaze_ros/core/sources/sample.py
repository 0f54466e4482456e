"""The built-in sample: a photographed face that moves, without a camera or file."""
import math

import cv2
from gaze_ros.core.errors import SourceError
from gaze_ros.core.model_zoo.registry import package_file
from gaze_ros.core.system.import_errors import pip_command
from gaze_ros.core.system.opencv_files import read_image
import numpy as np

#: Center of the face in astronaut.png (512 x 512), pixels.
_FACE = (224.0, 125.0)


class Sample:
    """Eileen Collins, by NASA (public domain), from scikit-image, panned and zoomed endlessly.

    :param width: width of the images, pixels.
    :param height: height of the images, pixels.
    :param rate: images per second.
    :raises SourceError: if scikit-image is not installed.
    """

    name = 'sample'
    count = 0
    capture_time = math.nan
    loop = False

    def __init__(self, width: int = 640, height: int = 480, rate: float = 30.0) -> None:
        path = package_file(
            'skimage', 'data/astronaut.png',
            f"source 'sample' uses its photograph: {pip_command('skimage')}")
        photo = read_image(path)
        if photo is None:
            raise SourceError(f"source 'sample': '{path}' cannot be decoded")
        self._photo = photo
        self._size = (width, height)
        self.rate = rate
        self._index = -1

    @property
    def stamp(self) -> float:
        """Time of the last image, seconds, by its number and the rate."""
        return self._index / self.rate

    def read(self) -> np.ndarray:
        """Return the next (H, W, 3) uint8 BGR image; there is no end."""
        self.grab()
        return self.retrieve()

    def grab(self) -> bool:
        """Go to the next image; there is no end."""
        self._index += 1
        return True

    def retrieve(self) -> np.ndarray:
        """Return the present (H, W, 3) uint8 BGR image."""
        t = self.stamp
        width, height = self._size
        zoom = height / 480 * (1.2 + 0.3 * math.sin(2 * math.pi * t / 9))
        x = width * (0.5 + 0.22 * math.sin(2 * math.pi * t / 7))
        y = height * (0.48 + 0.12 * math.sin(2 * math.pi * t / 5))
        matrix = np.array([[zoom, 0, x - zoom * _FACE[0]], [0, zoom, y - zoom * _FACE[1]]])
        return cv2.warpAffine(
            self._photo, matrix, self._size, borderMode=cv2.BORDER_REPLICATE)

    def close(self) -> None:
        """Do nothing: the sample holds no device."""
