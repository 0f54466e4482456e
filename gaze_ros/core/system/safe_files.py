"""Reads untrusted files: checked before they are opened, with limits on size and depth."""
from collections.abc import Iterator
from pathlib import Path
import stat
from typing import Any

from gaze_ros.core.system.native_threads import MAX_PIXELS
import yaml

#: Maximum bytes of a weights file; the largest known, of L2CS-Net, has a quarter of that.
MAX_WEIGHTS_BYTES = 1 << 30
#: Maximum bytes of a settings file; a calibration has 1 kB, the manifest 20 kB.
MAX_SETTINGS_BYTES = 1 << 18

#: Maximum nesting of a YAML file; a parameter file has three levels.
_MAX_DEPTH = 32

_KINDS = ((stat.S_ISDIR, 'a folder'), (stat.S_ISFIFO, 'a pipe'), (stat.S_ISCHR, 'a device'),
          (stat.S_ISBLK, 'a device'), (stat.S_ISSOCK, 'a socket'))

_PAGE = 'a web page, probably of a link that needs a login: download it again'
#: First bytes (lower case) of files that were downloaded wrongly, and what they are.
_WRONG_STARTS = (
    (b'<!doctype html', _PAGE), (b'<html', _PAGE),
    (b'version https://git-lfs', "a pointer of Git LFS, not its file: run 'git lfs pull'"))


def read_problem(path: Path, max_bytes: int) -> str:
    """Return why a path cannot be read as a file of at most ``max_bytes``, or ''.

    A pipe or a device is not opened: reading it may never end.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = next((name for test, name in _KINDS if test(status.st_mode)), 'a special file')
            return f'it is {kind}, not a file'
        if status.st_size > max_bytes:
            return f'it has {status.st_size} bytes; expected at most {max_bytes}'
        with open(path, 'rb'):
            return ''
    except FileNotFoundError:
        return 'No such file or folder'
    except OSError as e:
        return f'it cannot be read: {e.strerror or e}'
    except ValueError as e:  # NUL in the name
        return f'it cannot be read: {e}'


def weights_problem(path: Path) -> str:
    """Return why a path cannot be a weights file of any format, or ''."""
    if problem := read_problem(path, MAX_WEIGHTS_BYTES):
        return problem
    with open(path, 'rb') as file:
        start = file.read(512).lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    if not start:
        return 'it is empty: copy or download it again'
    return next(
        (f'it is {kind}' for prefix, kind in _WRONG_STARTS if start.startswith(prefix)), '')


def png_too_large(header: bytes) -> bool:
    """Return whether the header of a PNG claims more than MAX_PIXELS pixels.

    OpenCV 5.0.0 checks its limit for every format, but for a PNG with a damaged header only after
    it has allocated the memory: 69 bytes allocated 4 GB.

    :param header: at least the first 24 bytes of the file.
    """
    return (header[:4] == b'\x89PNG' and int.from_bytes(header[16:20], 'big')
            * int.from_bytes(header[20:24], 'big') > MAX_PIXELS)


def read_text(path: Path, max_bytes: int = MAX_SETTINGS_BYTES) -> str:
    """Return the text of a UTF-8 file.

    :raises OSError: if it is not a regular file, is too large, or cannot be read.
    :raises ValueError: if it is not UTF-8.
    """
    if problem := read_problem(path, max_bytes):
        raise OSError(problem)
    with open(path, 'rb') as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:  # it grew, or its file system reports no sizes, as /proc
        raise OSError(f'it has more than {max_bytes} bytes')
    return data.decode('utf-8-sig')


def parse_yaml(text: str) -> Any:
    """Return the content of a YAML text with plain values, lists and mappings.

    Aliases are refused, as in ROS parameter files: with them, ten lines can expand to more than
    any memory.

    :raises ValueError: with one line of text, if it is not such YAML.
    """
    try:
        for _ in _checked(text):
            pass
        return yaml.load(text, Loader=_LOADER)  # noqa: S506, a safe one
    except (yaml.YAMLError, ValueError) as e:
        raise ValueError(' '.join(str(e).split())) from None
    except Exception as e:  # PyYAML's constructors raise any exception, as for !!int ""
        raise ValueError(f'a value does not match its tag ({type(e).__name__}: {e})') from None


#: PyYAML's safe loader, in C if available: ten times as fast.
_LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


def _checked(text: str) -> Iterator[None]:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f'an alias (*{event.anchor}) in line '
                             f'{event.start_mark.line + 1}: write out its value instead')
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ValueError(f'more than {_MAX_DEPTH} levels in line {event.start_mark.line + 1}')
        yield
