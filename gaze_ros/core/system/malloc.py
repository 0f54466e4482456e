"""Memory allocation: keeps freed image memory in the process, and detects out-of-memory errors.

glibc maps every block above a threshold separately and unmaps it when it is freed, so each image
causes page faults again. A copy of 1920x1080 then takes 1.3 ms instead of 0.15 ms in reused
memory. An image is copied six times on its way from one process to the next: 12.5 ms, and 3.2 ms
with these settings (docs/performance.md).
"""
import ctypes
import os
import sys
from typing import Optional

if sys.platform != 'win32':
    import resource

#: Parameter numbers of mallopt, from malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8

#: Largest kept block, bytes; glibc accepts no more. 3840x2160 in BGR is 25 MB.
_MAX_BLOCK = 32 << 20

#: Bytes of free memory that are kept at the end of the heap.
_MAX_FREE = 512 << 20

#: Texts in the errors of libraries that get no memory, or no thread for lack of memory: torch and
#: ONNX Runtime on CPU, CUDA and MPS, OpenCV, Python, the loader, ROS.
_MESSAGES = (
    'out of memory', 'allocate memory', 'not enough memory', 'smaller than requested',
    'alloc_failed', 'bad allocation', 'bad_alloc', 'insufficient memory', 'unable to allocate',
    "can't start new thread", 'failed to map segment', 'pthread_create failed',
    'failed to create std::thread')

#: Bytes of address space (ulimit -v): below the first, libraries crash or hang when they get no
#: memory; with the second, every node works.
_MIN_BYTES, _RECOMMENDED_BYTES = 1280 << 20, 2 << 30


def is_out_of_memory(error: Optional[BaseException]) -> bool:
    """Return whether an error, or one of its causes, reports a lack of memory."""
    while error is not None:
        message = str(error).lower()
        if isinstance(error, MemoryError) or any(text in message for text in _MESSAGES):
            return True
        error = error.__cause__ or error.__context__
    return False


def memory_limit_problem() -> str:
    """Return why this process has too little memory to start, or ''."""
    if sys.platform == 'win32':
        return ''
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY or limit >= _MIN_BYTES:
        return ''
    return (f'the memory of this process is limited to {limit >> 20} MB (ulimit -v); '
            f'give it {_RECOMMENDED_BYTES >> 20} MB or more')


def configure() -> bool:
    """Set glibc's thresholds for this process; call before threads are started.

    All threads share one arena: further arenas of 64 MB would be too small to keep large images.
    Settings of the user in the environment are respected; another allocator is not changed.

    :returns: whether the thresholds were set.
    """
    if 'glibc.malloc' in os.environ.get('GLIBC_TUNABLES', '') or any(
            name.startswith('MALLOC_') for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    return all([mallopt(_MMAP_THRESHOLD, _MAX_BLOCK), mallopt(_TRIM_THRESHOLD, _MAX_FREE),
                mallopt(_ARENA_MAX, 1)])
