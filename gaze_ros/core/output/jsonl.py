"""Formats results as JSON lines."""
import json
import math

from gaze_ros.core.types import FrameGaze


def _number(value: float, digits: int = 5):
    """Return a rounded number, or None if it is not finite: JSON has no NaN."""
    return round(float(value), digits) if math.isfinite(value) else None


def json_line(frame: int, stamp: float, result: FrameGaze) -> str:
    """Return one frame as a JSON object on one line.

    Angles are in radians, null where the gaze is unknown; a box is x, y, w, h in whole pixels
    inside the image.

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
            'confidence': _number(g.confidence, 4)} for g in result.gazes]}, allow_nan=False)
