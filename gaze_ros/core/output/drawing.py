"""Draws results into an image: boxes, ids, arrows, angles, rate and latency."""
import math
from typing import Optional

import cv2
from gaze_ros.core.diagnostics.rolling import MAX_PLAUSIBLE_AGE
from gaze_ros.core.geometry.camera_model import arrow
from gaze_ros.core.types import FrameGaze, Gaze
import numpy as np

#: BGR colours: gaze at the camera, gaze elsewhere, gaze unknown.
_AT_CAMERA, _ELSEWHERE, _UNKNOWN = (80, 220, 80), (60, 170, 255), (170, 170, 170)
#: Text must be ASCII: cv2.putText cannot draw other characters.
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(image: np.ndarray, frame: FrameGaze, fps: float = 0.0, latency: float = math.nan) -> None:
    """Draw all gazes into a (H, W, 3) uint8 BGR image, in place.

    A person whose gaze is unknown gets a thin grey arrow along the direction of the face, if that
    is known.

    :param fps: rate in the corner; 0 = not shown.
    :param latency: seconds from capture to result, in the corner; not shown if NaN or beyond a
        minute.
    """
    scale = max(image.shape[:2]) / 1000
    for gaze in frame.gazes:
        _draw_gaze(image, gaze, scale)
    labels = []
    if fps > 0:
        labels.append(f'{fps:.1f} FPS')
    if abs(latency) < MAX_PLAUSIBLE_AGE:  # False for NaN
        labels.append(f'{1e3 * latency:.0f} ms')
    if labels:
        _draw_text(
            image, '  '.join(labels), (round(10 * scale), round(28 * scale)), scale, _ELSEWHERE)


def _draw_gaze(image: np.ndarray, gaze: Gaze, scale: float) -> None:
    height, width = image.shape[:2]
    x, y, w, h = gaze.face.clipped(width, height)
    colour = colour_of(gaze)
    line = max(1, round(2 * scale))
    cv2.rectangle(image, (x, y), (x + w, y + h), colour, line)
    if (ends := arrow_of(gaze)) is not None:
        start, end = (tuple(round(value) for value in point) for point in ends)
        cv2.arrowedLine(
            image, start, end, colour, max(2, round(3 * scale)) if gaze_is_known(gaze) else line,
            cv2.LINE_AA, tipLength=0.2)
    bottom = y - round(6 * scale)
    if bottom < 20 * scale:
        bottom = y + h + round(20 * scale)
    _draw_text(image, label_of(gaze), (x, bottom), scale, colour)


def gaze_is_known(gaze: Gaze) -> bool:
    """Return whether the gaze has angles."""
    return math.isfinite(gaze.pitch)


def colour_of(gaze: Gaze) -> tuple[int, int, int]:
    """Return the BGR colour of a person."""
    if not gaze_is_known(gaze):
        return _UNKNOWN
    return _AT_CAMERA if gaze.looking_at_camera else _ELSEWHERE


def label_of(gaze: Gaze) -> str:
    """Return the id and the angles of a person, ASCII."""
    if not gaze_is_known(gaze):
        return gaze.track_id
    return (f'{gaze.track_id} p {math.degrees(gaze.pitch):+.0f} '
            f'y {math.degrees(gaze.yaw):+.0f} deg')


def arrow_of(gaze: Gaze) -> Optional[tuple[tuple[float, float], tuple[float, float]]]:
    """Return where the arrow of a person begins and ends, pixels.

    It is that of the gaze; if that is unknown, of the direction of the face; None if both are.
    """
    if gaze_is_known(gaze):
        pitch, yaw = gaze.pitch, gaze.yaw
    elif math.isfinite(gaze.head_stddev):
        pitch, yaw = gaze.head_pitch, gaze.head_yaw
    else:
        return None
    x, y = gaze.face.center
    dx, dy = arrow(pitch, yaw, gaze.face.box[2])
    return (x, y), (x + dx, y + dy)


def _draw_text(image: np.ndarray, text: str, origin: tuple[int, int], scale: float,
               colour: tuple[int, int, int]) -> None:
    """Draw text on a dark background; ``origin`` is the left end of its baseline, pixels."""
    size, line = max(0.45, 0.6 * scale), max(1, round(1.5 * scale))
    (w, h), below = cv2.getTextSize(text, _FONT, size, line)
    x, y = origin
    x = max(0, min(x, image.shape[1] - w))
    y = max(h + 2, min(y, image.shape[0] - below))
    cv2.rectangle(image, (x, y - h - 2), (x + w, y + below), (30, 30, 30), cv2.FILLED)
    cv2.putText(image, text, (x, y), _FONT, size, colour, line, cv2.LINE_AA)
