"""What a person sees: boxes, ids, arrows, angles. Text is ASCII: cv2.putText draws no more."""
import math

import cv2
from gaze_ros.core.diagnostics.rolling import MAX_PLAUSIBLE_AGE
from gaze_ros.core.geometry.camera_model import arrow
from gaze_ros.core.types import FrameGaze, Gaze
import numpy as np

#: BGR. At the camera, elsewhere, gaze not told.
_AT_CAMERA, _ELSEWHERE, _UNKNOWN = (80, 220, 80), (60, 170, 255), (170, 170, 170)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(bgr: np.ndarray, frame: FrameGaze, fps: float = 0.0, latency: float = math.nan) -> None:
    """Draw all gazes into a (H, W, 3) uint8 BGR picture, in place.

    :param fps: shown in the corner if above 0.
    :param latency: seconds from capture to result, shown there too where below a minute.
    """
    scale = max(bgr.shape[:2]) / 1000
    for gaze in frame.gazes:
        _draw_gaze(bgr, gaze, scale)
    words = []
    if fps > 0:
        words.append(f'{fps:.1f} FPS')
    if abs(latency) < MAX_PLAUSIBLE_AGE:  # which NaN is not
        words.append(f'{1e3 * latency:.0f} ms')
    if words:
        _text(bgr, '  '.join(words), (round(10 * scale), round(28 * scale)), scale, _ELSEWHERE)


def _draw_gaze(bgr: np.ndarray, gaze: Gaze, scale: float) -> None:
    height, width = bgr.shape[:2]
    x, y, w, h = gaze.face.clipped(width, height)
    known = math.isfinite(gaze.pitch)
    colour = _UNKNOWN if not known else _AT_CAMERA if gaze.looking_at_camera else _ELSEWHERE
    line = max(1, round(2 * scale))
    cv2.rectangle(bgr, (x, y), (x + w, y + h), colour, line)
    label = f'{gaze.track_id}'
    if known:
        label += f' p {math.degrees(gaze.pitch):+.0f} y {math.degrees(gaze.yaw):+.0f} deg'
        cx, cy = gaze.face.center
        dx, dy = arrow(gaze.pitch, gaze.yaw, gaze.face.box[2])
        cv2.arrowedLine(
            bgr, (round(cx), round(cy)), (round(cx + dx), round(cy + dy)), colour,
            max(2, round(3 * scale)), cv2.LINE_AA, tipLength=0.2)
    bottom = y - round(6 * scale)
    if bottom < 20 * scale:
        bottom = y + h + round(20 * scale)
    _text(bgr, label, (x, bottom), scale, colour)


def _text(bgr: np.ndarray, text: str, place: tuple[int, int], scale: float,
          colour: tuple[int, int, int]) -> None:
    """Draw text on a dark ground; place is the left end of its base line."""
    size, line = max(0.45, 0.6 * scale), max(1, round(1.5 * scale))
    (w, h), below = cv2.getTextSize(text, _FONT, size, line)
    x, y = place
    x = max(0, min(x, bgr.shape[1] - w))
    y = max(h + 2, min(y, bgr.shape[0] - below))
    cv2.rectangle(bgr, (x, y - h - 2), (x + w, y + below), (30, 30, 30), cv2.FILLED)
    cv2.putText(bgr, text, (x, y), _FONT, size, colour, line, cv2.LINE_AA)
