"""CPU time of this process by what its threads do."""
from pathlib import Path
import threading
import time

_TASKS = Path('/proc/self/task')

_DECODING = 'decoder threads'
#: Beginning of the name of the thread in which the gaze node loads further models.
_LOADING = 'gaze_models'

#: Beginnings of the names of threads, and the work that they do; those without a name of their
#: own belong to the process: OpenVINO, OpenCV.
WORK = {
    'camera': 'camera', _LOADING: 'loading', 'gaze': 'gaze', 'visualizer': 'draw',
    'people': 'people', 'av:': _DECODING, 'dds': 'dds', 'messages': 'messages',
    'executor': 'executor', 'ThreadPool': 'executor', 'MainThread': 'main',
    'answers': 'benchmark'}
_OTHER = 'native'

#: By id of each thread seen, its work and its CPU seconds; and those of threads that have ended.
_seen: dict[str, tuple[str, float]] = {}
_ended: dict[str, float] = {}


def is_loading() -> bool:
    """Return whether models are being loaded to process more images side by side."""
    return any(thread.name.startswith(_LOADING) for thread in threading.enumerate())


def cpu_times() -> dict[str, float]:
    """Return the CPU seconds so far, by work; empty where the system does not report them."""
    if not _TASKS.is_dir():
        return {}
    names = {str(thread.native_id): thread.name for thread in threading.enumerate()}
    alive = {}
    for task in _TASKS.iterdir():
        try:
            name = names.get(task.name) or (task / 'comm').read_text().strip()
            seconds = 1e-9 * int((task / 'schedstat').read_text().split()[0])
        except (OSError, ValueError, IndexError):  # it has ended, or no statistics
            continue
        work = next((work for begin, work in WORK.items() if name.startswith(begin)), _OTHER)
        alive[task.name] = work, seconds
    for number in _seen.keys() - alive:
        work, seconds = _seen[number]
        _ended[work] = _ended.get(work, 0.0) + seconds
    _seen.clear()
    _seen.update(alive)
    times = dict(_ended)
    for work, seconds in alive.values():
        times[work] = times.get(work, 0.0) + seconds
    if _DECODING in times:
        # A video that starts over has new decoder threads, of which some were never seen.
        times[_DECODING] += max(0.0, time.process_time() - sum(times.values()))
    return times
