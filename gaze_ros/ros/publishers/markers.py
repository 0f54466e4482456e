"""Markers for RViz and Foxglove: heads, gazes, ids, and lines between people in eye contact."""
from collections.abc import Iterable
from zlib import crc32

from builtin_interfaces.msg import Duration
from gaze_ros.core.attention.attention import Attention
from gaze_ros.core.geometry.rotations import face_forward_axis, normalised
from gaze_ros.core.types import FrameGaze, Gaze
from gaze_ros.ros.publishers.tf_frames import quaternion_message
from geometry_msgs.msg import Point, Vector3
import numpy as np
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

#: Marker namespaces, one for each kind: RViz can hide each.
FACE, GAZE, ID, MUTUAL = NAMESPACES = ('face', 'gaze', 'id', 'mutual')

#: Colours: looking at the camera, elsewhere, gaze unknown (as in annotated images), eye contact.
AT_CAMERA, ELSEWHERE, UNKNOWN, EYE_CONTACT = (
    ColorRGBA(r=r, g=g, b=b, a=1.0) for r, g, b in (
        (0.31, 0.86, 0.31), (1.0, 0.67, 0.24), (0.67, 0.67, 0.67), (0.93, 0.35, 0.85)))

#: Length of an arrow; diameter of its shaft, diameter and length of its head; metres.
ARROW_LENGTH, _ARROW_SCALE = 0.5, Vector3(x=0.025, y=0.06, z=0.1)
#: Depth, width and height of a head, and the distance of its centre behind the eyes; metres.
#: Means of adults, rounded to the centimetre.
_HEAD_SCALE, _HEAD_OFFSET = Vector3(x=0.19, y=0.15, z=0.23), 0.09
#: Height of the id above the eyes, and its text height; width of a line; metres.
_TEXT_OFFSET, _TEXT_SCALE, _LINE_SCALE = 0.22, Vector3(z=0.1), Vector3(x=0.015)

#: A marker disappears after this time without an update. Markers of lost faces are deleted at
#: once; the lifetime is for a node that exits, and long enough that those of a slow node do not
#: flicker.
_LIFETIME = Duration(sec=1)


class MarkerBuilder:
    """Builds the markers of each image, and deletes those of the image before that disappeared."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, int]] = set()
        self._people: dict[str, _Person] = {}

    def reset(self) -> None:
        """Forget the last markers: nobody received them, so none needs to be deleted."""
        self._shown, self._people = set(), {}

    def build(self, frame: FrameGaze, header: Header, attentions: Iterable[Attention]
              ) -> MarkerArray:
        """Return the markers of an image; the next image changes them.

        :param header: of the image.
        :param attentions: of all people present, as far as known.
        """
        located = {gaze.track_id: gaze for gaze in frame.gazes if np.isfinite(gaze.origin).all()}
        self._people = {i: self._people.get(i) or _Person(i) for i in located}
        markers = [marker for i, gaze in located.items()
                   for marker in self._people[i].update(gaze, header)]
        eyes = {i: gaze.origin for i, gaze in located.items()}
        markers += [
            _marker(MUTUAL, f'{a.track_id} {a.target_id}', header, EYE_CONTACT,
                    type=Marker.LINE_LIST, scale=_LINE_SCALE,
                    points=[_point(eyes[a.track_id]), _point(eyes[a.target_id])])
            for a in attentions
            if a.mutual and a.track_id < a.target_id and a.track_id in eyes
            and a.target_id in eyes]
        shown = {(marker.ns, marker.id) for marker in markers}
        markers += [Marker(header=header, ns=ns, id=number, action=Marker.DELETE)
                    for ns, number in sorted(self._shown - shown)]
        self._shown = shown
        return MarkerArray(markers=markers)


class _Person:
    """The markers of one person. They are changed for each image: creating them costs more."""

    def __init__(self, track_id: str) -> None:
        none = Header()
        self._id = _marker(ID, track_id, none, UNKNOWN, type=Marker.TEXT_VIEW_FACING,
                           scale=_TEXT_SCALE, text=track_id)
        self._face = _marker(
            FACE, track_id, none, UNKNOWN, type=Marker.SPHERE, scale=_HEAD_SCALE)
        self._gaze = _marker(GAZE, track_id, none, UNKNOWN, type=Marker.ARROW, scale=_ARROW_SCALE)

    def update(self, gaze: Gaze, header: Header) -> list[Marker]:
        """Return the markers of an image."""
        known = bool(np.isfinite(gaze.direction).all())
        colour = UNKNOWN if not known else AT_CAMERA if gaze.looking_at_camera else ELSEWHERE
        eyes, above = gaze.origin, np.array([0.0, -_TEXT_OFFSET, 0.0])
        self._id.pose.position, self._id.color = _point(eyes + above), colour
        shown, rotation = [self._id], normalised(gaze.orientation)
        if rotation is not None:
            center = eyes - _HEAD_OFFSET * face_forward_axis(rotation)
            self._face.pose.position = _point(center)
            self._face.pose.orientation = quaternion_message(rotation)
            self._face.color = ColorRGBA(r=colour.r, g=colour.g, b=colour.b, a=0.5)
            shown.append(self._face)
        if known:
            self._gaze.points = [_point(eyes), _point(eyes + ARROW_LENGTH * gaze.direction)]
            self._gaze.color = colour
            shown.append(self._gaze)
        for marker in shown:
            marker.header = header
        return shown


def _marker(ns: str, name: str, header: Header, colour: ColorRGBA, **fields: object) -> Marker:
    # RViz places it at the time of the image's stamp, so it stays in place when the robot turns.
    return Marker(
        header=header, ns=ns, id=marker_id(name), action=Marker.ADD, color=colour,
        lifetime=_LIFETIME, **fields)


def marker_id(name: str) -> int:
    """Return the marker id of a track id, 0..2**31 - 1; the same for each image."""
    return crc32(name.encode()) & 0x7fffffff


def _point(position: np.ndarray) -> Point:
    x, y, z = position.tolist()
    return Point(x=x, y=y, z=z)
