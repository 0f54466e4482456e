"""Smoothing that depends on time, not on frames."""
from dataclasses import dataclass
import math

from gaze_ros.core.geometry import angles_to_unit, unit_to_angles
import numpy as np

#: Time constant of the low-pass of the speed, seconds: 1 Hz, as the paper has it.
_SPEED_TIME = 1 / (2 * math.pi)


@dataclass(slots=True)
class _State:
    """What is known of a track.

    :ivar raw: (3,) last gaze, a unit vector; ``mean`` the same, smoothed.
    :ivar speed: (3,) change of ``raw`` a second, smoothed.
    """

    stamp: float
    raw: np.ndarray
    mean: np.ndarray
    speed: np.ndarray


class Smoother:
    """A one-euro filter (Casiez et al., CHI 2012) of each track's gaze: the faster, the less.

    An exponential moving average, alpha = 1 - exp(-2 pi cutoff dt), with the cutoff
    1 / (2 pi time) + beta * speed in Hz. The unit vectors are averaged, not the angles, so
    nothing breaks near +-90 or 180 degrees. A gaze that cannot be told (NaN) stays so, and does
    not touch the average.

    :param time: time constant at rest, seconds; 0 for no smoothing.
    :param timeout: seconds after which a track that got no gaze starts afresh.
    :param beta: Hz of cutoff for each rad/s; 0 for a time constant that stays.
    """

    def __init__(self, time: float = 0.1, timeout: float = 1.0, beta: float = 0.0) -> None:
        self.time = time
        self.timeout = timeout
        self.beta = beta
        self._states: dict[str, _State] = {}

    def update(self, track_id: str, pitch: float, yaw: float, stamp: float
               ) -> tuple[float, float]:
        """Return the smoothed pitch and yaw in radians.

        :param stamp: of the picture, seconds; where it does not grow, the track starts afresh.
        """
        if not math.isfinite(pitch + yaw):
            return math.nan, math.nan
        gaze = angles_to_unit(pitch, yaw)
        last = self._states.get(track_id)
        new = self._states[track_id] = _State(stamp, gaze, gaze, np.zeros(3))
        if last is None or self.time <= 0 or not 0 < (dt := stamp - last.stamp) <= self.timeout:
            return pitch, yaw
        # In this order nothing overflows, however small dt is.
        alpha = -math.expm1(-dt / _SPEED_TIME)
        new.speed = (1 - alpha) * last.speed + alpha / dt * (gaze - last.raw)
        rate = 1 / self.time + 2 * math.pi * self.beta * math.hypot(*new.speed)
        mean = last.mean - math.expm1(-dt * rate) * (gaze - last.mean)
        # Opposite gazes can average to nothing, which is no direction.
        if (norm := np.linalg.norm(mean)) <= 1e-6:
            return pitch, yaw
        new.mean = mean / norm
        return unit_to_angles(new.mean)

    def forget_old(self, stamp: float) -> None:
        """Drop the tracks that would start afresh anyway, so that nothing grows."""
        self._states = {
            k: s for k, s in self._states.items() if 0 <= stamp - s.stamp <= self.timeout}
