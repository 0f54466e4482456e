"""The machine, and what the user's session allows."""
import locale
import os
from pathlib import Path
import platform
import subprocess
import sys
import time

from gaze_ros.core.doctor.report import Report
from gaze_ros.core.system import malloc
from gaze_ros.core.system import native_threads as thread_counts

#: What networks run faster with; /proc/cpuinfo's names.
_FLAGS = ('avx2', 'avx512f', 'avx512_vnni', 'amx_bf16', 'amx_int8', 'asimd', 'bf16')

#: Files a process must be able to open: a pipeline has some 100.
_FILES = 512

#: What sets the threads of the arithmetic libraries.
_COUNTS = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS')

#: Of this package's writing; a clock before it was never set.
_PAST = 1735689600.0  # 2025-01-01


def machine() -> Report:
    """Tell processor, memory, limits, locale and clock."""
    found = Report()
    name, flags = _processor()
    found.add_fact('processor', name)
    found.add_fact('cores', f'{thread_counts.thread_count()} for this process, {os.cpu_count()} in all')
    found.add_fact('features', ', '.join(f for f in _FLAGS if f in flags) or 'none that matter')
    found.add_fact('load', ' '.join(f'{x:.1f}' for x in os.getloadavg()))
    _memory(found)
    _limits(found)
    encoding = locale.getpreferredencoding(False)
    found.add_fact('locale', f'{locale.setlocale(locale.LC_CTYPE, None)}, {encoding}')
    if 'utf' not in encoding.lower():
        found.add_warning(f'the locale writes {encoding}: names of files with other letters fail',
                     'export LANG=C.UTF-8')
    found.add_fact('clock', time.strftime('%Y-%m-%d %H:%M:%S %z'))
    if time.time() < _PAST:
        found.add_warning('the clock is years behind: stamps of others look as if from the future',
                     'sudo systemctl enable --now chrony, or set it: sudo date -s ...')
    return found


def threads() -> Report:
    """Tell how many threads compute, and how they wait: GCC's OpenMP spins unless told not to."""
    found = Report()
    cores = thread_counts.thread_count()
    for name in (*thread_counts.WAITING, *_COUNTS, 'GOMP_SPINCOUNT'):
        if value := os.environ.get(name):
            found.add_fact(name, value)
    if os.environ.get('OMP_WAIT_POLICY', '').upper() == 'ACTIVE':
        found.add_warning('OMP_WAIT_POLICY is ACTIVE: threads that wait take the cores of those that '
                     'work, and a call takes 10 to 60 times longer', 'unset OMP_WAIT_POLICY')
    if os.environ.get('GOMP_SPINCOUNT', '0') not in ('0', ''):
        found.add_warning('GOMP_SPINCOUNT is set: threads that wait take the cores of those that work',
                     'unset GOMP_SPINCOUNT')
    for name in _COUNTS:
        value = os.environ.get(name, '')
        if value.isdecimal() and int(value) > cores:
            found.add_warning(f'{name} is {value}, and this process has {cores} cores',
                         f'unset {name}; the parameter threads sets it')
    return found


def _processor() -> tuple[str, set[str]]:
    """Return its name and its features."""
    name, flags = platform.processor() or platform.machine(), set()
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        if sys.platform == 'darwin':
            name = subprocess.run(
                ['/usr/sbin/sysctl', '-n', 'machdep.cpu.brand_string'],  # noqa: S603
                capture_output=True, text=True, check=False).stdout.strip() or name
        return name, flags
    for line in lines:
        key, _, value = (part.strip() for part in line.partition(':'))
        if key == 'model name':
            name = value
        elif key in ('flags', 'Features'):
            flags = set(value.split())
    return name, flags


def _memory(found: Report) -> None:
    try:
        lines = Path('/proc/meminfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return
    sizes = {line.partition(':')[0]: int(line.split()[1]) * 1024 for line in lines}
    free = sizes.get('MemAvailable', 0)
    found.add_fact('memory', f'{sizes.get("MemTotal", 0) / 1e9:.1f} GB, {free / 1e9:.1f} GB free')
    if 0 < free < 1e9:
        found.add_warning(f'only {free / 1e6:.0f} MB of memory are free: the pipeline takes 0.5 to 1 '
                     'GB', 'end other programs, or take a smaller model')


def _limits(found: Report) -> None:
    try:
        from resource import getrlimit, RLIM_INFINITY, RLIMIT_AS, RLIMIT_NOFILE
    except ImportError:  # not here
        return
    soft, hard = getrlimit(RLIMIT_NOFILE)
    found.add_fact('open files', f'{soft} (ulimit -n), at most {hard}')
    if soft < _FILES:
        found.add_warning(f'a process may have only {soft} files open', f'ulimit -n {_FILES * 2}')
    space = getrlimit(RLIMIT_AS)[0]
    if space != RLIM_INFINITY:
        found.add_fact('address space', f'{space / 1e9:.1f} GB (ulimit -v)')
        if why := malloc.memory_limit_problem():
            found.add_error(f'no node starts: {why}', 'ulimit -v unlimited')
        elif space < 8e9:
            found.add_warning(f'a process may map only {space / 1e9:.1f} GB, and libraries map more '
                         'than they use', 'ulimit -v unlimited')
