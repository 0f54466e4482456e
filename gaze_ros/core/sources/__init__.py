"""Where pictures come from: a webcam, a file, images, a URL, or the sample."""
from pathlib import Path
from typing import Optional, Protocol

from gaze_ros.core.errors import SourceError
from gaze_ros.core.sources.capture import LiveCapture, open_url, VideoFile
from gaze_ros.core.sources.images import IMAGE_SUFFIXES, ImageFiles
from gaze_ros.core.sources.sample import Sample
from gaze_ros.core.system.urls import redact_url
import numpy as np

_URL_SCHEMES = ('http://', 'https://', 'rtsp://', 'rtsps://', 'rtmp://', 'srt://', 'udp://')


class Source(Protocol):
    """What a source has to offer."""

    #: Pictures a second as they should be played; 0 for a live source, which sets its own pace.
    rate: float
    #: How many pictures there are in one pass, 0 where that is not known.
    count: int
    #: time.monotonic() at which the last picture was taken; NaN for what is played.
    capture_time: float
    #: Whether it starts again at its end; without effect on what has none.
    loop: bool
    #: What the source is, for messages; never with a password.
    name: str

    def read(self) -> Optional[np.ndarray]:
        """Return the next (H, W, 3) uint8 BGR picture, or None at the end.

        :raises PictureError: for one that cannot be decoded.
        :raises SourceError: where a live or a looped source fails; the next call may succeed.
        """

    def close(self) -> None:
        """Let go of the device or file; a live source opens it again when it is read."""


class LiveSource(Source, Protocol):
    """What a source of :attr:`rate` 0 has to offer beside."""

    def reopened(self) -> 'LiveSource':
        """Return another one for the same device, which it opens when it is read."""


def open_source(
        source: str, *, width: int = 0, height: int = 0, fps: float = 0.0,
        loop: bool = False) -> Source:
    """Return the source of that name.

    :param source: a webcam's index or /dev/video*, a video file, an image, a folder of images, an
        http or rtsp URL, or ``sample``.
    :param width: asked of a webcam; the sample is drawn so. 0 for its own.
    :param height: likewise.
    :param fps: likewise.
    :param loop: start a file again when it ends.
    :raises SourceError: naming the source and why it cannot be opened.
    """
    source = str(source).strip()
    if source == 'sample':
        return Sample(width or 640, height or 480, fps or 30.0)
    if source.isdecimal() and len(source) < 4:
        return LiveCapture(int(source), width=width, height=height, fps=fps)
    if source.lower().startswith(_URL_SCHEMES):
        return open_url(source, loop=loop)
    try:
        path = Path(source.removeprefix('file://')).expanduser()
        there = source.startswith('/dev/video') or bool(source) and path.exists()
    except (OSError, RuntimeError, ValueError):  # too long for a name; the home of nobody; a zero
        there = False
    if not there:
        raise SourceError(
            f"source '{redact_url(source)}' is no file or folder; it may be "
            "a webcam's index (0), a video file, an image, a folder of images, an http or rtsp "
            "URL, or 'sample'")
    if source.startswith('/dev/video') or path.is_char_device():
        return LiveCapture(str(path), width=width, height=height, fps=fps)
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFiles(path, rate=fps or 10.0, loop=loop)
    return VideoFile(str(path), loop=loop)
