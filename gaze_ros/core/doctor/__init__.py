"""The checks of ``gaze_ros doctor``, which work even if nothing else does.

Each check is a function without arguments that returns a :class:`.report.Report`. It runs in a
process of its own: a library that aborts or hangs only fails its own check.
"""
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
import json
import os
import signal
import subprocess
import sys

from gaze_ros.core.doctor.report import Report
from gaze_ros.core.system.native_threads import thread_count

#: Title, module and function of each check, in the order of the report.
CHECKS = {
    'Versions': ('gaze_ros.core.doctor.libraries', 'versions'),
    'numpy': ('gaze_ros.core.doctor.libraries', 'numpy'),
    'OpenCV': ('gaze_ros.core.doctor.libraries', 'opencv'),
    'Window': ('gaze_ros.core.doctor.libraries', 'window'),
    'Needed packages': ('gaze_ros.core.doctor.libraries', 'needed'),
    'mediapipe': ('gaze_ros.core.doctor.libraries', 'mediapipe'),
    'OpenVINO': ('gaze_ros.core.doctor.libraries', 'openvino'),
    'ONNX Runtime': ('gaze_ros.core.doctor.libraries', 'onnxruntime'),
    'torch': ('gaze_ros.core.doctor.libraries', 'torch'),
    'Core ML': ('gaze_ros.core.doctor.libraries', 'coremltools'),
    'Machine': ('gaze_ros.core.doctor.machine', 'machine'),
    'Threads': ('gaze_ros.core.doctor.machine', 'threads'),
    'Models': ('gaze_ros.core.doctor.engine', 'models'),
    'Trial': ('gaze_ros.core.doctor.engine', 'trial'),
    'Cameras': ('gaze_ros.core.doctor.cameras', 'cameras'),
    'ROS': ('gaze_ros.ros.doctor', 'ros'),
    'Middleware': ('gaze_ros.ros.doctor', 'middleware'),
    'Messages': ('gaze_ros.ros.doctor', 'messages'),
    'Network': ('gaze_ros.ros.doctor', 'network'),
    'Shared memory': ('gaze_ros.core.doctor.memory', 'shared_memory'),
}

#: Checks without which nothing runs; problems of the others are warnings.
ESSENTIAL = ('numpy', 'OpenCV', 'Needed packages', 'Machine', 'Trial', 'ROS', 'Middleware',
             'Messages')

#: Seconds a check may take; importing torch from a cold disk takes 10.
TIMEOUT = 45.0

#: Code of a check's process, which uses the module path of this process.
_CHILD_CODE = ('import sys; sys.path[:] = {path!r}\n'
               'from gaze_ros.core.doctor.child import main; main({module!r}, {function!r})')


def examine(checks: dict[str, tuple[str, str]] = CHECKS,
            timeout: float = TIMEOUT) -> Iterator[tuple[str, Report]]:
    """Run the checks in parallel; yield title and report of each, in order, when available.

    :param checks: title, module and function, as in :data:`CHECKS`.
    :param timeout: seconds that each check may take.
    """
    with ThreadPoolExecutor(max_workers=max(2, thread_count())) as pool:
        futures = {title: pool.submit(_run_check, title, module, function, timeout)
                   for title, (module, function) in checks.items()}
        for title, future in futures.items():
            report = future.result()
            for problem in report.problems:
                problem.needed = problem.needed and title in ESSENTIAL
            yield title, report


def _run_check(title: str, module: str, function: str, timeout: float) -> Report:
    """Run a check in a process; a failure of the check itself is reported as a problem."""
    code = _CHILD_CODE.format(path=sys.path, module=module, function=function)
    try:
        child = subprocess.Popen(  # noqa: S603, our own interpreter and code
            [sys.executable, '-c', code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True)
    except OSError as e:
        return Report().add_error(
            f'{title}: no process could be started ({e})',
            'stop other processes, or raise the limits of processes and memory')
    try:
        out, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        # Not waited for: a process that hangs in a driver cannot be killed.
        return Report().add_error(
            f'{title}: did not answer within {timeout:g} s',
            'stop other programs and try again; if it still happens, this part of the machine '
            'hangs')
    try:
        return Report.from_json(json.loads(out.decode(errors='replace').splitlines()[-1]))
    except (ValueError, IndexError, KeyError, TypeError):
        do = ('reinstall that package in a version for this processor'
              if child.returncode < 0 else 'correct the cause that it names, and other problems')
        return Report().add_error(
            f'{title}: the check ended {_exit_text(child.returncode, err)}', do)


def _exit_text(code: int, err: bytes) -> str:
    """Return how a process ended, with its last line of output."""
    lines = err.decode(errors='replace').strip().splitlines()
    text = f'with code {code}'
    if code < 0:
        with suppress(ValueError):
            text = f'by {signal.Signals(-code).name}'
    return f'{text} ({lines[-1].strip()[:200]})' if lines else text
