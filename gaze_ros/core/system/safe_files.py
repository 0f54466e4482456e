"""Files from strangers: looked at before they are opened, and read in bounds."""
from collections.abc import Iterator
from pathlib import Path
import stat
from typing import Any

from gaze_ros.core.system.native_threads import MAX_PIXELS
import yaml

#: Bytes that a file of weights may have: the largest known, of L2CS-Net, has a quarter of it.
MAX_WEIGHTS_BYTES = 1 << 30
#: Bytes that a file of settings may have: a calibration has 1 kB, the manifest 20 kB.
MAX_SETTINGS_BYTES = 1 << 18

#: How deep a YAML may go: a parameter file's deepest is three.
_DEEPEST = 32

_KINDS = ((stat.S_ISDIR, 'a folder'), (stat.S_ISFIFO, 'a pipe'), (stat.S_ISCHR, 'a device'),
          (stat.S_ISBLK, 'a device'), (stat.S_ISSOCK, 'a socket'))

_PAGE = 'a web page, as a link that wants a login gives one: download it anew'
#: What begins a file that was downloaded wrongly, in lower case, and what it is.
_WRONG = (
    (b'<!doctype html', _PAGE), (b'<html', _PAGE),
    (b'version https://git-lfs', "a pointer of Git LFS, not its file: run 'git lfs pull'"))


def read_problem(path: Path, most: int) -> str:
    """Return why a path cannot be read as a file of at most so many bytes, or ''.

    A pipe or a device is not opened: reading it may never end.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            what = next((name for test, name in _KINDS if test(found.st_mode)), 'something else')
            return f'it is {what}, not a file'
        if found.st_size > most:
            return f'it has {found.st_size} bytes, at most {most} were expected'
        with open(path, 'rb'):
            return ''
    except FileNotFoundError:
        return 'No such file or folder'
    except OSError as e:
        return f'it cannot be read: {e.strerror or e}'
    except ValueError as e:  # a name with a zero in it
        return f'it cannot be read: {e}'


def weights_problem(path: Path) -> str:
    """Return why a path cannot be a file of weights, whatever its format, or ''."""
    if why := read_problem(path, MAX_WEIGHTS_BYTES):
        return why
    with open(path, 'rb') as file:
        begin = file.read(512).lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    if not begin:
        return 'it is empty: copy or download it anew'
    return next((f'it is {what}' for how, what in _WRONG if begin.startswith(how)), '')


def png_too_large(begin: bytes) -> bool:
    """Return whether a PNG says that it has more pixels than are unpacked.

    OpenCV 5.0.0 minds its limit for all formats, but for a PNG whose header is damaged only when
    it has taken the memory: 69 bytes took 4 GB.

    :param begin: 24 bytes of the file, or more.
    """
    return (begin[:4] == b'\x89PNG' and int.from_bytes(begin[16:20], 'big')
            * int.from_bytes(begin[20:24], 'big') > MAX_PIXELS)


def read_text(path: Path, most: int = MAX_SETTINGS_BYTES) -> str:
    """Return the text of a file in UTF-8.

    :raises OSError: if it is no file, or cannot be read; ValueError, if it is too large, or not
        UTF-8.
    """
    if why := read_problem(path, most):
        raise OSError(why)
    with open(path, 'rb') as file:
        data = file.read(most + 1)
    if len(data) > most:  # it grew, or its file system tells no sizes, as /proc
        raise OSError(f'it has more than {most} bytes')
    return data.decode('utf-8-sig')


def parse_yaml(text: str) -> Any:
    """Return what is in a YAML of plain values, lists and mappings, without aliases.

    Aliases let ten lines stand for more than any memory, and ROS takes none in its parameter
    files either.

    :raises ValueError: if it is no such YAML, in one line.
    """
    try:
        for _ in _checked(text):
            pass
        return yaml.load(text, Loader=_LOADER)  # noqa: S506, a safe one
    except (yaml.YAMLError, ValueError) as e:
        raise ValueError(' '.join(str(e).split())) from None
    except Exception as e:  # its constructors raise whatever they happen to, as for !!int ""
        raise ValueError(f'a value that is none of its tag ({type(e).__name__}: {e})') from None


#: PyYAML's safe loader, in C where it was built so: ten times as fast.
_LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


def _checked(text: str) -> Iterator[None]:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f'an alias (*{event.anchor}) in line '
                             f'{event.start_mark.line + 1}: write out what it stands for')
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError(f'more than {_DEEPEST} levels in line {event.start_mark.line + 1}')
        yield
