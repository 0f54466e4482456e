"""CPU and memory usage of processes."""
from collections.abc import Sequence
from pathlib import Path
import time

from gaze_ros.core.errors import GazeRosError
import psutil


class ResourceUsage:
    """CPU and memory usage of processes and their descendants, from now on.

    Memory that several of the processes map counts once: the proportional set sizes (PSS) of
    anonymous and shared memory, and the files (libraries) of the process that maps most of them.
    Where the system does not report these (before Linux 5.4, macOS, Windows), it is the sum of the
    unique set sizes (USS).

    :param pids: of running processes.
    :ivar peak: maximum memory of all samples, bytes.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self.peak = 0
        self._start, self._busy = time.monotonic(), self._cpu_seconds()

    def sample(self) -> None:
        """Measure the memory; this takes the kernel some milliseconds."""
        memory = files = 0
        for process in self._tree():
            try:
                own, mapped = _memory(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
                continue
            memory += own
            files = max(files, mapped)
        self.peak = max(self.peak, memory + files)

    def cores(self) -> float:
        """Return the mean number of busy cores.

        :raises GazeRosError: if a process has exited.
        """
        seconds = time.monotonic() - self._start
        return (self._cpu_seconds() - self._busy) / seconds if seconds > 0 else 0.0

    def _tree(self) -> list[psutil.Process]:
        processes = []
        for pid in self._pids:
            try:
                top = psutil.Process(pid)
                processes += [top, *top.children(recursive=True)]
            except psutil.NoSuchProcess as e:
                raise GazeRosError(f'process {pid} of the benchmark exited unexpectedly') from e
        return processes

    def _cpu_seconds(self) -> float:
        total = 0.0
        for process in self._tree():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total


def _memory(process: psutil.Process) -> tuple[int, int]:
    """Return the bytes of a process without files, and those of the files that it maps."""
    folder = Path('/proc', str(process.pid))
    sizes = {}
    for file in (folder / 'smaps_rollup', folder / 'status'):
        for line in file.read_text().splitlines() if file.is_file() else ():
            name, _, value = line.partition(':')
            if value.endswith(' kB'):
                sizes[name] = 1024 * int(value.split()[0])
    if 'Pss_Anon' not in sizes:  # before Linux 5.4
        return process.memory_full_info().uss, 0
    return sizes['Pss_Anon'] + sizes['Pss_Shmem'], sizes['RssFile']
