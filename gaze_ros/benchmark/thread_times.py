"""CPU time of this process by what its threads do."""
from pathlib import Path
import threading

_TASKS = Path('/proc/self/task')

#: Beginnings of the names of threads, and the work that they do; those without a name of their
#: own belong to the process: OpenVINO, OpenCV.
WORK = {
    'camera': 'camera', 'gaze': 'gaze', 'visualizer': 'draw', 'people': 'people',
    'av:': 'decoder threads', 'dds': 'dds', 'executor': 'executor', 'ThreadPool': 'executor',
    'MainThread': 'main', 'answers': 'benchmark'}
_OTHER = 'native'


def cpu_times() -> dict[str, float]:
    """Return the CPU seconds so far, by work; empty where the system does not report them."""
    if not _TASKS.is_dir():
        return {}
    names = {str(thread.native_id): thread.name for thread in threading.enumerate()}
    times: dict[str, float] = {}
    for task in _TASKS.iterdir():
        try:
            name = names.get(task.name) or (task / 'comm').read_text().strip()
            seconds = 1e-9 * int((task / 'schedstat').read_text().split()[0])
        except (OSError, ValueError, IndexError):  # it has ended, or no statistics
            continue
        work = next((work for begin, work in WORK.items() if name.startswith(begin)), _OTHER)
        times[work] = times.get(work, 0.0) + seconds
    return times
