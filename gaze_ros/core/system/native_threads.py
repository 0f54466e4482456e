"""Settings of native libraries: threads, log output, largest decoded image.

GCC's OpenMP spins while it waits. If other work shares the cores, the same call takes 10 to 60
times longer (MobileOne-S0 in torch: 330 ms instead of 39 ms). Passive waiting avoids this. The
library reads the variable when it loads, so :func:`configure` runs before the imports.
"""
import os

#: Environment variables that make GCC's and Intel's OpenMP threads wait without spinning.
WAITING = {'OMP_WAIT_POLICY': 'PASSIVE', 'KMP_BLOCKTIME': '0'}

#: Pixels that OpenCV decodes at most, twice 7680x4320. With OpenCV's own limit, a JPEG of 5 kB
#: that claims 32000x32000 takes a minute and 6 GB.
MAX_PIXELS = 1 << 26


def configure() -> None:
    """Configure OpenMP, decoders and native loggers; call before the first heavy import.

    Settings of the user stay, except those that would print the passwords of URLs.
    """
    configure_opencv_logging()
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault('GLOG_minloglevel', '2')
    os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(MAX_PIXELS))
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')


def thread_count(requested: int = 0) -> int:
    """Return the number of threads to use.

    :param requested: number of threads; 0 = one per core that this process may use.
    """
    if requested > 0:
        return requested
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_opencv_threads(parallel: int) -> None:
    """Let OpenCV use one thread while images are processed side by side, else its default number.

    The threads of its pool then only take the cores from other images, and wait by spinning: one
    face of 1920x1080 costs 1.7 core-ms more (measured on 2 cores).

    :param parallel: number of images that are processed side by side.
    """
    import cv2
    cv2.setNumThreads(1 if parallel > 1 else -1)


def configure_opencv_logging() -> None:
    """Silence OpenCV and FFmpeg by environment variables; call before cv2 is imported."""
    for name in ('OPENCV_FFMPEG_DEBUG', 'OPENCV_VIDEOIO_DEBUG'):
        os.environ.pop(name, None)
    os.environ['OPENCV_FFMPEG_LOGLEVEL'] = '-8'
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'FATAL')


def silence_opencv() -> None:
    """Silence OpenCV after its import: its errors are raised, too, and reported in one line."""
    import cv2
    # OpenCV 4.6 has setLogLevel in cv2 only, OpenCV 5 in cv2.utils.logging only. 1 = fatal.
    getattr(cv2.utils, 'logging', cv2).setLogLevel(1)
