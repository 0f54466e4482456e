"""What ``gaze_ros doctor`` looks at: it works where nothing else does.

Each check is a function without arguments that returns :class:`Findings`, and runs in a process of
its own: a library that ends the process, or hangs, costs one line.
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

#: Title of each check, and the module and the function that is it, in the order of the report.
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

#: Those without which nothing runs; what fails of the others is advice.
ESSENTIAL = ('numpy', 'OpenCV', 'Needed packages', 'Machine', 'Trial', 'ROS', 'Middleware',
             'Messages')

#: Seconds a check may take: torch takes 10 to be imported from a cold disk.
PATIENCE = 45.0

#: How a check's process begins: it sees the modules that this one sees.
_CHILD = ('import sys; sys.path[:] = {path!r}\n'
          'from gaze_ros.core.doctor.child import main; main({module!r}, {function!r})')


def examine(checks: dict[str, tuple[str, str]] = CHECKS,
            patience: float = PATIENCE) -> Iterator[tuple[str, Report]]:
    """Yield title and findings of each check, in their order, as they come.

    :param checks: as :data:`CHECKS`.
    :param patience: seconds that each may take.
    """
    with ThreadPoolExecutor(max_workers=max(2, thread_count())) as pool:
        running = {title: pool.submit(_examine, title, *where, patience)
                   for title, where in checks.items()}
        for title, future in running.items():
            found = future.result()
            for trouble in found.problems:
                trouble.needed = trouble.needed and title in ESSENTIAL
            yield title, found


def _examine(title: str, module: str, function: str, patience: float) -> Report:
    """Run a check in a process; what goes wrong with it is found, too."""
    code = _CHILD.format(path=sys.path, module=module, function=function)
    try:
        child = subprocess.Popen(  # noqa: S603, our own interpreter and code
            [sys.executable, '-c', code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True)
    except OSError as e:
        return Report().add_error(f'{title}: no process could be started ({e})',
                               'end others, or raise the limits of processes and memory')
    try:
        out, err = child.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        # Not waited for: what hangs in a driver does not even die.
        return Report().add_error(
            f'{title}: did not answer within {patience:g} s',
            'try again where less runs; if it stays so, this part of the machine hangs')
    try:
        return Report.from_json(json.loads(out.decode(errors='replace').splitlines()[-1]))
    except (ValueError, IndexError, KeyError, TypeError):
        do = ('install that package anew, in a version for this processor'
              if child.returncode < 0 else 'correct what it says, and what is told beside it')
        return Report().add_error(f'{title}: the check ended {_end(child.returncode, err)}', do)


def _end(code: int, err: bytes) -> str:
    """Return how a process ended, in words."""
    words = err.decode(errors='replace').strip().splitlines()
    how = f'with code {code}'
    if code < 0:
        with suppress(ValueError):
            how = f'by {signal.Signals(-code).name}'
    return f'{how} ({words[-1].strip()[:200]})' if words else how
