"""Check of the webcams; none is opened."""
import grp
import os
from pathlib import Path
import re
import sys

from gaze_ros.core.doctor.report import Report

_DEVICES, _NAMES = Path('/dev'), Path('/sys/class/video4linux')


def cameras(devices: Path = _DEVICES, names: Path = _NAMES) -> Report:
    """Report the webcams and whether this user may read them."""
    report = Report()
    if not sys.platform.startswith('linux'):
        report.add_fact('cameras', 'are listed on Linux only; try source:=0')
        return report
    paths = sorted(devices.glob('video[0-9]*'), key=lambda p: int(re.sub(r'\D', '', p.name)))
    for path in paths:
        try:
            name = (names / path.name / 'name').read_text(encoding='utf-8').strip()
            index = (names / path.name / 'index').read_text(encoding='utf-8').strip()
        except (OSError, UnicodeDecodeError):
            name, index = 'no name', '0'
        kind = '' if index == '0' else ', not its images'
        readable = os.access(path, os.R_OK | os.W_OK)
        report.add_fact(str(path), name + kind + ('' if readable else ', not for this user'))
        if not readable:
            report.add_warning(
                f'{path} ({name}) is not readable for this user',
                f'sudo usermod -aG {_group(path)} $USER, and log in again')
    if not paths:
        report.add_fact(
            'cameras', 'none: use source:=sample, a file or a URL; in a container add --device '
            '/dev/video0')
    return report


def _group(path: Path) -> str:
    try:
        return grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        return 'video'
