"""The pipeline's own processes, as a launch file starts them, with what they print in a file."""
from collections.abc import Mapping
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from gaze_ros.core.errors import GazeRosError

#: Nodes of each process, by its name: the camera last, so that it finds the others.
LAYOUTS = {
    'one': ('pipeline',), 'each': ('gaze_node', 'people_node', 'visualizer_node', 'camera_node')}

#: Seconds a process has to end.
_GRACE = 4.0


class Nodes:
    """Processes of nodes; they end with the ``with`` block.

    :param layout: of :data:`LAYOUTS`.
    :param parameters: of all nodes.
    :param folder: what a process prints goes to NAME.log in it.
    """

    def __init__(self, layout: str, parameters: Mapping[str, str], folder: Path) -> None:
        words = [word for name, value in parameters.items()
                 for word in ('-p', f'{name}:={value}')]
        self._logs: dict[str, Path] = {}
        self._processes: dict[str, subprocess.Popen] = {}
        for name in LAYOUTS[layout]:
            self._logs[name] = folder / f'{name}.log'
            with open(self._logs[name], 'wb') as log:
                # In a session of its own: Ctrl-C is the parent's to mind.
                self._processes[name] = subprocess.Popen(  # noqa: S603, our own code
                    [sys.executable, '-c', 'from gaze_ros.ros.process import entry_points; '
                     f'entry_points.{name}()',
                     '--ros-args', *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                    env=os.environ, start_new_session=True)

    def __enter__(self) -> 'Nodes':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each, by name."""
        return {name: process.pid for name, process in self._processes.items()}

    def check(self) -> None:
        """See that all run.

        :raises GazeRosError: naming the one that has ended, and its last line.
        """
        for name, process in self._processes.items():
            if (code := process.poll()) is not None:
                lines = self._logs[name].read_text('utf-8', 'replace').split('\n')
                last = next((line for line in reversed(lines) if line.strip()), 'it said nothing')
                raise GazeRosError(
                    f"{name} has ended by itself with exit code {code}: {last.strip()} "
                    f"('{self._logs[name]}')")

    def close(self) -> None:
        """End all: in order where that takes no longer than 4 s."""
        for process in self._processes.values():
            process.send_signal(signal.SIGINT)
        until = time.monotonic() + _GRACE
        for process in self._processes.values():
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
