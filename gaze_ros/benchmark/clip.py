"""The video that a benchmark plays as a camera."""
from pathlib import Path

import cv2
from gaze_ros.core.errors import SourceError
from gaze_ros.core.sources import open_source
from gaze_ros.core.system.opencv_files import opencv_path

#: Maximum number of frames of a resized clip: one minute at 30 fps.
_MAX_FRAMES = 1800


def check(source: str) -> int:
    """Open a source and close it; return its number of frames, 0 if unknown.

    :raises SourceError: if it cannot be opened, is live, or is a single image.
    """
    opened = open_source(source)
    try:
        if not opened.rate or opened.count == 1:
            raise SourceError(
                f"source '{source}' is {'a single image' if opened.count == 1 else 'live'}: every "
                'configuration replays it, so it must be a video file, a folder of images, or '
                "'sample'")
        if opened.read() is None:
            raise SourceError(f"source '{source}' has no frame that can be decoded")
        return opened.count
    finally:
        opened.close()


def resize(source: str, width: int, height: int, folder: Path) -> str:
    """Save the first minute of a source in another size; return the path of the video.

    :param source: a source that passes :func:`check`.
    :param width: pixels.
    :param height: pixels.
    :param folder: where the video is saved.
    :raises SourceError: if the video cannot be written.
    """
    path = folder / f'{width}x{height}.mp4'
    opened = open_source(source)
    writer = cv2.VideoWriter(
        opencv_path(path), cv2.VideoWriter_fourcc(*'mp4v'), opened.rate, (width, height))
    try:
        if not writer.isOpened():
            raise SourceError(f"'{path}' cannot be written: check the free disk space")
        for _ in range(_MAX_FRAMES):
            if (image := opened.read()) is None:
                break
            writer.write(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    finally:
        writer.release()
        opened.close()
    return str(path)
