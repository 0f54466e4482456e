"""A video played as a camera: images are due at a constant rate and decoded on demand."""
from threading import Event
import time
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    from gaze_ros.core.sources import Source
    import numpy as np

#: Maximum images per second of a camera that always has a next image. Each wakes its thread.
MAX_RATE = 250.0


class ReplayedCamera:
    """A live source whose images are those of a looped video, without gaps.

    As with a webcam, an image that is not retrieved costs no decoding, and images that are due
    while the caller is busy are missed. The video continues with the next retrieved image: fast
    and slow callers get the same images.

    :param source: video, folder of images, or ``sample``.
    :param fps: images per second; 0: the next image is due whenever it is asked for, at most
        :data:`MAX_RATE` times per second.
    :param width: of the sample, pixels; 0 for the default.
    :param height: of the sample, pixels; 0 for the default.
    :param images: play only the first of the video; 0 for all.
    :ivar capture_time: time.monotonic() at which the grabbed image was due, s.
    :ivar decoding: CPU time of the calling threads in this source, s.
    """

    rate, count, loop = 0.0, 0, True

    def __init__(self, source: str, fps: float, width: int = 0, height: int = 0,
                 images: int = 0) -> None:
        self._arguments = source, fps, width, height, images
        self._images, self._left = images, images
        self._video = self._open()
        self.name = self._video.name
        self._period, self._always = 1 / (fps or MAX_RATE), not fps
        self.capture_time = self._due = time.monotonic()
        self.decoding = 0.0
        self._never, self._playing = Event(), Event()
        self._playing.set()

    def grab(self) -> bool:
        """Wait until the next image is due; return True."""
        self._playing.wait()
        start = time.thread_time()
        now = time.monotonic()
        if self._always:
            self._due = max(self._due + self._period, now)
        else:
            self._due += self._period * max(1, -((self._due - now) // self._period))
        self._never.wait(max(0.0, self._due - now))
        self.capture_time = self._due
        self.decoding += time.thread_time() - start
        return True

    def retrieve(self) -> 'np.ndarray':
        """Return the next image of the video as (H, W, 3) uint8 BGR.

        :raises SourceError: if the video fails.
        """
        start = time.thread_time()
        if self._images:
            if not self._left:
                self._video.close()
                self._video, self._left = self._open(), self._images
            self._left -= 1
        image = self._video.read()
        self.decoding += time.thread_time() - start
        return image

    def read(self) -> 'np.ndarray':
        """Wait for the next image and return it."""
        self.grab()
        return self.retrieve()

    def play(self, playing: bool) -> None:
        """Continue or pause; while it pauses, no image is due."""
        (self._playing.set if playing else self._playing.clear)()

    def reopened(self) -> 'ReplayedCamera':
        """Return a new camera that plays the same video."""
        return ReplayedCamera(*self._arguments)

    def close(self) -> None:
        """Release the video."""
        self._video.close()

    def _open(self) -> 'Source':
        from gaze_ros.core.sources import open_source
        source, fps, width, height, _ = self._arguments
        return open_source(source, width=width, height=height, fps=fps, loop=True)


def open_camera(settings: Any) -> ReplayedCamera:
    """Return the camera of the settings of a worker, see :mod:`gaze_ros.benchmark.workers`."""
    return ReplayedCamera(
        settings['source'], settings['camera_fps'], settings['width'], settings['height'],
        settings['images'])
