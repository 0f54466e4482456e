"""Input files and folders of the verbs."""
from collections.abc import Iterable
import os
from pathlib import Path

from gaze_ros.core.errors import GazeRosError, SourceError
from gaze_ros.core.output import safe_paths
from gaze_ros.core.system.urls import redact_url


def existing(name: str) -> Path:
    """Return the path of a file or folder.

    :raises SourceError: if it does not exist, or is a device.
    """
    path = Path(name)
    if not path.exists():
        raise SourceError(f"input '{redact_url(name)}' does not exist")
    if not (path.is_file() or path.is_dir()):
        raise SourceError(f"input '{path}' is not a file or folder; for a camera use the pipeline")
    return path


def check_outputs(outputs: Iterable[str], inputs: Iterable[str | Path]) -> None:
    """Check that no output would overwrite an input or another output.

    :param outputs: names of files; '' and '-' name none.
    :param inputs: files that are read, and folders whose files are; '' names none.
    :raises GazeRosError: naming the output.
    """
    from gaze_ros.core.sources.images import is_image

    paths = [(name, safe_paths.resolved(name)) for name in outputs if name not in ('', '-')]
    read = [Path(name) for name in inputs if str(name) not in ('', '.')]
    for number, (name, path) in enumerate(paths):
        if any(_same(path, other) for _, other in paths[:number]):
            raise GazeRosError(
                f"'{name}' is given for two outputs: they would overwrite each other; give each "
                'its own name')
        if any(_same(path, other) or _same(path.parent, other) and is_image(path)
               for other in read):
            raise GazeRosError(
                f"'{name}' is the input: it would be overwritten; give another name")


def _same(path: Path, other: Path) -> bool:
    """Return whether two paths lead to one file, also by links; it need not exist."""
    try:
        return path == other.resolve() or path.exists() and other.exists() and (
            os.path.samefile(path, other))
    except (OSError, RuntimeError):
        return False
