"""Guards files that are written for hours: disk space left to finish them, and removal."""
from collections.abc import Callable
from contextlib import suppress
import errno
import os
from pathlib import Path
import shutil
import sys
import tempfile
from time import monotonic

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import safe_paths
from gaze_ros.core.system.file_locks import lock

if sys.platform != 'win32':
    import resource

#: Bytes reserved on the disk, by an unnamed file, to finish the guarded file.
RESERVE_BYTES = 2 << 20
#: Free bytes below which the file is finished: more than is written between two checks.
MIN_FREE_BYTES = 4 << 20
#: Free bytes from which another file is started; the gap keeps a full disk from causing a new
#: file every second.
RESUME_BYTES = 32 << 20
#: Bytes that the writer may buffer in memory.
_MAX_BUFFERED = 1 << 20
#: Seconds between two checks of the file.
_CHECK_PERIOD = 1.0
#: Seconds between two attempts to start another file.
RETRY_PERIOD = 1.0


class DiskSpaceGuard:
    """Watches a file that a library writes, so that it can be finished before its disk is full.

    Video encoders do not report a full disk, and a video without its index does not play.

    :param path: path of the file; created if missing.
    :raises GazeRosError: if it cannot be written, its disk is full, or another process guards it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last_check = 0.0
        self._size = 0
        try:
            self._file = safe_paths.open_output(path, keep=True)
        except OSError as e:
            raise GazeRosError(f"'{path}' cannot be written: {e.strerror or e}") from e
        locked = False
        try:
            self._lock()
            locked = True
            self._reserve = self._create_reserve()
        except BaseException:
            if locked:
                self.remove_empty()
            self._file.close()
            raise

    @property
    def in_place(self) -> bool:
        """Whether the path still leads to the file that is written."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def check(self, end: int = 0, written: int = 0) -> None:
        """Check that written data arrives on the disk; call before each write.

        :param end: bytes needed to finish the file.
        :param written: lower bound of the bytes written so far.
        :raises GazeRosError: if the file must be finished now; there is space to do so.
        """
        try:
            free = free_bytes(self._path.parent, os.fstat(self._file.fileno()).st_size)
        except OSError as e:
            raise GazeRosError(f"'{self._path}': its folder was removed while it was written: "
                               f'{e.strerror or e}; create it again') from e
        if free < MIN_FREE_BYTES + end:
            raise GazeRosError(
                f"'{self._path}': its disk is full ({free >> 20} MB left, some of it needed to "
                f'finish the file); free {RESUME_BYTES >> 20} MB, or set output to another disk')
        if (now := monotonic()) >= self._last_check + _CHECK_PERIOD:
            self._last_check = now
            self._check_file(written)

    def remove_empty(self) -> None:
        """Remove the file if nothing was written."""
        # Fails if it was removed or closed, or if its folder is read-only.
        with suppress(OSError, ValueError):
            if self.in_place and not os.fstat(self._file.fileno()).st_size:
                self._path.unlink()

    def reset(self) -> None:
        """Expect the file to start again from size 0: its writer has just truncated it."""
        self._size = 0

    def release_reserve(self) -> None:
        """Release the reserved space before the file is finished; may be called repeatedly."""
        if self._reserve is not None:
            self._reserve.close()
            self._reserve = None

    def close(self) -> None:
        """Stop watching the file."""
        self.release_reserve()
        self._file.close()

    def _check_file(self, written: int) -> None:
        if not self.in_place:
            action = 'replaced' if os.path.lexists(self._path) else 'removed'
            raise GazeRosError(f"'{self._path}' was {action} while it was written, and its "
                               'content is lost; do not touch files that are being written')
        size = os.fstat(self._file.fileno()).st_size
        if size < self._size:
            raise GazeRosError(f"'{self._path}' was truncated while it was written: does another "
                               'process write it? Use different names')
        self._size = size
        if written > self._size + _MAX_BUFFERED:
            raise GazeRosError(f"'{self._path}' no longer grows: is a quota used up, or the "
                               'largest file size of its file system reached? Set output to '
                               'another disk')

    def _lock(self) -> None:
        """Refuse a file that is read as a source, or written by another one."""
        if not lock(self._file, exclusive=True):
            raise GazeRosError(f"'{self._path}' cannot be written: it is being written already, "
                               'or played as a source; give it another name')

    def _create_reserve(self):
        """Return an unnamed file, which disappears with the process in any case."""
        try:
            reserve = tempfile.TemporaryFile(dir=self._path.parent, buffering=0)
        except OSError:  # the file may be writable while its folder is not
            return None
        try:
            if hasattr(os, 'posix_fallocate'):
                os.posix_fallocate(reserve.fileno(), 0, RESERVE_BYTES)
            else:
                reserve.write(bytes(RESERVE_BYTES))
        except OSError as e:
            reserve.close()
            if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise GazeRosError(
                    f"'{self._path}' cannot be written: its disk is full; free "
                    f'{RESUME_BYTES >> 20} MB, or set output to another disk') from e
            return None
        return reserve


def free_bytes(folder: Path, size: int = 0) -> int:
    """Return how many bytes a file may still grow: limited by the disk and by RLIMIT_FSIZE.

    :param size: present size of the file, bytes.
    :raises OSError: if the folder does not exist.
    """
    free = shutil.disk_usage(folder).free
    if sys.platform != 'win32':
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY:
            free = min(free, max(0, limit - size))
    return free


def device_of(folder: Path) -> int:
    """Return the device number of a folder or of its first existing parent; 0 on failure."""
    for candidate in (folder, *folder.parents):
        with suppress(OSError):
            return os.stat(candidate).st_dev
    return 0


def can_resume(folder: Path, device: int) -> bool:
    """Return whether a folder has enough space to start another file.

    :param device: result of :func:`device_of` when the first file was started; another device
        means that the disk was unmounted.
    """
    if device_of(folder) != device:
        return False
    with suppress(OSError):
        existing = next(path for path in (folder, *folder.parents) if path.is_dir())
        return free_bytes(existing) >= RESUME_BYTES
    return False


def next_free_path(path: Path, taken: Callable[[Path], bool] = os.path.lexists) -> Path:
    """Return the first of PATH, PATH_2, PATH_3, ... (before the suffix) that is not taken."""
    number, candidate = 1, path
    while taken(candidate):
        number += 1
        candidate = path.with_name(f'{path.stem}_{number}{path.suffix}')
    return candidate
