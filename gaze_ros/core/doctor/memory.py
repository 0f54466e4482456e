"""Shared memory, by which pictures go from process to process."""
import os

from gaze_ros.core.doctor.report import Report
from gaze_ros.core.system.shared_memory import FOLDER, stale_segments

#: What a process takes of it, and from which on segments may be large (ros/comm/dds_profile.py).
_LEAST, _ROOM = 64 << 20, 1 << 30


def shared_memory() -> Report:
    """Tell how much there is, and what processes that ended left behind."""
    found = Report()
    try:
        room = os.statvfs(FOLDER)
    except (AttributeError, OSError) as e:
        found.add_fact(str(FOLDER), f'none ({e})')
        return found
    free = room.f_bavail * room.f_frsize
    whole = room.f_blocks * room.f_frsize
    found.add_fact(str(FOLDER), f'{whole / 1e6:.0f} MB, {free / 1e6:.0f} MB free')
    if not os.access(FOLDER, os.W_OK):
        found.add_warning(f'{FOLDER} may not be written: pictures go from process to process by UDP, '
                     'and most are lost', f'sudo chmod 1777 {FOLDER}')
    elif free < _LEAST:
        found.add_warning(f'only {free / 1e6:.0f} MB of {FOLDER} are free: nodes may end, or lose '
                     'pictures', 'gaze_ros doctor --reclaim; in a container --shm-size=1g')
    elif free < _ROOM:
        found.add_fact('segments', 'small ones: pictures up to 1920x1080; larger ones want 1 GB free '
                   '(in a container --shm-size=2g)')
    _stale(found)
    return found


def _stale(found: Report) -> None:
    left = stale_segments()
    size = sum(segment.nbytes for segment in left)
    found.add_fact('left behind', f'{len(left)} segments, {size / 1e6:.0f} MB')
    if left:
        found.add_warning(f'processes that were killed left {size / 1e6:.0f} MB in {FOLDER}',
                     'gaze_ros doctor --reclaim')
