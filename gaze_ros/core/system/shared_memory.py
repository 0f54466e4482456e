"""Shared memory that killed processes left behind.

Fast DDS gives each process segments of shared memory, 71 MB with this package's profile, and holds
an exclusive flock on a file beside each, NAME_el, as long as the process lives. A killed process
cannot remove them, and nobody else does but a process that it had sent something to: 250 kills
filled 16 GB. The lock is gone with its owner, so that a segment whose lock can be had is nobody's:
that is how Fast DDS and its tool ``fastdds shm clean`` tell (RobustExclusiveLock.hpp, clean.py).

Ports (fastdds_port7400 and such, 52 kB) are left alone: their number is bounded, and Fast DDS
takes those of dead processes again.
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

#: Where Fast DDS has its segments on Linux.
FOLDER = Path('/dev/shm')  # noqa: S108, its place

#: The lock of a segment, as Fast DDS 3 and 2 name it.
_LOCK = re.compile(r'(fastdds|fastrtps)_[0-9a-f]{16}_el')

#: Seconds that a lock has to be there: its owner makes the file first, and then locks it.
_SETTLED = 2.0


@dataclass(frozen=True)
class Segment:
    """A segment whose owner is dead.

    :ivar path: of the segment; its lock is beside it.
    :ivar nbytes: of memory that it takes.
    """

    path: Path
    nbytes: int


def stale_segments() -> list[Segment]:
    """Return the segments of this user whose owners are dead.

    None where there is no such place, or it cannot be read.
    """
    found = []
    for lock in _locks():
        with _held(lock) as segment:
            if segment is not None:
                found.append(segment)
    return found


def reclaim() -> int:
    """Remove the segments of this user whose owners are dead.

    :returns: bytes of memory given back.
    """
    freed = 0
    for lock in _locks():
        with _held(lock) as segment:
            if segment is not None:
                # The lock last: while it is there, and held, nobody takes the segment's name.
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
    """Hold the lock of a dead owner's segment for a with-block; None where it is not one."""
    try:
        # Not through a link, which anybody may lay there.
        file = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    try:
        yield _segment(lock, file)
    finally:
        os.close(file)


def _segment(lock: Path, file: int) -> Optional[Segment]:
    try:
        of_lock = os.fstat(file)
        if not _ours(of_lock) or time.time() - of_lock.st_mtime < _SETTLED:
            return None
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(of_lock, lock.lstat()):
            return None  # another one's by now
        path = lock.with_name(lock.name.removesuffix('_el'))
        if not path.exists():
            return Segment(path, 0)
        of_segment = path.lstat()
        # Blocks are of 512 bytes, wherever.
        return Segment(path, 512 * of_segment.st_blocks) if _ours(of_segment) else None
    except OSError:  # locked: its owner lives; or gone
        return None


def _ours(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
