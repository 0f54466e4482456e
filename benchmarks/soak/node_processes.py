"""Processes of the nodes, as a launch file starts them; their output goes to log files."""
from collections.abc import Mapping
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from gaze_ros.core.errors import GazeRosError

#: Nodes of each process by its name. The camera starts last, so that it finds its subscribers.
LAYOUTS = {
    'one': ('pipeline',), 'each': ('gaze_node', 'people_node', 'visualizer_node', 'camera_node')}

#: Time that the processes have to exit, s.
_GRACE = 4.0


class NodeProcesses:
    """Processes of the nodes; they are stopped at the end of the ``with`` block.

    :param layout: of :data:`LAYOUTS`.
    :param parameters: of all nodes.
    :param folder: the output of a process goes to NAME.log in it.
    """

    def __init__(self, layout: str, parameters: Mapping[str, str], folder: Path) -> None:
        words = [word for name, value in parameters.items()
                 for word in ('-p', f'{name}:={value}')]
        self._logs: dict[str, Path] = {}
        self._processes: dict[str, subprocess.Popen] = {}
        for name in LAYOUTS[layout]:
            self._logs[name] = folder / f'{name}.log'
            with open(self._logs[name], 'wb') as log:
                # A new session: only the parent handles Ctrl-C.
                self._processes[name] = subprocess.Popen(  # noqa: S603, our own code
                    [sys.executable, '-c', 'from gaze_ros.ros.process import entry_points; '
                     f'entry_points.{name}()',
                     '--ros-args', *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                    env=os.environ, start_new_session=True)

    def __enter__(self) -> 'NodeProcesses':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each process by name."""
        return {name: process.pid for name, process in self._processes.items()}

    def check(self) -> None:
        """Check that all processes run.

        :raises GazeRosError: with the name of the process that exited, and its last line.
        """
        for name, process in self._processes.items():
            if (code := process.poll()) is not None:
                lines = self._logs[name].read_text('utf-8', 'replace').split('\n')
                last = next((line for line in reversed(lines) if line.strip()), 'no output')
                raise GazeRosError(
                    f'{name} exited unexpectedly with code {code}: {last.strip()} '
                    f"('{self._logs[name]}')")

    def close(self) -> None:
        """Stop all processes: by SIGINT, and after 4 s by SIGKILL."""
        for process in self._processes.values():
            process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _GRACE
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
