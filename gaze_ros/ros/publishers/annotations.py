"""Boxes, arrows and labels that Foxglove and Lichtblick draw over the camera's images."""
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, Optional

from gaze_ros.bags.foxglove import ANNOTATIONS
from gaze_ros.bags.rosbags_library import to_cdr
from gaze_ros.core.attention.attention import Attention
from gaze_ros.core.output.drawing import arrow_of, colour_of, label_of
from gaze_ros.core.types import FrameGaze, Gaze
from gaze_ros.ros.comm import topics
from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Header

#: Values of foxglove_msgs/msg/PointsAnnotation.
_LINE_LOOP, _LINE_STRIP = 2, 3
#: Width of lines and size of text, pixels of an image whose long side has 1000.
_LINE, _TEXT = 2.0, 18.0
#: Length of the two lines at the tip of an arrow, and how far each is aside, in arrow lengths.
_TIP, _TIP_ASIDE = 0.2, 0.1

#: Messages for :func:`.to_cdr`, which takes any objects with their fields.
_PLAIN = SimpleNamespace(**dict.fromkeys(
    ('ImageAnnotations', 'PointsAnnotation', 'TextAnnotation', 'Color', 'Point2'),
    SimpleNamespace))


class AnnotationPublisher:
    """Publishes the annotations of each image, where foxglove_msgs is installed.

    :ivar topic: its publisher, or None.
    """

    def __init__(self, node: Node) -> None:
        self.topic: Optional[Publisher] = None
        try:
            import foxglove_msgs.msg as messages
        except ImportError:
            return
        self._messages = messages
        self.topic = topics.create_publisher(
            node, messages.ImageAnnotations, topics.ANNOTATIONS, topics.reliable_qos(10))

    def publish(self, frame: FrameGaze, header: Header, attentions: Iterable[Attention]) -> None:
        """Publish the annotations of an image, if anybody subscribes to them."""
        if self.topic is not None and self.topic.get_subscription_count():
            self.topic.publish(image_annotations(frame, header, self._messages, attentions))


def annotations_cdr(frame: FrameGaze, header: Header) -> memoryview:
    """Return the annotations of an image, serialized; foxglove_msgs need not be installed.

    :param header: of the image.
    :raises GazeRosError: if rosbags is not installed.
    """
    return to_cdr(image_annotations(frame, header, _PLAIN), ANNOTATIONS)


def image_annotations(frame: FrameGaze, header: Header, messages: Any,
                      attentions: Iterable[Attention] = ()) -> Any:
    """Return foxglove_msgs/msg/ImageAnnotations of an image: what annotated images show.

    The label of a person also says what the person looks at, if that is known.

    :param header: of the image.
    :param messages: the module ``foxglove_msgs.msg``; the fields that are set exist in all its
        versions.
    :param attentions: of the people present.
    """
    scale = max(frame.width, frame.height) / 1000
    words = {attention.track_id: attention.words for attention in attentions}
    colours = {colour_of(gaze): _colour(messages, *colour_of(gaze)) for gaze in frame.gazes}
    points, texts = [], []
    none, background = _colour(messages, 0, 0, 0, 0.0), _colour(messages, 30, 30, 30, 0.8)
    for gaze in frame.gazes:
        lines, text = _annotations(gaze, frame, header, messages, scale)
        for one in lines:
            one.outline_color, one.fill_color = colours[colour_of(gaze)], none
        text.text_color, text.background_color = colours[colour_of(gaze)], background
        if known := words.get(gaze.track_id):
            text.text += f': {known}'
        points += lines
        texts.append(text)
    message = messages.ImageAnnotations(circles=[], points=points, texts=texts)
    if hasattr(message, 'timestamp'):  # since foxglove_msgs 3.4
        message.timestamp = header.stamp
    return message


def _colour(messages: Any, blue: int, green: int, red: int, alpha: float = 1.0) -> Any:
    return messages.Color(r=red / 255, g=green / 255, b=blue / 255, a=alpha)


def _annotations(gaze: Gaze, frame: FrameGaze, header: Header, messages: Any, scale: float
                 ) -> tuple[list, Any]:
    """Return the lines and the text of one person, without colours."""
    def line(kind: int, corners: Iterable[tuple[float, float]]) -> Any:
        return messages.PointsAnnotation(
            timestamp=header.stamp, type=kind, outline_colors=[], thickness=_LINE * scale,
            points=[messages.Point2(x=float(u), y=float(v)) for u, v in corners])

    x, y, w, h = gaze.face.clipped(frame.width, frame.height)
    lines = [line(_LINE_LOOP, ((x, y), (x + w, y), (x + w, y + h), (x, y + h)))]
    if (ends := arrow_of(gaze)) is not None:
        (u, v), (tip_u, tip_v) = ends
        du, dv = tip_u - u, tip_v - v
        back = tip_u - _TIP * du, tip_v - _TIP * dv
        sides = [(back[0] - aside * dv, back[1] + aside * du)
                 for aside in (_TIP_ASIDE, -_TIP_ASIDE)]
        lines.append(line(_LINE_STRIP, (
            (u, v), (tip_u, tip_v), sides[0], (tip_u, tip_v), sides[1])))
    size = _TEXT * scale
    above = y - _LINE * scale
    return lines, messages.TextAnnotation(
        timestamp=header.stamp, text=label_of(gaze), font_size=size,
        position=messages.Point2(x=float(x), y=above if above > size else y + h + 1.3 * size))
