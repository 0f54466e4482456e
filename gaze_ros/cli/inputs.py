"""Input files and folders of the verbs."""
from pathlib import Path

from gaze_ros.core.errors import SourceError
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
