"""Formats results as JSON lines."""
import json
import math
from typing import Optional

from gaze_ros.core.types import FrameGaze
import numpy as np


def _number(value: float, digits: int = 5):
    """Return a rounded number, or None if it is not finite: JSON has no NaN."""
    return round(float(value), digits) if math.isfinite(value) else None


def json_line(frame: int, stamp: float, result: FrameGaze) -> str:
    """Return one frame as a JSON object on one line.

    Angles and standard deviations are in radians, null where unknown; a box is x, y, w, h in
    whole pixels inside the image; direction and origin (meters) are in the optical frame.

    :param frame: index of the image, from 0.
    :param stamp: time of the image, seconds.
    """
    return json.dumps({
        'frame': frame, 'stamp': round(stamp, 6),
        'width': result.width, 'height': result.height,
        'gazes': [{
            'track_id': g.track_id, 'box': list(g.face.clipped(result.width, result.height)),
            'score': _number(g.face.score, 4),
            'pitch': _number(g.pitch), 'yaw': _number(g.yaw),
            'raw_pitch': _number(g.raw_pitch), 'raw_yaw': _number(g.raw_yaw),
            'confidence': _number(g.confidence, 4), 'gaze_stddev': _number(g.stddev),
            'head_pitch': _number(g.head_pitch), 'head_yaw': _number(g.head_yaw),
            'head_roll': _number(g.head_roll), 'head_stddev': _number(g.head_stddev),
            'left_eye_openness': _number(g.eye_openness[0], 3),
            'right_eye_openness': _number(g.eye_openness[1], 3),
            'direction': _vector(g.direction), 'origin': _vector(g.origin),
            'looking_at_camera': g.looking_at_camera} for g in result.gazes]}, allow_nan=False)


def _vector(values: np.ndarray) -> Optional[list[float]]:
    """Return rounded numbers, or None if they are not finite."""
    return [round(v, 5) for v in values.tolist()] if np.isfinite(values).all() else None
