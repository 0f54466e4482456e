"""The video that is played as a camera."""
from pathlib import Path

import cv2
from gaze_ros.core.errors import SourceError
from gaze_ros.core.sources import open_source

#: Pictures of a clip in another size, at most: a minute.
_MOST = 1800


def check(source: str) -> int:
    """Open a source and close it; return how many pictures it has, 0 where that is not known.

    :raises SourceError: if it cannot be opened, is live, or is a single picture.
    """
    opened = open_source(source)
    try:
        if not opened.rate or opened.count == 1:
            raise SourceError(
                f"source '{source}' is {'one picture' if opened.count == 1 else 'live'}: each way "
                "plays it again, so it must be a video file, a folder of images, or 'sample'")
        if opened.read() is None:
            raise SourceError(f"source '{source}' holds no frame that can be decoded")
        return opened.count
    finally:
        opened.close()


def resized(source: str, width: int, height: int, folder: Path) -> str:
    """Return the path of the source's first minute in another size, as a video in a folder.

    :param source: one that passes :func:`check`.
    :raises SourceError: if it cannot be written.
    """
    path = folder / f'{width}x{height}.mp4'
    opened = open_source(source)
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'mp4v'), opened.rate, (width, height))
    try:
        if not writer.isOpened():
            raise SourceError(f"'{path}' cannot be written: is there room on the disk?")
        for _ in range(_MOST):
            if (picture := opened.read()) is None:
                break
            writer.write(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
    finally:
        writer.release()
        opened.close()
    return str(path)
