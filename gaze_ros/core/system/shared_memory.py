"""Removes shared memory of Fast DDS that killed processes left behind.

Fast DDS gives each process segments of shared memory, 71 MB with this package's profile. As long
as the process lives, it holds an exclusive flock on a file NAME_el beside each segment. A killed
process cannot remove its segments, and only a process to which it had sent data removes them: 250
kills filled 16 GB. The lock ends with its owner, so a segment whose lock can be acquired has no
owner. Fast DDS and its tool ``fastdds shm clean`` use the same test (RobustExclusiveLock.hpp,
clean.py).

Ports (fastdds_port7400 and such, 52 kB) are not removed: their number is bounded, and Fast DDS
reuses those of dead processes.
"""
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
import fcntl
import os
from pathlib import Path
import re
import stat
import time
from typing import Optional

#: Folder of Fast DDS's segments on Linux.
FOLDER = Path('/dev/shm')  # noqa: S108, fixed by Fast DDS

#: Name of a segment's lock file in Fast DDS 3 and 2.
_LOCK = re.compile(r'(fastdds|fastrtps)_[0-9a-f]{16}_el')

#: Minimum age of a lock file in seconds: its owner creates the file first, and then locks it.
_MIN_LOCK_AGE = 2.0


@dataclass(frozen=True)
class Segment:
    """A segment whose owner is dead.

    :ivar path: path of the segment; its lock is beside it.
    :ivar nbytes: bytes of memory that it occupies.
    """

    path: Path
    nbytes: int


def stale_segments() -> list[Segment]:
    """Return the segments of this user whose owners are dead.

    The list is empty if the folder does not exist or cannot be read.
    """
    segments = []
    for lock in _locks():
        with _held(lock) as segment:
            if segment is not None:
                segments.append(segment)
    return segments


def reclaim() -> int:
    """Remove the segments of this user whose owners are dead.

    :returns: number of bytes freed.
    """
    freed = 0
    for lock in _locks():
        with _held(lock) as segment:
            if segment is not None:
                # The lock last: while it exists and is held, no process uses the segment's name.
                with suppress(OSError):
                    segment.path.unlink(missing_ok=True)
                    freed += segment.nbytes
                    lock.unlink(missing_ok=True)
    return freed


def _locks() -> list[Path]:
    try:
        with os.scandir(FOLDER) as entries:
            return [Path(entry.path) for entry in entries if _LOCK.fullmatch(entry.name)]
    except OSError:
        return []


@contextmanager
def _held(lock: Path) -> Iterator[Optional[Segment]]:
    """Hold the lock of a segment whose owner is dead; yield None if it is not such a lock."""
    try:
        # Not through a link, which any user may create there.
        descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    try:
        yield _segment(lock, descriptor)
    finally:
        os.close(descriptor)


def _segment(lock: Path, descriptor: int) -> Optional[Segment]:
    try:
        lock_status = os.fstat(descriptor)
        if not _is_own_file(lock_status) or time.time() - lock_status.st_mtime < _MIN_LOCK_AGE:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(lock_status, lock.lstat()):
            return None  # replaced by another process
        path = lock.with_name(lock.name.removesuffix('_el'))
        if not path.exists():
            return Segment(path, 0)
        status = path.lstat()
        # st_blocks counts blocks of 512 bytes on every file system.
        return Segment(path, 512 * status.st_blocks) if _is_own_file(status) else None
    except OSError:  # locked by its living owner, or removed
        return None


def _is_own_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
