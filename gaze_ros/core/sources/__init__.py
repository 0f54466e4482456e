"""Image sources: webcam, video file, image files, URL or the built-in sample."""
from pathlib import Path
from typing import Optional, Protocol, Union

from gaze_ros.core.errors import SourceError
from gaze_ros.core.sources.capture import LiveCapture, open_url, VideoFile
from gaze_ros.core.sources.images import ImageFiles, is_image
from gaze_ros.core.sources.sample import Sample
from gaze_ros.core.system.urls import local_path, redact_url
import numpy as np

_URL_SCHEMES = ('http://', 'https://', 'rtsp://', 'rtsps://', 'rtmp://', 'srt://', 'udp://')


class Source(Protocol):
    """Interface of every source.

    Of an image that nobody needs, only :meth:`grab` is called: it costs no conversion.
    """

    #: Images per second of a file, a nominal value if its times are uneven; 0 for a live source,
    #: which sets its own pace.
    rate: float
    #: Time of the last image in a file, seconds; NaN if the source is live.
    stamp: float
    #: Number of images in one pass, which some videos only estimate; 0 if unknown.
    count: int
    #: time.monotonic() at which the last image was captured; NaN if the source is not live.
    capture_time: float
    #: Whether to restart at the end; no effect on a source without an end.
    loop: bool
    #: Name for messages, without any password.
    name: str

    def grab(self) -> bool:
        """Go to the next image, for which a live source waits; return False at the end.

        :raises SourceError: if a live or looped source fails; the next call may succeed.
        """

    def retrieve(self) -> np.ndarray:
        """Return the grabbed image as (H, W, 3) uint8 BGR; once after each grab, at most.

        :raises ImageError: if it cannot be decoded; the next image may be good.
        """

    def read(self) -> Optional[np.ndarray]:
        """Grab and return the next image, or None at the end.

        :raises ImageError: if this image of a live source cannot be decoded; a file goes on to
            its next image.
        :raises SourceError: as :meth:`grab`, and if a looped source has no image to decode.
        """

    def close(self) -> None:
        """Release the device or file; reading a live source opens it again."""


class LiveSource(Source, Protocol):
    """Interface of a source whose :attr:`rate` is 0."""

    def reopened(self) -> 'LiveSource':
        """Return a new source of the same device, which it opens at the first read."""


def open_source(
        source: Union[str, Path], *, width: int = 0, height: int = 0, fps: float = 0.0,
        loop: bool = False) -> Source:
    """Return the source with this name.

    :param source: a webcam index or /dev/video*, a video file, an image, a folder of images, an
        http or rtsp URL, or ``sample``. A Path always names a file or folder.
    :param width: requested width of a webcam or of the sample in pixels; 0 = the default.
    :param height: requested height of a webcam or of the sample in pixels; 0 = the default.
    :param fps: requested images per second of a webcam, the sample or image files; 0 = the
        default.
    :param loop: restart a file at its end.
    :raises GazeRosError: naming the source and the reason if it cannot be opened.
    """
    if isinstance(source, Path):
        return _open_path(source, fps, loop)
    source = source.strip()
    if source == 'sample':
        return Sample(width or 640, height or 480, fps or 30.0)
    if source.isdecimal() and len(source) < 4:
        return LiveCapture(int(source), width=width, height=height, fps=fps)
    if source.lower().startswith(_URL_SCHEMES):
        return open_url(source, loop=loop)
    try:
        path = local_path(source)
        exists = source.startswith('/dev/video') or bool(source) and path.exists()
    except (OSError, RuntimeError, ValueError):  # name too long, unknown user after ~, NUL
        exists = False
    if not exists:
        raise SourceError(
            f"source '{redact_url(source)}' is not a file, folder, webcam index or URL; expected "
            'a webcam index (0), a video file, an image, a folder of images, an http or rtsp URL, '
            "or 'sample'")
    if source.startswith('/dev/video') or path.is_char_device():
        return LiveCapture(str(path), width=width, height=height, fps=fps)
    return _open_path(path, fps, loop)


def _open_path(path: Path, fps: float, loop: bool) -> Source:
    if path.is_dir() or is_image(path):
        return ImageFiles(path, rate=fps or 10.0, loop=loop)
    return VideoFile(str(path), loop=loop)
