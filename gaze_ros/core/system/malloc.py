"""Memory: that of pictures is kept, not given back for each of them; and what if there is none.

glibc maps every block above a threshold anew and gives it back when it is freed, so that each
picture pays for its pages again. A copy of 1920x1080 takes 1.3 ms then, and 0.15 ms in memory that
was there before; on its way from one process to the next a picture is copied six times: 12.5 ms,
and with this 3.2 ms (docs/performance.md).
"""
import ctypes
import os
import sys
from typing import Optional

if sys.platform != 'win32':
    import resource

#: mallopt's numbers, from malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8

#: Blocks up to here are kept; the largest that glibc takes. 3840x2160 in BGR is 25 MB.
_LARGEST = 32 << 20

#: Bytes at the end of the heap that are kept when nothing is in them.
_KEPT = 512 << 20

#: In what libraries say where they get no memory, or no thread for want of it: torch and ONNX
#: Runtime of the CPU, CUDA and MPS, OpenCV, Python, the loader, ROS.
_SAID = (
    'out of memory', 'allocate memory', 'not enough memory', 'smaller than requested',
    'alloc_failed', 'bad allocation', 'bad_alloc', 'insufficient memory', 'unable to allocate',
    "can't start new thread", 'failed to map segment', 'pthread_create failed',
    'failed to create std::thread')

#: Bytes of addresses (ulimit -v) below which libraries end a node by a fault, or hang, where
#: they get none; and with which every node works.
_LEAST, _ENOUGH = 1280 << 20, 2 << 30


def is_out_of_memory(error: Optional[BaseException]) -> bool:
    """Return whether an error, or one that led to it, says that memory is short."""
    while error is not None:
        words = str(error).lower()
        if isinstance(error, MemoryError) or any(said in words for said in _SAID):
            return True
        error = error.__cause__ or error.__context__
    return False


def memory_limit_problem() -> str:
    """Return why this process has too little memory to start, or ''."""
    if sys.platform == 'win32':
        return ''
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY or limit >= _LEAST:
        return ''
    return (f'the memory of this process is limited to {limit >> 20} MB (ulimit -v); '
            f'give it {_ENOUGH >> 20} MB or more')


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
