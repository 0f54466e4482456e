"""SHA-256 and SHA-384 of files."""
from collections.abc import Callable, Sequence
from functools import lru_cache
import hashlib
from pathlib import Path

from gaze_ros.core.files import MOST_WEIGHTS, unreadable

#: Hex digits of a digest, by the name hashlib and the manifest have for it.
DIGITS = {'sha256': 64, 'sha384': 96}


def algorithms(hexdigests: Sequence[str]) -> list[str]:
    """Return which algorithms have digests of so many digits."""
    lengths = {len(d) for d in hexdigests}
    return [name for name, digits in DIGITS.items() if digits in lengths]


def compute(path: Path, algorithm: str) -> str:
    """Return the hex digest of a file.

    :raises OSError: if it is no file, cannot be read, or is larger than any model.
    """
    if why := unreadable(path, MOST_WEIGHTS):
        raise OSError(why)
    state = hashlib.new(algorithm)
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def digest(path: Path, algorithm: str) -> str:
    """Return the hex digest of a file; it is read again only when it has changed.

    :raises OSError: as :func:`compute`.
    """
    stat = path.stat()
    return _digest(path, algorithm, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _digest(path: Path, algorithm: str, _changed: int, _size: int) -> str:
    return compute(path, algorithm)


def mismatch(path: Path, expected: Sequence[str],
             read: Callable[[Path, str], str] = digest) -> str:
    """Return '' if a file has one of the digests, else what it has and what was expected."""
    found = {name: read(path, name) for name in algorithms(expected)}
    if set(found.values()) & set(expected):
        return ''
    has = ' and '.join(f'{name} {value}' for name, value in found.items())
    return f'it has {has} ({path.stat().st_size} bytes), expected {" or ".join(expected)}'
