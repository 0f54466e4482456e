"""Webcams, as the system names them; none is opened to be read."""
import grp
import os
from pathlib import Path
import re
import sys

from gaze_ros.core.doctor.report import Report

_DEVICES, _NAMES = Path('/dev'), Path('/sys/class/video4linux')


def cameras(devices: Path = _DEVICES, names: Path = _NAMES) -> Report:
    """Tell which there are and whether this user may read them."""
    found = Report()
    if not sys.platform.startswith('linux'):
        found.add_fact('cameras', 'are listed on Linux only; try source:=0')
        return found
    paths = sorted(devices.glob('video[0-9]*'), key=lambda p: int(re.sub(r'\D', '', p.name)))
    for path in paths:
        try:
            name = (names / path.name / 'name').read_text(encoding='utf-8').strip()
            index = (names / path.name / 'index').read_text(encoding='utf-8').strip()
        except (OSError, UnicodeDecodeError):
            name, index = 'no name', '0'
        what = '' if index == '0' else ', not its pictures'
        readable = os.access(path, os.R_OK | os.W_OK)
        found.add_fact(str(path), name + what + ('' if readable else ', not for this user'))
        if not readable:
            found.add_warning(f'{path} ({name}) may not be read by this user',
                         f'sudo usermod -aG {_group(path)} $USER, and log in again')
    if not paths:
        found.add_fact('cameras', 'none: source:=sample, a file or a URL; in a container '
                   '--device /dev/video0')
    return found


def _group(path: Path) -> str:
    try:
        return grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        return 'video'
