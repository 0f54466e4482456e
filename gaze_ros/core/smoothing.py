"""Smoothing that depends on time, not on frames."""
import math

from gaze_ros.core.geometry import angles_to_unit, unit_to_angles
import numpy as np


class Smoother:
    """Exponential moving average of each track's gaze, alpha = 1 - exp(-dt / time).

    The unit vectors are averaged, not the angles, so nothing breaks near +-90 or 180 degrees. A
    gaze that cannot be told (NaN) stays so, and does not touch the average.

    :param time: time constant in seconds; 0 for no smoothing.
    :param timeout: seconds after which a track that got no gaze starts afresh.
    """

    def __init__(self, time: float = 0.1, timeout: float = 0.5) -> None:
        self.time = time
        self.timeout = timeout
        self._state: dict[str, tuple[float, np.ndarray]] = {}

    def update(self, track_id: str, pitch: float, yaw: float, stamp: float
               ) -> tuple[float, float]:
        """Return the smoothed pitch and yaw in radians.

        :param stamp: of the picture, seconds; where it does not grow, the track starts afresh.
        """
        if not math.isfinite(pitch + yaw):
            return math.nan, math.nan
        gaze = angles_to_unit(pitch, yaw)
        last = self._state.get(track_id)
        if last is not None and self.time > 0 and 0 < stamp - last[0] <= self.timeout:
            alpha = 1 - math.exp(-(stamp - last[0]) / self.time)
            mean = last[1] + alpha * (gaze - last[1])
            # Opposite gazes can average to nothing, which is no direction.
            if (norm := np.linalg.norm(mean)) > 1e-6:
                gaze = mean / norm
                pitch, yaw = unit_to_angles(gaze)
        self._state[track_id] = (stamp, gaze)
        return pitch, yaw

    def forget_old(self, stamp: float) -> None:
        """Drop the tracks that would start afresh anyway, so that nothing grows."""
        self._state = {
            k: v for k, v in self._state.items() if 0 <= stamp - v[0] <= self.timeout}
