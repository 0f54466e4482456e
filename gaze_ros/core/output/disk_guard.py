"""Files that are written for hours: is there room to end them, and are they still there."""
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

if sys.platform != 'win32':
    import fcntl
    import resource

#: Bytes kept on the disk for a file's end, by a file without a name.
RESERVE_BYTES = 2 << 20
#: Bytes free below which a file is ended: more than what is written from one look to the next.
MIN_FREE_BYTES = 4 << 20
#: Bytes free from which on another file is begun: between the two a disk could fill every second.
RESUME_BYTES = 32 << 20
#: Bytes that may wait in the memory of what writes.
_WAITING = 1 << 20
#: Seconds from one look at the file to the next; and until another file is tried.
_LOOK = RETRY_PERIOD = 1.0


class DiskSpaceGuard:
    """Watches a file that somebody writes, so that it can be ended before its disk is full.

    What encodes a video tells nobody that its disk is full, and one whose index found no room
    does not play.

    :param path: of the file; made where it is not there.
    :raises GazeRosError: if it cannot be written, its disk is full, or another process that has
        such a watch writes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = 0.0
        self._size = 0
        try:
            self._file = safe_paths.open_output(path, keep=True)
        except OSError as e:
            raise GazeRosError(f"'{path}' cannot be written: {e.strerror or e}") from e
        locked = False
        try:
            self._lock()
            locked = True
            self._reserve = self._reserved()
        except BaseException:
            if locked:
                self.remove_empty()
            self._file.close()
            raise

    @property
    def in_place(self) -> bool:
        """Whether what has the file's name is the file that is written."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def check(self, end: int = 0, written: int = 0) -> None:
        """Look whether what is written arrives; to be called before each write.

        :param end: bytes it takes to end the file.
        :param written: bytes that have been written at least.
        :raises GazeRosError: if it has to be ended now; there is room to do so.
        """
        try:
            free = free_bytes(self._path.parent, os.fstat(self._file.fileno()).st_size)
        except OSError as e:
            raise GazeRosError(f"'{self._path}': its folder was removed while it was written: "
                               f'{e.strerror or e}; make it again') from e
        if free < MIN_FREE_BYTES + end:
            raise GazeRosError(
                f"'{self._path}': its disk is full, {free >> 20} MB are left of which the end of "
                f'the file takes some; free {RESUME_BYTES >> 20} MB, or set output to another disk')
        if (now := monotonic()) >= self._looked + _LOOK:
            self._looked = now
            self._look(written)

    def remove_empty(self) -> None:
        """Remove the file if nothing has been written."""
        # Gone, in a folder from which nothing may be removed, or closed.
        with suppress(OSError, ValueError):
            if self.in_place and not os.fstat(self._file.fileno()).st_size:
                self._path.unlink()

    def restarted(self) -> None:
        """Take it that the file has just been begun anew: what was in it before is gone."""
        self._size = 0

    def release_reserve(self) -> None:
        """Give back what is kept for the end, which is written next; more than once if need be."""
        if self._reserve is not None:
            self._reserve.close()
            self._reserve = None

    def close(self) -> None:
        """Watch no more."""
        self.release_reserve()
        self._file.close()

    def _look(self, written: int) -> None:
        if not self.in_place:
            happened = 'replaced' if os.path.lexists(self._path) else 'removed'
            raise GazeRosError(f"'{self._path}' was {happened} while it was written: what was in "
                               'it is lost; leave files alone that are being written')
        size = os.fstat(self._file.fileno()).st_size
        if size < self._size:
            raise GazeRosError(f"'{self._path}' was cut short while it was written: does another "
                               'process write it? Give each a name of its own')
        self._size = size
        if written > self._size + _WAITING:
            raise GazeRosError(f"'{self._path}' grows no more: is a quota used up, or is it as "
                               'large as its file system has them? Set output to another disk')

    def _lock(self) -> None:
        """Refuse what another process writes; a file system without locks has none to tell."""
        if sys.platform == 'win32':
            return
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise GazeRosError(f"'{self._path}' cannot be written: it is being written already; "
                               'give each writer a name of its own') from e
        except OSError:
            pass

    def _reserved(self):
        """Return a file without a name, so that nothing is left of it whatever happens."""
        try:
            reserve = tempfile.TemporaryFile(dir=self._path.parent, buffering=0)
        except OSError:  # the file may be written and its folder not
            return None
        try:
            if hasattr(os, 'posix_fallocate'):
                os.posix_fallocate(reserve.fileno(), 0, RESERVE_BYTES)
            else:
                reserve.write(bytes(RESERVE_BYTES))
        except OSError as e:
            reserve.close()
            if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise GazeRosError(f"'{self._path}' cannot be written: its disk is full; free "
                                   f'{RESUME_BYTES >> 20} MB, or set output to another disk') from e
            return None
        return reserve


def free_bytes(folder: Path, size: int = 0) -> int:
    """Return how many bytes a file may still grow by: of the disk, and of this process's limit.

    :param size: of the file.
    :raises OSError: if the folder is not there.
    """
    free = shutil.disk_usage(folder).free
    if sys.platform != 'win32':
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY:
            free = min(free, max(0, limit - size))
    return free


def device_of(folder: Path) -> int:
    """Return the disk that a folder is on, or would be if it were made; 0 where that fails."""
    for one in (folder, *folder.parents):
        with suppress(OSError):
            return os.stat(one).st_dev
    return 0


def can_resume(folder: Path, disk: int) -> bool:
    """Return whether another file may be begun in a folder: as much room as is worth it.

    :param disk: of :func:`device` when the first one was begun: an empty mount point is no place.
    """
    if device_of(folder) != disk:
        return False
    with suppress(OSError):
        there = next(one for one in (folder, *folder.parents) if one.is_dir())
        return free_bytes(there) >= RESUME_BYTES
    return False


def next_free_path(path: Path, taken: Callable[[Path], bool] = os.path.lexists) -> Path:
    """Return the path, or the first of PATH_2, PATH_3, ... with its ending that is not taken."""
    number, one = 1, path
    while taken(one):
        number += 1
        one = path.with_name(f'{path.stem}_{number}{path.suffix}')
    return one
