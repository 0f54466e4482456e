"""Smoothing of gaze and head pose that is independent of the frame rate (one-euro filter)."""
from dataclasses import dataclass
import math

from gaze_ros.core.geometry.camera_model import angles_to_unit, unit_to_angles
import numpy as np

#: Time constant of the low-pass filter of the speed, seconds: 1 Hz, as in the paper.
_SPEED_TIME = 1 / (2 * math.pi)

#: Ratio of the range filter's beta (Hz of cutoff per 1/s of the range's logarithm) to that of the
#: gaze (Hz per rad/s): the range of a person who walks up to the camera must not lag.
_RANGE_BETA = 3.0


@dataclass(slots=True)
class _State:
    """Filter state of one quantity of a track.

    :ivar time: of the last value, seconds.
    :ivar raw: (N,) last value.
    :ivar mean: (N,) smoothed value.
    :ivar speed: (N,) change of ``raw`` per second, smoothed.
    """

    time: float
    raw: np.ndarray
    mean: np.ndarray
    speed: np.ndarray


class OneEuroSmoother:
    """A one-euro filter (Casiez et al., CHI 2012) of each track's gaze and head pose.

    The faster they change, the less they are smoothed.

    It is an exponential moving average, alpha = 1 - exp(-2 pi cutoff dt), with the cutoff
    1 / (2 pi time) + beta * speed in Hz. It averages unit vectors, not angles, so nothing breaks
    near +-90 or 180 degrees. An unknown gaze (NaN) stays NaN and does not affect the average.

    :param time: time constant at rest, seconds; 0 for no smoothing.
    :param timeout: seconds without a gaze after which the filter of a track restarts.
    :param beta: Hz of cutoff per rad/s; 0 for a constant time constant.
    """

    def __init__(self, time: float = 0.1, timeout: float = 1.0, beta: float = 0.0) -> None:
        self.time = time
        self.timeout = timeout
        self.beta = beta
        self._states: dict[tuple[str, str], _State] = {}

    def update(self, track_id: str, pitch: float, yaw: float, now: float
               ) -> tuple[float, float]:
        """Return the smoothed pitch and yaw in radians.

        :param now: time of the stream, seconds; it never decreases. A gaze at the same time as the
            last one is ignored.
        """
        if not math.isfinite(pitch + yaw):
            return math.nan, math.nan
        gaze = angles_to_unit(pitch, yaw)
        mean = self._step(('gaze', track_id), gaze, now, self.beta)
        return (pitch, yaw) if mean is gaze else unit_to_angles(mean)

    def update_head(self, track_id: str, distance: float, orientation: np.ndarray, now: float
                    ) -> tuple[float, np.ndarray]:
        """Return the smoothed range, in the unit of ``distance``, and orientation (4,).

        The head's position in the image needs no smoothing: it is a hundred times more accurate.

        :param distance: above 0; its logarithm is smoothed.
        :param orientation: (4,) unit quaternion x, y, z, w.
        :param now: time of the stream, seconds, as in :meth:`update`.
        """
        logarithm = np.array([math.log(distance)])
        mean = self._step(
            ('range', track_id), logarithm, now, _RANGE_BETA * self.beta, unit=False)
        # q and -q are the same orientation: take the one closer to the last.
        last = self._states.get(('orientation', track_id))
        if last is not None and np.dot(last.mean, orientation) < 0:
            orientation = -orientation
        # A quaternion turns at half the rate of the rotation that it represents.
        smoothed = self._step(('orientation', track_id), orientation, now, 2 * self.beta)
        return distance if mean is logarithm else math.exp(mean[0]), smoothed

    def update_point(self, track_id: str, point: np.ndarray, now: float) -> np.ndarray:
        """Return the smoothed position (3,), in the unit of ``point``.

        :param point: (3,) finite; ``beta`` is in Hz of cutoff per unit/s.
        :param now: time of the stream, seconds, as in :meth:`update`.
        """
        return self._step(('point', track_id), point, now, self.beta, unit=False)

    def prune(self, now: float) -> None:
        """Drop the states that would restart anyway, to bound the memory."""
        self._states = {k: s for k, s in self._states.items() if now - s.time <= self.timeout}

    def _step(self, key: tuple[str, str], value: np.ndarray, now: float, beta: float,
              unit: bool = True) -> np.ndarray:
        """Return the smoothed value; the value itself if the filter restarts."""
        last = self._states.get(key)
        if last is not None and self.time > 0 and now <= last.time:
            return last.mean
        new = self._states[key] = _State(now, value, value, np.zeros(len(value)))
        if last is None or self.time <= 0 or (dt := now - last.time) > self.timeout:
            return value
        # In this order nothing overflows for a tiny dt.
        alpha = -math.expm1(-dt / _SPEED_TIME)
        new.speed = (1 - alpha) * last.speed + alpha / dt * (value - last.raw)
        rate = 1 / self.time + 2 * math.pi * beta * math.hypot(*new.speed)
        mean = last.mean - math.expm1(-dt * rate) * (value - last.mean)
        if unit:
            # Opposite directions can average to zero, which has no direction.
            if (norm := np.linalg.norm(mean)) <= 1e-6:
                return value
            mean /= norm
        new.mean = mean
        return mean
