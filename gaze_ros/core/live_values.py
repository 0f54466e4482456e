"""New values of parameters for an engine that works, taken between two pictures."""
from collections.abc import Mapping
from threading import Lock
from typing import Any

from gaze_ros.core.following import Follower, Schedule
from gaze_ros.core.parameters import Value

#: Parameters that can change, and the attributes they are: of the engine, or of a part of it.
_ATTRIBUTES = {
    **{name: (('', name),) for name in (
        'min_score', 'max_faces', 'detect_interval', 'looking_at_camera_angle',
        'looking_at_camera_hysteresis', 'looking_at_camera_dwell', 'interpupillary_distance',
        'horizontal_fov')},
    'smoothing_time': (('smoother', 'time'),), 'smoothing_beta': (('smoother', 'beta'),),
    'track_timeout': (('tracker', 'timeout'), ('smoother', 'timeout')),
    'track_prefix': (('tracker', 'prefix'),)}


class Changes:
    """The newest value of each parameter that changed, until it is taken.

    :ivar forgetting: whether all tracks are to be forgotten.
    """

    def __init__(self) -> None:
        self.forgetting = False
        self._values: dict[str, Value] = {}
        self._lock = Lock()

    def put(self, values: Mapping[str, Value]) -> None:
        """Leave values, from any thread; of parameters that are none of an engine's, too."""
        with self._lock:
            self._values.update(values)

    def apply(self, engine: Any) -> None:
        """Give an engine those that are its own, in the thread that works with it."""
        if self.forgetting:
            self.forgetting = False
            engine.tracker.forget()
            engine.follower, engine.schedule = Follower(), Schedule()
        if not self._values:
            return
        with self._lock:
            values, self._values = self._values, {}
        for name, value in values.items():
            for part, attribute in _ATTRIBUTES.get(name, ()):
                setattr(getattr(engine, part) if part else engine, attribute, value)
