"""Smoothing that depends on time, not on frames."""
from dataclasses import dataclass
import math

from gaze_ros.core.geometry.camera_model import angles_to_unit, unit_to_angles
import numpy as np

#: Time constant of the low-pass of the speed, seconds: 1 Hz, as the paper has it.
_SPEED_TIME = 1 / (2 * math.pi)

#: Hz of cutoff for each 1/s of a range's logarithm, over that for each rad/s of a gaze: who walks
#: up to the camera is not to lag behind.
_RANGE_BETA = 3.0


@dataclass(slots=True)
class _State:
    """What is known of a track.

    :ivar raw: last value, a vector; ``mean`` the same, smoothed.
    :ivar speed: change of ``raw`` a second, smoothed.
    """

    stamp: float
    raw: np.ndarray
    mean: np.ndarray
    speed: np.ndarray


class OneEuroSmoother:
    """A one-euro filter (Casiez et al., CHI 2012) of each track's gaze and head.

    The faster they change, the less they are smoothed.

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
        self._states: dict[tuple[str, str], _State] = {}

    def update(self, track_id: str, pitch: float, yaw: float, stamp: float
               ) -> tuple[float, float]:
        """Return the smoothed pitch and yaw in radians.

        :param stamp: of the picture, seconds; where it does not grow, the track starts afresh.
        """
        if not math.isfinite(pitch + yaw):
            return math.nan, math.nan
        gaze = angles_to_unit(pitch, yaw)
        mean = self._step(('gaze', track_id), gaze, stamp, self.beta)
        return (pitch, yaw) if mean is gaze else unit_to_angles(mean)

    def update_head(self, track_id: str, distance: float, orientation: np.ndarray, stamp: float
                    ) -> tuple[float, np.ndarray]:
        """Return the smoothed range, in the unit of the one given, and orientation.

        Where in the picture a head is needs no smoothing: that is a hundred times more exact.

        :param distance: above 0. Its logarithm is smoothed.
        :param orientation: (4,) unit quaternion.
        """
        logarithm = np.array([math.log(distance)])
        mean = self._step(
            ('range', track_id), logarithm, stamp, _RANGE_BETA * self.beta, unit=False)
        # Of the two quaternions of an orientation, the one near the last.
        last = self._states.get(('turn', track_id))
        if last is not None and np.dot(last.mean, orientation) < 0:
            orientation = -orientation
        # A quaternion turns half as fast as what it stands for.
        turn = self._step(('turn', track_id), orientation, stamp, 2 * self.beta)
        return distance if mean is logarithm else math.exp(mean[0]), turn

    def prune(self, stamp: float) -> None:
        """Drop the tracks that would start afresh anyway, so that nothing grows."""
        self._states = {
            k: s for k, s in self._states.items() if 0 < stamp - s.stamp <= self.timeout}

    def _step(self, key: tuple[str, str], value: np.ndarray, stamp: float, beta: float,
              unit: bool = True) -> np.ndarray:
        """Return the smoothed value; the value itself where there is nothing to smooth with."""
        last = self._states.get(key)
        new = self._states[key] = _State(stamp, value, value, np.zeros(len(value)))
        if last is None or self.time <= 0 or not 0 < (dt := stamp - last.stamp) <= self.timeout:
            return value
        # In this order nothing overflows, however small dt is.
        alpha = -math.expm1(-dt / _SPEED_TIME)
        new.speed = (1 - alpha) * last.speed + alpha / dt * (value - last.raw)
        rate = 1 / self.time + 2 * math.pi * beta * math.hypot(*new.speed)
        mean = last.mean - math.expm1(-dt * rate) * (value - last.mean)
        if unit:
            # Opposite directions can average to nothing, which is none.
            if (norm := np.linalg.norm(mean)) <= 1e-6:
                return value
            mean /= norm
        new.mean = mean
        return mean
