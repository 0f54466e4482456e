"""Threads of native libraries, their logs and the sizes they take, set on purpose.

GCC's OpenMP spins while it waits. With as many threads as cores, and other work on those cores,
the same call takes 10 to 60 times longer (MobileOne-S0 in torch: 330 ms against 39 ms). Waiting
passively cures it; the variable is read when the library loads, so this runs before imports.
"""
import os

from gaze_ros.core.system import native_threads

#: What makes the threads of GCC's and of Intel's OpenMP wait without spinning.
WAITING = {'OMP_WAIT_POLICY': 'PASSIVE', 'KMP_BLOCKTIME': '0'}

#: Pixels that OpenCV unpacks at most, twice 7680x4320. By its own limit a JPEG of 5 kB that claims
#: 32000x32000 takes a minute and 6 GB.
MAX_PIXELS = 1 << 26


def configure() -> None:
    """Make OpenMP, decoders and the native loggers behave; call before the first heavy import.

    What the user set stays as it is, save for what would print the passwords of URLs.
    """
    native_threads.configure_opencv_logging()
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault('GLOG_minloglevel', '2')
    os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(MAX_PIXELS))
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')


def thread_count(wanted: int = 0) -> int:
    """Return the number of threads to use: what is wanted, or the cores this process may use."""
    if wanted > 0:
        return wanted
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def configure_opencv_logging() -> None:
    """Have them quiet; call before cv2 is imported: they are told by the environment."""
    for name in ('OPENCV_FFMPEG_DEBUG', 'OPENCV_VIDEOIO_DEBUG'):
        os.environ.pop(name, None)
    os.environ['OPENCV_FFMPEG_LOGLEVEL'] = '-8'
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'ERROR')


def silence_opencv() -> None:
    """Have OpenCV quiet from now on, where it was imported before."""
    import cv2
    # OpenCV 4.6 has it at the top only, OpenCV 5 in there only; 2: errors.
    getattr(cv2.utils, 'logging', cv2).setLogLevel(2)
