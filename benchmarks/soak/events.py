"""Trigger events on the running nodes periodically."""
from collections.abc import Collection
from itertools import cycle
from pathlib import Path
import subprocess
import sys
from typing import Any, Optional

from benchmarks.soak.probe_node import ProbeNode

#: Period of each event, s: change of parameters, start or stop of a subscriber ('guest'), reset of
#: the tracks, and a temporary change of model and source.
PERIODS = {'parameters': 15.0, 'guest': 20.0, 'reset': 45.0, 'model': 120.0, 'source': 170.0}

#: Minimum number of times each event happens, and minimum time in between, s.
_MIN_TIMES, _MIN_PERIOD = 3, 2.0

#: Duration of another model or source, and time to settle after it, s.
_AWAY, _SETTLE = 20.0, 20.0

_PARAMETERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ('gaze', {'smoothing_time': 0.3}), ('visualizer', {'jpeg_quality': 70}),
    ('gaze', {'detect_interval': 2}), ('people', {'looking_at_person_angle': 0.3}),
    ('camera', {'jpeg_quality': 80}), ('gaze', {'max_faces': 3, 'smoothing_time': 0.2}),
    ('visualizer', {'queue_depth': '2'}), ('gaze', {'detect_interval': 1, 'max_faces': 0}),
    ('people', {'looking_at_person_angle': 0.25}), ('camera', {'jpeg_quality': 90}),
    ('visualizer', {'queue_depth': 'auto', 'jpeg_quality': 90}))


class Events:
    """Triggers each event when it is due.

    :param models: the initial model, and those that replace it temporarily; a single one is
        reloaded.
    :param sources: the initial source, and those that replace it temporarily; a single one is
        reopened.
    :param seconds: duration of the soak test.
    :param without: events to leave out, of :data:`PERIODS`.
    """

    def __init__(self, node: ProbeNode, models: list[str], sources: list[str],
                 seconds: float, without: Collection[str] = ()) -> None:
        self._node = node
        self._swaps = {'model': ('gaze', models), 'source': ('camera', sources)}
        self._others = {
            what: cycle(names[1:] or names) for what, (_, names) in self._swaps.items()}
        self._parameters = cycle(_PARAMETERS)
        self._subscriber: Optional[subprocess.Popen] = None
        self._leaving: list[subprocess.Popen] = []
        self._periods = {
            name: max(_MIN_PERIOD, min(period, seconds / _MIN_TIMES))
            for name, period in PERIODS.items() if name not in without}
        # Spread over time.
        self._due = {name: period * (index + 1) / len(PERIODS)
                     for index, (name, period) in enumerate(self._periods.items())}
        self._restore: dict[str, float] = {}
        self._settled = 0.0

    def away(self, t: float) -> bool:
        """Return whether another model or source is or was just in use at t seconds."""
        return bool(self._restore) or t < self._settled

    def step(self, t: float) -> list[str]:
        """Trigger the events that are due at t seconds; return them in words."""
        self._node.check_timeouts()
        self._leaving = [one for one in self._leaving if one.poll() is None]
        done = []
        for name, due in self._due.items():
            if t >= due:
                self._due[name] = max(due + self._periods[name], t)
                done.append(getattr(self, f'_do_{name}')() if name not in self._swaps else
                            self._swap(name, next(self._others[name])))
                if name in self._swaps:
                    self._restore[name] = t + min(_AWAY, self._periods[name] / 2)
        for name, due in [*self._restore.items()]:
            if t >= due:
                del self._restore[name]
                self._settled = t + min(_SETTLE, self._periods[name] / 4)
                done.append(self._swap(name, self._swaps[name][1][0]))
        return done

    def close(self) -> None:
        """Stop the subscriber."""
        if self._subscriber is not None:
            self._subscriber.stdin.close()
            self._leaving.append(self._subscriber)
            self._subscriber = None
        for one in self._leaving:
            try:
                one.wait(3)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()
        self._leaving = []

    def _do_parameters(self) -> str:
        node, values = next(self._parameters)
        self._node.set_parameters(node, **values)
        return f"{node} {' '.join(f'{name}={value}' for name, value in values.items())}"

    def _do_guest(self) -> str:
        if self._subscriber is not None:
            self._subscriber.stdin.close()
            self._leaving.append(self._subscriber)
            self._subscriber = None
            return 'guest goes'
        self._subscriber = subprocess.Popen(  # noqa: S603, our own interpreter and module
            [sys.executable, '-m', 'benchmarks.soak.transient_subscriber'], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        return 'guest comes'

    def _do_reset(self) -> str:
        self._node.trigger('gaze/reset_tracks')
        return 'reset_tracks'

    def _swap(self, what: str, name: str) -> str:
        self._node.set_parameters(self._swaps[what][0], **{what: name})
        return f'{what} {Path(name).name}'
