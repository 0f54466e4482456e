"""Draw the images of the documentation that show gaze, with the present code.

sample.jpg: the built-in sample, as the visualizer draws it; markers.jpg: its markers and TF
frames, from the messages; attention.png: a classroom from above.
"""
import argparse
from collections.abc import Iterator
import math
from pathlib import Path

import cv2
from gaze_ros.core.attention.attention import AttentionTracker, Target
from gaze_ros.core.geometry.camera_model import assumed_camera_matrix
from gaze_ros.core.geometry.head_pose import FOCAL_STDDEV
from gaze_ros.core.output.drawing import draw
from gaze_ros.core.pipeline.engine import create_engine
from gaze_ros.core.sources import open_source
from gaze_ros.core.types import FrameGaze
from gaze_ros.ros.publishers.markers import MarkerBuilder
from gaze_ros.ros.publishers.tf_frames import gaze_transforms
import numpy as np
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

#: Index of the drawn image: of the sample, of the sample with markers (where the face is farthest
#: away), and of the classroom.
SAMPLE_IMAGE, MARKERS_IMAGE, CLASSROOM_IMAGE = 112, 202, 120

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_AXES = ((60, 60, 220), (60, 200, 60), (230, 110, 40))  # x, y, z; BGR
_COLOURS = {
    Target.CAMERA: (60, 160, 60), Target.PERSON: (190, 60, 190), Target.ELSEWHERE: (30, 130, 230),
    Target.UNKNOWN: (150, 150, 150)}
_LEGEND = {
    Target.CAMERA: 'at the camera', Target.PERSON: 'at a person (dashed: at whom)',
    Target.ELSEWHERE: 'elsewhere', Target.UNKNOWN: 'unknown'}


class View:
    """A pinhole camera that draws points of the optical frame into an image."""

    def __init__(self, image: np.ndarray, matrix: np.ndarray, rotation: np.ndarray,
                 position: np.ndarray) -> None:
        self.image = image
        self._matrix, self._rotation, self._position = matrix, rotation, position

    def pixel(self, point: np.ndarray) -> tuple[int, int]:
        """Return the pixel of a point (3,), meters."""
        x, y, z = self._matrix @ (self._rotation @ (np.asarray(point) - self._position))
        return round(float(x / z)), round(float(y / z))

    def line(self, a: np.ndarray, b: np.ndarray, colour: tuple, width: int = 2,
             arrow: bool = False) -> None:
        """Draw a line or an arrow from a to b, meters."""
        if arrow:
            cv2.arrowedLine(self.image, self.pixel(a), self.pixel(b), colour, width, cv2.LINE_AA,
                            tipLength=0.12)
        else:
            cv2.line(self.image, self.pixel(a), self.pixel(b), colour, width, cv2.LINE_AA)

    def axes(self, origin: np.ndarray, rotation: np.ndarray, length: float, mark: str = ''
             ) -> None:
        """Draw the axes of a frame: the columns of a rotation (3, 3)."""
        for name, axis, colour in zip('xyz', rotation.T, _AXES):
            tip = origin + length * axis
            self.line(origin, tip, colour, 3)
            cv2.putText(self.image, name + mark, self.pixel(tip), _FONT, 0.5, colour, 1,
                        cv2.LINE_AA)


def run_model(source: str, index: int) -> Iterator[tuple[np.ndarray, FrameGaze, float]]:
    """Yield images (H, W, 3), their gazes and stamps (seconds), up to an index; model auto."""
    engine, images = create_engine({}), open_source(source)
    try:
        for _ in range(index + 1):
            image = images.read()
            yield image, engine.process(image, images.stamp), images.stamp
    finally:
        engine.close()
        images.close()


