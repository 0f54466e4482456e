"""CPU and memory usage of processes."""
from collections.abc import Sequence
import time

from gaze_ros.core.errors import GazeRosError
import psutil


class ResourceUsage:
    """CPU and memory usage of processes and their descendants, from now on.

    Memory is the sum of the proportional set sizes (PSS): memory that several processes map,
    such as libraries and the shared memory of Fast DDS, counts once. Where the system does not
    report PSS (macOS, Windows), it is the sum of the unique set sizes (USS).

    :param pids: of running processes.
    :ivar peak: maximum memory of all samples, bytes.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self.peak = 0
        self._start, self._busy = time.monotonic(), self._cpu_seconds()

    def sample(self) -> None:
        """Measure the memory; this takes the kernel some milliseconds."""
        memory = 0
        for process in self._tree():
            try:
                full = process.memory_full_info()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            memory += getattr(full, 'pss', full.uss)
        self.peak = max(self.peak, memory)

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
