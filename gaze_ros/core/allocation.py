"""Memory of pictures that is kept, not given back to the system for each of them.

glibc maps every block above a threshold anew and gives it back when it is freed, so that each
picture pays for its pages again. A copy of 1920x1080 takes 1.3 ms then, and 0.15 ms in memory that
was there before; on its way from one process to the next a picture is copied six times: 12.5 ms,
and with this 3.2 ms (docs/performance.md).
"""
import ctypes
import os

#: mallopt's numbers, from malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8

#: Blocks up to here are kept; the largest that glibc takes. 3840x2160 in BGR is 25 MB.
_LARGEST = 32 << 20

#: Bytes at the end of the heap that are kept when nothing is in them.
_KEPT = 512 << 20


def configure() -> bool:
    """Set glibc's thresholds for this process; call before threads are started.

    One arena for all threads: those of other threads are of 64 MB, too small to keep large
    pictures. What the user set by the environment, and another allocator, are left alone.

    :returns: whether it was set.
    """
    if 'glibc.malloc' in os.environ.get('GLIBC_TUNABLES', '') or any(
            name.startswith('MALLOC_') for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    return all([mallopt(_MMAP_THRESHOLD, _LARGEST), mallopt(_TRIM_THRESHOLD, _KEPT),
                mallopt(_ARENA_MAX, 1)])