def draw_markers(image: np.ndarray, frame: FrameGaze) -> np.ndarray:
    """Return the markers and frames of a result in its image, and from behind the camera."""
    height, width = image.shape[:2]
    eye = np.array([0.55, -0.75, -0.75])
    forward = np.array([0.0, -0.05, 0.6]) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    behind = View(np.full_like(image, 48), np.array(
        [[500.0, 0, width / 2], [0, 500, height / 2], [0, 0, 1]]),
        np.array([right, np.cross(forward, right), forward]), eye)
    for i in range(-5, 6):  # a grid 0.4 m below the lens
        behind.line([0.2 * i, 0.4, 0.0], [0.2 * i, 0.4, 2.0], (85, 85, 85), 1)
        behind.line([-1.0, 0.4, 1 + 0.2 * i], [1.0, 0.4, 1 + 0.2 * i], (85, 85, 85), 1)
    behind.axes(np.zeros(3), np.eye(3), 0.15)
    cv2.putText(behind.image, 'camera_optical', behind.pixel([0.02, 0.06, 0.0]), _FONT, 0.5,
                (200, 200, 200), 1, cv2.LINE_AA)
    in_image = View(
        image.copy(), assumed_camera_matrix(width, height, 1.05), np.eye(3), np.zeros(3))
    views = (in_image, behind)
    header = Header(frame_id='camera_optical')
    for marker in MarkerBuilder().build(frame, header, []).markers:
        for view in views:
            _draw_marker(view, marker)
    for transform in gaze_transforms(frame, header):
        t, q = transform.transform.translation, transform.transform.rotation
        mark = "'" if transform.child_frame_id.startswith('gaze') else ''
        for view in views:
            view.axes(np.array([t.x, t.y, t.z]), _matrix(q), 0.15, mark)
    return np.hstack([view.image for view in views])


def _draw_marker(view: View, marker: Marker) -> None:
    c = marker.color
    colour = tuple(round(255 * v) for v in (c.b, c.g, c.r))
    if marker.type == Marker.ARROW:
        a, b = ([p.x, p.y, p.z] for p in marker.points)
        view.line(a, b, colour, 4, arrow=True)
        return
    p = marker.pose.position
    if marker.type == Marker.TEXT_VIEW_FACING:
        cv2.putText(view.image, marker.text, view.pixel([p.x, p.y, p.z]), _FONT, 0.8, colour, 2,
                    cv2.LINE_AA)
        return
    s, turns = marker.scale, np.linspace(0, 2 * math.pi, 24)
    a, b = np.meshgrid(turns, turns / 2)
    ball = np.stack([np.sin(b) * np.cos(a), np.sin(b) * np.sin(a), np.cos(b)], -1).reshape(-1, 3)
    points = ball * [s.x / 2, s.y / 2, s.z / 2] @ _matrix(marker.pose.orientation).T
    outline = cv2.convexHull(np.array([view.pixel(q) for q in points + [p.x, p.y, p.z]]))
    filled = view.image.copy()
    cv2.fillPoly(filled, [outline], colour, cv2.LINE_AA)
    cv2.addWeighted(filled, c.a, view.image, 1 - c.a, 0, dst=view.image)


def _matrix(q) -> np.ndarray:
    """Return the matrix (3, 3) of a quaternion message."""
    v = np.array([q.x, q.y, q.z])
    length = float(np.linalg.norm(v))
    return cv2.Rodrigues(v * (2 * math.atan2(length, q.w) / length if length else 2.0))[0]


