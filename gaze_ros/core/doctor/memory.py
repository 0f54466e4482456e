"""Shared memory, by which pictures go from process to process."""
import os

from gaze_ros.core.doctor.findings import Findings

#: Where it is, what a process takes of it, and from which on segments may be large
#: (gaze_ros.ros.transport).
_PLACE, _LEAST, _ROOM = '/dev/shm', 64 << 20, 1 << 30  # noqa: S108, its place


def shared_memory() -> Findings:
    """Tell how much there is, and what processes that ended left behind."""
    found = Findings()
    try:
        room = os.statvfs(_PLACE)
    except (AttributeError, OSError) as e:
        found.tell(_PLACE, f'none ({e})')
        return found
    free = room.f_bavail * room.f_frsize
    found.tell(_PLACE, f'{room.f_blocks * room.f_frsize / 1e6:.0f} MB, {free / 1e6:.0f} MB free')
    if not os.access(_PLACE, os.W_OK):
        found.advise(f'{_PLACE} may not be written: pictures go from process to process by UDP, '
                     'and most are lost', f'sudo chmod 1777 {_PLACE}')
    elif free < _LEAST:
        found.advise(f'only {free / 1e6:.0f} MB of {_PLACE} are free: nodes may end, or lose '
                     'pictures', 'gaze_ros doctor --reclaim; in a container --shm-size=1g')
    elif free < _ROOM:
        found.tell('segments', 'small ones: pictures up to 1920x1080; larger ones want 1 GB free '
                   '(in a container --shm-size=2g)')
    _stale(found)
    return found


def _stale(found: Findings) -> None:
    # Locks of files are the middleware's own way of telling.
    from gaze_ros.core import shared_memory as segments
    left = segments.stale()
    size = sum(segment.nbytes for segment in left)
    found.tell('left behind', f'{len(left)} segments, {size / 1e6:.0f} MB')
    if left:
        found.advise(f'processes that were killed left {size / 1e6:.0f} MB in {_PLACE}',
                     'gaze_ros doctor --reclaim')
