"""Checks and opens the files to which a parameter or an option directs output.

Whoever may set parameters chooses these paths; on a graph without SROS 2 that is every peer.
"""
import os
from pathlib import Path
import stat
from typing import BinaryIO, Union

from gaze_ros.core.errors import GazeRosError

#: Environment variable with the folder to which all output paths are confined.
VARIABLE = 'GAZE_ROS_OUTPUT_ROOT'

# Windows has none of these flags.
_OPEN_FLAGS = sum(getattr(os, flag, 0) for flag in ('O_CLOEXEC', 'O_NOFOLLOW', 'O_NONBLOCK'))


def resolved(path: Union[str, Path]) -> Path:
    """Return the absolute path of an output file without links; nothing is created or checked.

    :param path: as for :func:`safe_folder`.
    :raises GazeRosError: if the root does not exist, or the path cannot be resolved.
    """
    try:
        return ((_root() or Path()) / Path(path).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError) as e:
        raise GazeRosError(f"'{path}' is not a valid path: {e}") from e


def safe_folder(path: Union[str, Path]) -> Path:
    """Return a folder for output as an absolute path, created if missing.

    :param path: a relative path starts at $GAZE_ROS_OUTPUT_ROOT if it is set, else at the current
        folder; '' is that folder.
    :raises GazeRosError: if it is outside the root after links are resolved, or if other users
        could exchange its files.
    :raises OSError: if it cannot be created.
    """
    root = _root()
    try:
        folder = (root or Path()) / Path(path).expanduser()
        folder = folder.absolute()
        _require_below(folder, root, path)
        folder.mkdir(parents=True, exist_ok=True)
    except (RuntimeError, ValueError) as e:  # unknown user after ~, NUL, or a loop of links
        raise GazeRosError(f"'{path}' is not a valid folder path: {e}") from e
    if root:
        # Checked again: a link may have appeared meanwhile. Permissions matter below a root only;
        # a USB stick without owners is world-writable on every desktop.
        _require_below(folder, root, path)
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise GazeRosError(
                f"'{folder}' is world-writable, so a saved file could be exchanged for a link; "
                f'this is refused while ${VARIABLE} is set: chmod o-w it, or use another folder')
    return folder


def safe_path(path: Union[str, Path]) -> Path:
    """Return an output file or folder as an absolute path; its parent folder is created.

    :param path: as for :func:`safe_folder`.
    :raises GazeRosError: as :func:`safe_folder`, and if the path is a link.
    :raises OSError: if the parent folder cannot be created.
    """
    path = Path(path)
    if path.name in ('', '..') or '\0' in str(path):
        raise GazeRosError(f'{str(path)!r} does not name a file: add a file name')
    target = safe_folder(path.parent) / path.name
    if target.is_symlink():
        raise GazeRosError(
            f"'{target}' is a link to '{os.readlink(target)}', and links are not written through: "
            'name that file itself, or remove the link')
    return target


def open_output(path: Union[str, Path], *, keep: bool = False) -> BinaryIO:
    """Open a file to append to; an existing one is emptied first.

    :param path: as for :func:`safe_folder`.
    :param keep: do not empty it.
    :raises GazeRosError: as :func:`safe_path`, and if it is not a regular file.
    :raises OSError: if it cannot be written.
    """
    target = safe_path(path)
    # Non-blocking: a pipe without a reader would block forever.
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _OPEN_FLAGS, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise GazeRosError(f"'{target}' is a device or a pipe, not a file: name a file")
        if not keep:
            os.ftruncate(descriptor, 0)
        return open(descriptor, 'ab')
    except BaseException:
        os.close(descriptor)
        raise


def _root() -> Union[Path, None]:
    value = os.environ.get(VARIABLE, '')
    if not value:
        return None
    root = Path(value)
    if not root.is_absolute() or not root.is_dir():
        raise GazeRosError(
            f"${VARIABLE} '{value}' is not the absolute path of an existing folder: nothing is "
            'written; create it, or set another one')
    return root.resolve()


def _require_below(path: Path, root: Union[Path, None], given: Union[str, Path]) -> None:
    if root and not path.resolve().is_relative_to(root):
        raise GazeRosError(
            f"'{given}' is '{path.resolve()}', which is not below ${VARIABLE} '{root}': refused; "
            'use a path below it')
