"""Locks between the readers and the one writer of a file, in this process and in others."""
import sys
from typing import IO

if sys.platform != 'win32':
    import fcntl


def lock(file: IO, *, exclusive: bool) -> bool:
    """Lock an open file until it is closed; return False if it is locked in a conflicting way.

    Without effect if the system, or the file system, has no such locks.

    :param exclusive: to write it, alone; otherwise to read it, beside other readers.
    """
    if sys.platform != 'win32':
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_NB | (
                fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH))
        except BlockingIOError:
            return False
        except OSError:
            pass
    return True
