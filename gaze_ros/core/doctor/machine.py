"""Checks of the machine and of the limits of the user's session."""
import locale
import os
from pathlib import Path
import platform
import subprocess
import sys
import time

from gaze_ros.core.doctor.report import Report
from gaze_ros.core.system import malloc, native_threads

#: Processor features that speed up networks, as named in /proc/cpuinfo.
_FEATURES = ('avx2', 'avx512f', 'avx512_vnni', 'amx_bf16', 'amx_int8', 'asimd', 'bf16')

#: Number of files a process must be able to open; a pipeline has about 100.
_MIN_FILES = 512

#: Variables with the number of threads of arithmetic libraries.
_THREAD_VARIABLES = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS')

#: A clock before this time was never set; older than this package.
_MIN_TIME = 1735689600.0  # 2025-01-01


def machine() -> Report:
    """Report processor, memory, limits, locale and clock."""
    report = Report()
    name, features = _processor()
    report.add_fact('processor', name)
    report.add_fact(
        'cores',
        f'{native_threads.thread_count()} for this process, {os.cpu_count()} in total')
    known = ', '.join(feature for feature in _FEATURES if feature in features)
    report.add_fact('features', known or 'none that matter')
    report.add_fact('load', ' '.join(f'{x:.1f}' for x in os.getloadavg()))
    _check_memory(report)
    _check_limits(report)
    encoding = locale.getpreferredencoding(False)
    report.add_fact('locale', f'{locale.setlocale(locale.LC_CTYPE, None)}, {encoding}')
    if 'utf' not in encoding.lower():
        report.add_warning(
            f'the locale uses {encoding}: file names with other characters fail',
            'export LANG=C.UTF-8')
    report.add_fact('clock', time.strftime('%Y-%m-%d %H:%M:%S %z'))
    if time.time() < _MIN_TIME:
        report.add_warning(
            'the clock is years behind: stamps of other machines are in the future',
            'sudo systemctl enable --now chrony, or set it: sudo date -s ...')
    return report


def threads() -> Report:
    """Report the settings of OpenMP threads, whose waiting must not spin."""
    report = Report()
    cores = native_threads.thread_count()
    for name in (*native_threads.WAITING, *_THREAD_VARIABLES, 'GOMP_SPINCOUNT'):
        if value := os.environ.get(name):
            report.add_fact(name, value)
    if os.environ.get('OMP_WAIT_POLICY', '').upper() == 'ACTIVE':
        report.add_warning(
            'OMP_WAIT_POLICY is ACTIVE: waiting threads occupy the cores that working ones need, '
            'and a call takes 10 to 60 times longer', 'unset OMP_WAIT_POLICY')
    if os.environ.get('GOMP_SPINCOUNT', '0') not in ('0', ''):
        report.add_warning(
            'GOMP_SPINCOUNT is set: waiting threads occupy the cores that working ones need',
            'unset GOMP_SPINCOUNT')
    for name in _THREAD_VARIABLES:
        value = os.environ.get(name, '')
        if value.isdecimal() and int(value) > cores:
            report.add_warning(
                f'{name} is {value}, but this process has {cores} cores',
                f'unset {name}; the parameter threads sets it')
    return report


def _processor() -> tuple[str, set[str]]:
    """Return the name and the features of the processor."""
    name, features = platform.processor() or platform.machine(), set()
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        if sys.platform == 'darwin':
            name = subprocess.run(
                ['/usr/sbin/sysctl', '-n', 'machdep.cpu.brand_string'],  # noqa: S603
                capture_output=True, text=True, check=False).stdout.strip() or name
        return name, features
    for line in lines:
        key, _, value = (part.strip() for part in line.partition(':'))
        if key == 'model name':
            name = value
        elif key in ('flags', 'Features'):
            features = set(value.split())
    return name, features


def _check_memory(report: Report) -> None:
    try:
        lines = Path('/proc/meminfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return
    sizes = {line.partition(':')[0]: int(line.split()[1]) * 1024 for line in lines}
    free = sizes.get('MemAvailable', 0)
    report.add_fact('memory', f'{sizes.get("MemTotal", 0) / 1e9:.1f} GB, {free / 1e9:.1f} GB free')
    if 0 < free < 1e9:
        report.add_warning(
            f'only {free / 1e6:.0f} MB of memory are free: the pipeline needs 0.5 to 1 GB',
            'stop other programs, or use a smaller model')


def _check_limits(report: Report) -> None:
    try:
        from resource import getrlimit, RLIM_INFINITY, RLIMIT_AS, RLIMIT_NOFILE
    except ImportError:  # Windows
        return
    soft, hard = getrlimit(RLIMIT_NOFILE)
    report.add_fact('open files', f'{soft} (ulimit -n), at most {hard}')
    if soft < _MIN_FILES:
        report.add_warning(
            f'a process may have only {soft} files open', f'ulimit -n {_MIN_FILES * 2}')
    space = getrlimit(RLIMIT_AS)[0]
    if space != RLIM_INFINITY:
        report.add_fact('address space', f'{space / 1e9:.1f} GB (ulimit -v)')
        if problem := malloc.memory_limit_problem():
            report.add_error(f'no node starts: {problem}', 'ulimit -v unlimited')
        elif space < 8e9:
            report.add_warning(
                f'a process may map only {space / 1e9:.1f} GB, and libraries map more than they '
                'use', 'ulimit -v unlimited')