def draw_from_above(frame: FrameGaze, attention: AttentionTracker, size: tuple[int, int]
                    ) -> np.ndarray:
    """Return an image (H, W, 3) of the people seen from above, 215 pixels per meter.

    The bars do not contain what an assumed field of view adds to all ranges alike.
    """
    width, height = size
    image = np.full((height, width, 3), 250, np.uint8)
    lens = np.array([width / 2, height - 20])

    def pixel(x: float, z: float) -> tuple[int, int]:
        return tuple(np.round(lens + [215 * x, -215 * z]).astype(int).tolist())

    for r in (1, 2, 3):
        cv2.circle(image, pixel(0, 0), 215 * r, (225, 225, 225), 1, cv2.LINE_AA)
        cv2.putText(image, f'{r} m', pixel(-0.05, r - 0.06), _FONT, 0.4, (160, 160, 160), 1,
                    cv2.LINE_AA)
    for side in (-1, 1):
        cv2.line(image, pixel(0, 0), pixel(side * 3 * math.tan(1.05 / 2), 3), (210, 210, 210), 1,
                 cv2.LINE_AA)
    cv2.rectangle(image, pixel(-0.06, 0.04), pixel(0.06, -0.04), (60, 60, 60), cv2.FILLED)
    cv2.putText(image, 'camera', pixel(0.1, -0.03), _FONT, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    states = {a.track_id: a for a in attention.present}
    places = {g.track_id: (float(g.origin[0]), float(g.origin[2])) for g in frame.gazes}
    for gaze in frame.gazes:
        common = 0.0 if frame.calibrated else FOCAL_STDDEV
        share = gaze.range_stddev / float(np.linalg.norm(gaze.origin))
        bar = gaze.origin * math.sqrt(max(share ** 2 - common ** 2, 0.0))
        a, b = gaze.origin - bar, gaze.origin + bar
        cv2.line(image, pixel(a[0], a[2]), pixel(b[0], b[2]), (200, 200, 200), 4, cv2.LINE_AA)
    for gaze in frame.gazes:
        state, (x, z) = states.get(gaze.track_id), places[gaze.track_id]
        colour = _COLOURS.get(state.target if state else Target.UNKNOWN, (150, 150, 150))
        if state and state.target_id in places:
            _dashed(image, pixel(x, z), pixel(*places[state.target_id]), colour)
        if np.isfinite(gaze.direction).all():
            tip = gaze.origin + 0.4 * gaze.direction
            cv2.arrowedLine(image, pixel(x, z), pixel(tip[0], tip[2]), colour, 3, cv2.LINE_AA,
                            tipLength=0.15)
        cv2.circle(image, pixel(x, z), 9, colour, cv2.FILLED, cv2.LINE_AA)
        cv2.putText(image, gaze.track_id, (pixel(x, z)[0] + 12, pixel(x, z)[1] - 8), _FONT, 0.5,
                    (30, 30, 30), 1, cv2.LINE_AA)
    rows = [*((_COLOURS[target], text) for target, text in _LEGEND.items()),
            ((200, 200, 200), 'range, one standard deviation')]
    for i, (colour, text) in enumerate(rows):
        y = 20 + 22 * i
        cv2.line(image, (14, y), (34, y), colour, 5, cv2.LINE_AA)
        cv2.putText(image, text, (42, y + 5), _FONT, 0.42, (60, 60, 60), 1, cv2.LINE_AA)
    return image


def _dashed(image: np.ndarray, a: tuple[int, int], b: tuple[int, int], colour: tuple) -> None:
    points = np.linspace(a, b, 2 * max(1, round(math.dist(a, b) / 18)) + 1).round().astype(int)
    for i in range(0, len(points) - 1, 2):
        cv2.line(image, points[i].tolist(), points[i + 1].tolist(), colour, 1, cv2.LINE_AA)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument('data', type=Path, help='folder with videos/classroom_720p.mp4')
    parser.add_argument('--out', type=Path, default=Path('docs'), help='[docs]')


def run(arguments: argparse.Namespace) -> int:
    """Write the images; return the exit code."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 88]
    for i, (image, frame, _) in enumerate(run_model('sample', MARKERS_IMAGE)):
        if i == MARKERS_IMAGE:
            cv2.imwrite(str(arguments.out / 'markers.jpg'), draw_markers(image, frame), quality)
        elif i == SAMPLE_IMAGE:
            draw(image, frame)
            cv2.imwrite(str(arguments.out / 'sample.jpg'), image, quality)
    attention = AttentionTracker()
    classroom = str(arguments.data / 'videos' / 'classroom_720p.mp4')
    for _, frame, stamp in run_model(classroom, CLASSROOM_IMAGE):
        attention.update(frame, round((1 + stamp) * 1e9))
    above = draw_from_above(frame, attention, (760, 672))
    cv2.imwrite(str(arguments.out / 'attention.png'), above)
    return 0
