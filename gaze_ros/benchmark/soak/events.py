"""What happens to the nodes while they run, each thing again and again."""
from collections.abc import Collection
from itertools import cycle
from pathlib import Path
import subprocess
import sys
from typing import Any, Optional

from gaze_ros.benchmark.soak.hearing import Robot

#: Seconds from one time to the next: of a change of parameters, a guest's coming or going, tracks
#: reset, another model and another source for a while.
PERIODS = {'parameters': 15.0, 'guest': 20.0, 'reset': 45.0, 'model': 120.0, 'source': 170.0}

#: All of them come at least so often in a soak, with at least so many seconds between.
_TIMES, _LEAST = 3, 2.0

#: Seconds for which there is another model or source, and until all is as it was before.
_AWAY, _SETTLE = 20.0, 20.0

_PARAMETERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ('gaze', {'smoothing_time': 0.3}), ('visualizer', {'jpeg_quality': 70}),
    ('gaze', {'detect_interval': 2}), ('people', {'looking_at_person_angle': 0.3}),
    ('camera', {'jpeg_quality': 80}), ('gaze', {'max_faces': 3, 'smoothing_time': 0.2}),
    ('visualizer', {'queue_depth': '2'}), ('gaze', {'detect_interval': 1, 'max_faces': 0}),
    ('people', {'looking_at_person_angle': 0.25}), ('camera', {'jpeg_quality': 90}),
    ('visualizer', {'queue_depth': 'auto', 'jpeg_quality': 90}))


class Events:
    """Makes things happen when their time has come.

    :param models: the one to run, and those that take its place for a while; one alone is loaded
        anew.
    :param sources: likewise.
    :param seconds: of the soak.
    :param without: what does not happen, of :data:`PERIODS`.
    """

    def __init__(self, robot: Robot, models: list[str], sources: list[str],
                 seconds: float, without: Collection[str] = ()) -> None:
        self._robot = robot
        self._of = {'model': ('gaze', models), 'source': ('camera', sources)}
        self._others = {
            what: cycle(names[1:] or names) for what, (_, names) in self._of.items()}
        self._parameters = cycle(_PARAMETERS)
        self._guest: Optional[subprocess.Popen] = None
        self._gone: list[subprocess.Popen] = []
        self._periods = {
            name: max(_LEAST, min(period, seconds / _TIMES)) for name, period in PERIODS.items()
            if name not in without}
        # Not all at the same time.
        self._due = {name: period * (index + 1) / len(PERIODS)
                     for index, (name, period) in enumerate(self._periods.items())}
        self._back: dict[str, float] = {}
        self._settled = 0.0

    def away(self, t: float) -> bool:
        """Return whether there is another model or source at t seconds, or just was."""
        return bool(self._back) or t < self._settled

    def step(self, t: float) -> list[str]:
        """Do what is due at t seconds; return what was done, in words."""
        self._robot.mind()
        self._gone = [guest for guest in self._gone if guest.poll() is None]
        done = []
        for name, due in self._due.items():
            if t >= due:
                self._due[name] = max(due + self._periods[name], t)
                done.append(getattr(self, f'_do_{name}')() if name not in self._of else
                            self._put(name, next(self._others[name])))
                if name in self._of:
                    self._back[name] = t + min(_AWAY, self._periods[name] / 2)
        for name, back in [*self._back.items()]:
            if t >= back:
                del self._back[name]
                self._settled = t + min(_SETTLE, self._periods[name] / 4)
                done.append(self._put(name, self._of[name][1][0]))
        return done

    def close(self) -> None:
        """Send the guest away."""
        if self._guest is not None:
            self._guest.stdin.close()
            self._gone.append(self._guest)
            self._guest = None
        for guest in self._gone:
            try:
                guest.wait(3)
            except subprocess.TimeoutExpired:
                guest.kill()
                guest.wait()
        self._gone = []

    def _do_parameters(self) -> str:
        node, values = next(self._parameters)
        self._robot.put(node, **values)
        return f"{node} {' '.join(f'{name}={value}' for name, value in values.items())}"

    def _do_guest(self) -> str:
        if self._guest is not None:
            self._guest.stdin.close()
            self._gone.append(self._guest)
            self._guest = None
            return 'guest goes'
        self._guest = subprocess.Popen(  # noqa: S603, our own interpreter and module
            [sys.executable, '-m', 'gaze_ros.benchmark.soak.guest'], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        return 'guest comes'

    def _do_reset(self) -> str:
        self._robot.trigger('gaze/reset_tracks')
        return 'reset_tracks'

    def _put(self, what: str, name: str) -> str:
        self._robot.put(self._of[what][0], **{what: name})
        return f'{what} {Path(name).name}'
