"""Sample the resource usage and the results of processes into a CSV file."""
from collections.abc import Mapping
import csv
import math
import os
from pathlib import Path

from benchmarks.soak.probe_node import Received
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system.shared_memory import FOLDER
import numpy as np
import psutil

#: Columns of each process: memory in MB (resident, proportional, unique, and anonymous, which is
#: what leaks), handles, threads, and mapped shared memory: MB and files.
PER_PROCESS = ('rss', 'pss', 'uss', 'anon', 'handles', 'threads', 'shm', 'shm_files')

#: Common columns: seconds since the start and since the last row, results per second, ms from
#: capture to arrival, dropped images per second, faces per result, new ids, failed requests, files
#: and MB of all Fast DDS processes in /dev/shm, and whether another model or source than at the
#: start is or was just in use.
COMMON = ('time', 'span', 'fps', 'p50', 'p99', 'dropped', 'faces', 'ids', 'failures',
          'all_shm_files', 'all_shm', 'away')

_MB = 1e6

Row = dict[str, float]


class Sampler:
    """Writes each row at once, so that an interrupted test keeps its samples.

    :param path: of the CSV file.
    :param pids: of the processes by name; their descendants are included.
    :ivar rows: all samples.
    :raises GazeRosError: if the file cannot be written.
    """

    def __init__(self, path: Path, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self.rows: list[Row] = []
        names = [*COMMON, *(f'{name} {what}' for name in pids for what in PER_PROCESS), 'events']
        try:
            self._file = open(path, 'w', encoding='utf-8', newline='')
        except OSError as e:
            raise GazeRosError(f"'{path}' cannot be written: {e}") from e
        self._writer = csv.DictWriter(self._file, names)
        self._writer.writeheader()

    def add(self, time: float, received: Received, failures: int, events: list[str],
            away: bool) -> None:
        """Sample the processes and write a row.

        :param time: seconds since the start.
        :param received: since the last row.
        :param failures: number of failed requests since the start.
        :param events: since the last row.
        :param away: whether another model or source is or was just in use.
        """
        span = time - (self.rows[-1]['time'] if self.rows else 0.0)
        ages = 1e3 * np.array(received.ages or [math.nan])
        row = {
            'time': time, 'span': span, 'fps': len(received.ages) / span if span > 0 else 0.0,
            'p50': float(np.percentile(ages, 50)), 'p99': float(np.percentile(ages, 99)),
            'dropped': received.dropped, 'ids': float(received.new), 'failures': float(failures),
            'away': float(away),
            'faces': float(np.mean(received.faces)) if received.faces else math.nan,
            **_all_shared_memory()}
        for name, pid in self._pids.items():
            row |= {f'{name} {what}': value for what, value in usage(pid).items()}
        self.rows.append(row)
        self._writer.writerow({
            **{name: f'{value:.4g}' if name != 'time' else f'{value:.1f}'
               for name, value in row.items()}, 'events': '; '.join(events)})
        self._file.flush()

    def column(self, name: str) -> np.ndarray:
        """Return the values of a column, (N,) float64."""
        return np.array([row[name] for row in self.rows])

    def sum(self, what: str) -> np.ndarray:
        """Return the sum over the processes of one of :data:`PER_PROCESS`, (N,) float64."""
        return np.sum([self.column(f'{name} {what}') for name in self._pids], axis=0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def usage(pid: int) -> Row:
    """Return :data:`PER_PROCESS` of a process and its descendants; NaN if it has exited."""
    total = dict.fromkeys(PER_PROCESS, 0.0)
    try:
        top = psutil.Process(pid)
        tree = [top, *top.children(recursive=True)]
    except psutil.Error:
        return dict.fromkeys(PER_PROCESS, math.nan)
    segments: dict[str, int] = {}
    for process in tree:
        try:
            full = process.memory_full_info()
            total['rss'] += full.rss / _MB
            total['pss'] += getattr(full, 'pss', full.uss) / _MB
            total['uss'] += full.uss / _MB
            total['anon'] += _anonymous(process.pid, full.uss) / _MB
            total['handles'] += process.num_fds() if os.name == 'posix' else process.num_handles()
            total['threads'] += process.num_threads()
        except psutil.Error:  # it has exited meanwhile
            continue
        segments |= _segments(process.pid)
    total['shm'], total['shm_files'] = sum(segments.values()) / _MB, float(len(segments))
    return total


def _anonymous(pid: int, otherwise: int) -> int:
    """Return the anonymous memory of a process in bytes, including swapped out pages.

    USS also counts shared memory while no other process maps it.

    :param otherwise: returned where the system does not report it.
    """
    kilobytes = 0
    try:
        with open(f'/proc/{pid}/status', encoding='utf-8') as status:
            for line in status:
                if line.startswith(('RssAnon:', 'VmSwap:')):
                    kilobytes += int(line.split()[1])
    except OSError:  # it has exited, or this is not Linux
        return otherwise
    return 1024 * kilobytes


def _segments(pid: int) -> dict[str, int]:
    """Return the bytes of each shared memory file that a process maps, by name."""
    found: dict[str, int] = {}
    try:
        with open(f'/proc/{pid}/maps', encoding='utf-8', errors='replace') as maps:
            for line in maps:
                if str(FOLDER) in line:
                    low, high = (int(word, 16) for word in line.split()[0].split('-'))
                    name = line.split(None, 5)[-1].strip()
                    found[name] = found.get(name, 0) + high - low
    except OSError:  # it has exited, or this is not Linux
        pass
    return found


def _all_shared_memory() -> Row:
    """Return files and MB of all Fast DDS processes in shared memory, whether mapped or not."""
    files, size = 0, 0
    try:
        with os.scandir(FOLDER) as entries:
            for entry in entries:
                if entry.name.startswith(('fastrtps_', 'fastdds_')):
                    files += 1
                    size += _blocks(entry)
    except OSError:  # this is not Linux
        pass
    return {'all_shm_files': float(files), 'all_shm': size / _MB}


def _blocks(entry: os.DirEntry) -> int:
    """Return the bytes that a file occupies."""
    try:
        return 512 * entry.stat().st_blocks
    except OSError:  # it was removed meanwhile
        return 0
