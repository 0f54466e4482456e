"""What processes hold, and what is heard of them, row by row in a CSV file."""
from collections.abc import Mapping
import csv
import math
import os
from pathlib import Path

from gaze_ros.benchmark.soak.hearing import Heard
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system.shared_memory import FOLDER
import numpy as np
import psutil

#: What is looked at of each process: megabytes (resident, shared proportionally, its own, and its
#: own of no file: what leaks), handles, threads, and the shared memory it maps: megabytes, files.
OF_PROCESS = ('rss', 'pss', 'uss', 'anon', 'handles', 'threads', 'shm', 'shm_files')

#: What is looked at of the whole: seconds since the start and since the last row, results a
#: second, milliseconds from capture to arrival, pictures dropped a second, faces in a result, ids
#: that came, requests that failed, all Fast DDS files and megabytes in /dev/shm, and whether
#: another model or source than at first was in place, or just had been.
OF_ALL = ('time', 'span', 'fps', 'p50', 'p99', 'dropped', 'faces', 'ids', 'failures',
          'all_shm_files', 'all_shm', 'away')

_MB = 1e6

Row = dict[str, float]


class Ledger:
    """Writes a row each time, so that what ends early leaves all it had.

    :param pids: of the processes, by name; what they have started counts as theirs.
    :raises GazeRosError: if the file cannot be written.
    """

    def __init__(self, path: Path, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self.rows: list[Row] = []
        names = [*OF_ALL, *(f'{name} {what}' for name in pids for what in OF_PROCESS), 'events']
        try:
            self._file = open(path, 'w', encoding='utf-8', newline='')
        except OSError as e:
            raise GazeRosError(f"'{path}' cannot be written: {e}") from e
        self._writer = csv.DictWriter(self._file, names)
        self._writer.writeheader()

    def add(self, time: float, heard: Heard, failures: int, events: list[str],
            away: bool) -> None:
        """Look at the processes and write a row.

        :param time: seconds since the start.
        :param heard: since the last row.
        """
        span = time - (self.rows[-1]['time'] if self.rows else 0.0)
        ages = 1e3 * np.array(heard.ages or [math.nan])
        row = {
            'time': time, 'span': span, 'fps': len(heard.ages) / span if span > 0 else 0.0,
            'p50': float(np.percentile(ages, 50)), 'p99': float(np.percentile(ages, 99)),
            'dropped': heard.dropped, 'ids': float(heard.new), 'failures': float(failures),
            'away': float(away),
            'faces': float(np.mean(heard.faces)) if heard.faces else math.nan, **_shm()}
        for name, pid in self._pids.items():
            row |= {f'{name} {what}': value for what, value in holds(pid).items()}
        self.rows.append(row)
        self._writer.writerow({
            **{name: f'{value:.4g}' if name != 'time' else f'{value:.1f}'
               for name, value in row.items()}, 'events': '; '.join(events)})
        self._file.flush()

    def column(self, name: str) -> np.ndarray:
        """Return the values of a column, (N,) float64."""
        return np.array([row[name] for row in self.rows])

    def sum(self, what: str) -> np.ndarray:
        """Return the sum over the processes of one of :data:`OF_PROCESS`, (N,) float64."""
        return np.sum([self.column(f'{name} {what}') for name in self._pids], axis=0)

    def close(self) -> None:
        """End the file."""
        self._file.close()


def holds(pid: int) -> Row:
    """Return what a process and its descendants hold, by :data:`OF_PROCESS`; NaN if it ended."""
    total = dict.fromkeys(OF_PROCESS, 0.0)
    try:
        top = psutil.Process(pid)
        tree = [top, *top.children(recursive=True)]
    except psutil.Error:
        return dict.fromkeys(OF_PROCESS, math.nan)
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
        except psutil.Error:  # it has ended meanwhile
            continue
        segments |= _segments(process.pid)
    total['shm'], total['shm_files'] = sum(segments.values()) / _MB, float(len(segments))
    return total


def _anonymous(pid: int, otherwise: int) -> int:
    """Return the bytes a process has of no file, also those swapped out.

    Its own (USS) has shared memory in it, too, for as long as nobody else maps that.
    """
    kilobytes = 0
    try:
        with open(f'/proc/{pid}/status', encoding='utf-8') as status:
            for line in status:
                if line.startswith(('RssAnon:', 'VmSwap:')):
                    kilobytes += int(line.split()[1])
    except OSError:  # it has ended, or another system
        return otherwise
    return 1024 * kilobytes


def _segments(pid: int) -> dict[str, int]:
    """Return the bytes of each file of shared memory that a process maps, by name."""
    found: dict[str, int] = {}
    try:
        with open(f'/proc/{pid}/maps', encoding='utf-8', errors='replace') as maps:
            for line in maps:
                if str(FOLDER) in line:
                    low, high = (int(word, 16) for word in line.split()[0].split('-'))
                    name = line.split(None, 5)[-1].strip()
                    found[name] = found.get(name, 0) + high - low
    except OSError:  # it has ended, or another system
        pass
    return found


def _shm() -> Row:
    """Return how much of everybody's Fast DDS lies in shared memory, mapped by anybody or not."""
    files, size = 0, 0
    try:
        with os.scandir(FOLDER) as entries:
            for entry in entries:
                if entry.name.startswith(('fastrtps_', 'fastdds_')):
                    files += 1
                    size += _blocks(entry)
    except OSError:  # another system has none
        pass
    return {'all_shm_files': float(files), 'all_shm': size / _MB}


def _blocks(entry: os.DirEntry) -> int:
    """Return the bytes a file takes."""
    try:
        return 512 * entry.stat().st_blocks
    except OSError:  # it went meanwhile
        return 0

