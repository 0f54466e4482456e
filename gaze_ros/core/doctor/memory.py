"""Check of the shared memory that carries images between processes."""
import os

from gaze_ros.core.doctor.report import Report
from gaze_ros.core.system.shared_memory import FOLDER, stale_segments

#: Bytes that a process needs, and free bytes required for large segments
#: (ros/comm/dds_profile.py).
_MIN_FREE, _LARGE_FREE = 64 << 20, 1 << 30


def shared_memory() -> Report:
    """Report its size, and what killed processes left behind."""
    report = Report()
    try:
        status = os.statvfs(FOLDER)
    except (AttributeError, OSError) as e:
        report.add_fact(str(FOLDER), f'none ({e})')
        return report
    free = status.f_bavail * status.f_frsize
    total = status.f_blocks * status.f_frsize
    report.add_fact(str(FOLDER), f'{total / 1e6:.0f} MB, {free / 1e6:.0f} MB free')
    if not os.access(FOLDER, os.W_OK):
        report.add_warning(
            f'{FOLDER} is not writable: images travel between processes by UDP, and most are lost',
            f'sudo chmod 1777 {FOLDER}')
    elif free < _MIN_FREE:
        report.add_warning(
            f'only {free / 1e6:.0f} MB of {FOLDER} are free: nodes may crash or lose images',
            'gaze_ros doctor --reclaim; in a container --shm-size=1g')
    elif free < _LARGE_FREE:
        report.add_fact(
            'segments', 'small, for images up to 1920x1080; larger images need 1 GB free (in a '
            'container --shm-size=2g)')
    _report_stale(report)
    return report


def _report_stale(report: Report) -> None:
    segments = stale_segments()
    size = sum(segment.nbytes for segment in segments)
    report.add_fact('left behind', f'{len(segments)} segments, {size / 1e6:.0f} MB')
    if segments:
        report.add_warning(
            f'killed processes left {size / 1e6:.0f} MB in {FOLDER}', 'gaze_ros doctor --reclaim')
