"""OpenCV and FFmpeg kept from telling what is told once here, and URLs with their passwords.

FFmpeg tells of each part of a picture that it cannot decode, 2500 lines for one damaged second,
and both of each time that a stream is tried. Where they are told to tell more, they print URLs.
"""
import os


def configure() -> None:
    """Have them quiet; call before cv2 is imported: they are told by the environment."""
    for name in ('OPENCV_FFMPEG_DEBUG', 'OPENCV_VIDEOIO_DEBUG'):
        os.environ.pop(name, None)
    os.environ['OPENCV_FFMPEG_LOGLEVEL'] = '-8'
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'ERROR')


def hush() -> None:
    """Have OpenCV quiet from now on, where it was imported before."""
    import cv2
    # OpenCV 4.6 has it at the top only, OpenCV 5 in there only; 2: errors.
    getattr(cv2.utils, 'logging', cv2).setLogLevel(2)
