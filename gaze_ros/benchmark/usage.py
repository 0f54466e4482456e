"""What processes take of the machine."""
from collections.abc import Sequence
import time

from gaze_ros.core.errors import GazeRosError
import psutil


class Usage:
    """Cores and memory of processes and their descendants, from now on.

    Memory is the sum of each process's proportional share (PSS): what several map, such as
    libraries and the shared memory of Fast DDS, counts once over all of them. Where the system
    does not tell it (macOS, Windows) it is what each has for itself (USS).

    :param pids: of processes that run.
    :ivar peak: most memory seen at once, bytes.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self.peak = 0
        self._start, self._busy = time.monotonic(), self._cpu_seconds()

    def sample(self) -> None:
        """Look at the memory; takes some milliseconds of the kernel's time."""
        memory = 0
        for process in self._tree():
            try:
                full = process.memory_full_info()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            memory += getattr(full, 'pss', full.uss)
        self.peak = max(self.peak, memory)

    def cores(self) -> float:
        """Return the mean number of cores that were busy for them."""
        seconds = time.monotonic() - self._start
        return (self._cpu_seconds() - self._busy) / seconds if seconds > 0 else 0.0

    def _tree(self) -> list[psutil.Process]:
        processes = []
        for pid in self._pids:
            try:
                top = psutil.Process(pid)
                processes += [top, *top.children(recursive=True)]
            except psutil.NoSuchProcess as e:
                raise GazeRosError(f'process {pid} of the benchmark has ended by itself') from e
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
