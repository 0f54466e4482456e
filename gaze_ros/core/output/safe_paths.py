"""Files written where a parameter says: the one place in which such a path is judged and opened.

Whoever may set parameters chooses these paths, and on a graph without SROS 2 that is every peer.
"""
import os
from pathlib import Path
import stat
from typing import BinaryIO, Union

from gaze_ros.core.errors import GazeRosError

#: Environment variable with the folder below which all has to lie that parameters name.
VARIABLE = 'GAZE_ROS_OUTPUT_ROOT'

# Windows has none of them.
_CAREFUL = sum(getattr(os, flag, 0) for flag in ('O_CLOEXEC', 'O_NOFOLLOW', 'O_NONBLOCK'))


def safe_folder(path: Union[str, Path]) -> Path:
    """Return a folder to write into, absolute, made where it is not there.

    :param path: where $GAZE_ROS_OUTPUT_ROOT is set a relative one lies below that, else below the
        current folder; '' for that itself.
    :raises GazeRosError: if it does not lie below the root, links followed, or others could
        exchange what is in it.
    :raises OSError: if it cannot be made.
    """
    root = _root()
    try:
        there = (root or Path()) / Path(path).expanduser()
        there = there.absolute()
        _demand_below(there, root, path)
        there.mkdir(parents=True, exist_ok=True)
    except (RuntimeError, ValueError) as e:  # nobody has the name after ~; a NUL, a loop
        raise GazeRosError(f"'{path}' is no path of a folder: {e}") from e
    if root:
        # Once more: a link may have come in between. And of what is below the root alone others
        # than its owner may have a say; at home a stick without owners is nobody's concern.
        _demand_below(there, root, path)
        mode = there.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise GazeRosError(
                f"'{there}' may be written by everybody, and what is saved there could be "
                f'exchanged for a link: refused while ${VARIABLE} is set; chmod o-w it, or name '
                'another folder')
    return there


def safe_path(path: Union[str, Path]) -> Path:
    """Return a file or folder to write, absolute; the folder it lies in is made.

    :param path: as of :func:`folder`.
    :raises GazeRosError: as :func:`folder`, and if it is a link.
    :raises OSError: if the folder cannot be made.
    """
    path = Path(path)
    if path.name in ('', '..') or '\0' in str(path):
        raise GazeRosError(f'{str(path)!r} names no file: give it a name')
    target = safe_folder(path.parent) / path.name
    if target.is_symlink():
        raise GazeRosError(
            f"'{target}' is a link to '{os.readlink(target)}', and links are not written through: "
            'name that file itself, or remove the link')
    return target


def open_output(path: Union[str, Path], *, keep: bool = False) -> BinaryIO:
    """Open a file for writing, at its end; one that is there begins anew.

    :param path: as of :func:`folder`.
    :param keep: do not begin it anew.
    :raises GazeRosError: as :func:`place`, and if it is anything but a file.
    :raises OSError: if it cannot be written.
    """
    target = safe_path(path)
    # Without blocking, in which a pipe that nobody reads would hold the caller for ever.
    number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _CAREFUL, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise GazeRosError(f"'{target}' is a device or a pipe, not a file: name a file")
        if not keep:
            os.ftruncate(number, 0)
        return open(number, 'ab')
    except BaseException:
        os.close(number)
        raise


def _root() -> Union[Path, None]:
    named = os.environ.get(VARIABLE, '')
    if not named:
        return None
    root = Path(named)
    if not root.is_absolute() or not root.is_dir():
        raise GazeRosError(f"${VARIABLE} '{named}' is no absolute path of a folder that is there: "
                           'nothing is written; make it, or name one that is')
    return root.resolve()


def _demand_below(path: Path, root: Union[Path, None], given: Union[str, Path]) -> None:
    if root and not path.resolve().is_relative_to(root):
        raise GazeRosError(
            f"'{given}' is '{path.resolve()}', which is not below ${VARIABLE} '{root}': refused; "
            'name a place below it')
