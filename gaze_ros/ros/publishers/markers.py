"""What RViz and Foxglove show of people: heads, gazes, ids, and who look at each other."""
from collections.abc import Iterable
from zlib import crc32

from builtin_interfaces.msg import Duration
from gaze_ros.core.attention.attention import Attention
from gaze_ros.core.geometry.rotations import face_forward_axis, normalised
from gaze_ros.core.types import FrameGaze, Gaze
from gaze_ros.ros.publishers.tf_frames import quaternion_message
from geometry_msgs.msg import Point, Pose, Vector3
import numpy as np
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

#: Namespaces, one for each kind of marker: RViz lets each be hidden.
FACE, GAZE, ID, MUTUAL = NAMESPACES = ('face', 'gaze', 'id', 'mutual')

#: As in annotated images: at the camera, elsewhere, gaze not known; and who look at each other.
AT_CAMERA, ELSEWHERE, UNKNOWN, EACH_OTHER = (
    ColorRGBA(r=r, g=g, b=b, a=1.0) for r, g, b in (
        (0.31, 0.86, 0.31), (1.0, 0.67, 0.24), (0.67, 0.67, 0.67), (0.93, 0.35, 0.85)))

#: Meters: of an arrow, and its shaft's, its head's diameter and its head's length.
ARROW, _ARROW = 0.5, Vector3(x=0.025, y=0.06, z=0.1)
#: A head from front to back, from side to side and from top to bottom, and how far behind the eyes
#: its middle is (means of adults, to the centimeter), meters.
_HEAD, _BEHIND = Vector3(x=0.19, y=0.15, z=0.23), 0.09
#: How far above the eyes the id is, and its height, meters; the width of a line.
_ABOVE, _TEXT, _LINE = 0.22, Vector3(z=0.1), Vector3(x=0.015)

#: A marker vanishes after that if nothing more comes. Lost faces are deleted at once: this is for
#: a node that ends, and must not make those of a slow one blink.
_LIFETIME = Duration(sec=1)


class MarkerBuilder:
    """Makes the markers of one picture after another, and deletes those that have no successor."""

    def __init__(self) -> None:
        self._last: set[tuple[str, int]] = set()

    def reset(self) -> None:
        """Nobody has seen a marker: none needs to be deleted."""
        self._last = set()

    def build(self, frame: FrameGaze, header: Header, attentions: Iterable[Attention]
           ) -> MarkerArray:
        """Return the markers of a picture.

        :param header: the picture's.
        :param attentions: of everybody who is there, as far as it is known.
        """
        markers = [marker for gaze in frame.gazes if np.isfinite(gaze.origin).all()
                   for marker in _markers(gaze, header)]
        eyes = {gaze.track_id: gaze.origin for gaze in frame.gazes
                if np.isfinite(gaze.origin).all()}
        markers += [
            _marker(MUTUAL, f'{one.track_id} {one.target_id}', header, EACH_OTHER,
                    type=Marker.LINE_LIST, scale=_LINE,
                    points=[_point(eyes[one.track_id]), _point(eyes[one.target_id])])
            for one in attentions
            if one.mutual and one.track_id < one.target_id and one.track_id in eyes
            and one.target_id in eyes]
        shown = {(marker.ns, marker.id) for marker in markers}
        markers += [Marker(header=header, ns=ns, id=number, action=Marker.DELETE)
                    for ns, number in sorted(self._last - shown)]
        self._last = shown
        return MarkerArray(markers=markers)


def _markers(gaze: Gaze, header: Header) -> list[Marker]:
    """Return those of one person."""
    known = bool(np.isfinite(gaze.direction).all())
    colour = UNKNOWN if not known else AT_CAMERA if gaze.looking_at_camera else ELSEWHERE
    eyes, above = gaze.origin, np.array([0.0, -_ABOVE, 0.0])
    markers = [_marker(ID, gaze.track_id, header, colour, type=Marker.TEXT_VIEW_FACING,
                       pose=Pose(position=_point(eyes + above)), scale=_TEXT, text=gaze.track_id)]
    rotation = normalised(gaze.orientation)
    if rotation is not None:
        middle = eyes - _BEHIND * face_forward_axis(rotation)
        markers.append(_marker(
            FACE, gaze.track_id, header, ColorRGBA(r=colour.r, g=colour.g, b=colour.b, a=0.5),
            type=Marker.SPHERE, scale=_HEAD,
            pose=Pose(position=_point(middle), orientation=quaternion_message(rotation))))
    if known:
        markers.append(_marker(
            GAZE, gaze.track_id, header, colour, type=Marker.ARROW, scale=_ARROW,
            points=[_point(eyes), _point(eyes + ARROW * gaze.direction)]))
    return markers


def _marker(ns: str, name: str, header: Header, colour: ColorRGBA, **fields: object) -> Marker:
    # RViz goes by the picture's stamp to place it, so a robot that turns does not drag it along.
    return Marker(
        header=header, ns=ns, id=marker_id(name), action=Marker.ADD, color=colour,
        lifetime=_LIFETIME, **fields)


def marker_id(name: str) -> int:
    """Return a marker's id, 0..2**31 - 1: the same for a track, whatever its id looks like."""
    return crc32(name.encode()) & 0x7fffffff


def _point(place: np.ndarray) -> Point:
    x, y, z = place.tolist()
    return Point(x=x, y=y, z=z)
