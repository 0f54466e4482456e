"""Finds the files installed beside the code: config, launch, msg, weights."""
from pathlib import Path


def share_path(name: str) -> Path:
    """Return a file or folder of the package's share folder.

    The share folder is the top folder of a checkout, or <prefix>/share/gaze_ros above this module
    after an installation by colcon or pip. Works without an ament index.

    :raises FileNotFoundError: if it is in neither.
    """
    here = Path(__file__).resolve()
    for parent in here.parents:
        for folder in (parent / 'share' / 'gaze_ros', parent):
            if (folder / 'package.xml').is_file() and (folder / name).exists():
                return folder / name
    raise FileNotFoundError(
        f'{name} of gaze_ros was not found above {here.parent}: is gaze_ros installed completely?')
