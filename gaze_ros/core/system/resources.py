"""Where the files installed beside the code are (config, launch, weights)."""
from pathlib import Path


def share_path(name: str) -> Path:
    """Return a file or folder of the package's share folder.

    In a checkout it is the top folder; installed by colcon or pip it is
    <prefix>/share/gaze_ros, some levels above this module. Works without an ament index.

    :raises FileNotFoundError: if neither has it.
    """
    here = Path(__file__).resolve()
    for parent in here.parents:
        for folder in (parent / 'share' / 'gaze_ros', parent):
            if (folder / 'package.xml').is_file() and (folder / name).exists():
                return folder / name
    raise FileNotFoundError(
        f'{name} of gaze_ros was not found above {here.parent}: is gaze_ros installed whole?')
