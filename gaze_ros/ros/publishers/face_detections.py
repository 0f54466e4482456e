"""Faces as vision_msgs/msg/Detection2DArray, for tools that take detections."""
from typing import Any

from gaze_ros.core.types import FrameGaze, Gaze
from gaze_ros.ros.comm import topics
from gaze_ros.ros.publishers.tf_frames import quaternion_message
from rclpy.node import Node
from std_msgs.msg import Header

#: The class of every detection.
FACE = 'face'


class FaceDetectionPublisher:
    """Publishes the faces of each image, where vision_msgs is installed."""

    def __init__(self, node: Node) -> None:
        self._topic = None
        self._detections: dict[str, Any] = {}
        try:
            import vision_msgs.msg as messages
        except ImportError:
            return
        self._messages = messages
        self._topic = topics.create_publisher(
            node, messages.Detection2DArray, topics.FACES, topics.reliable_qos(10))

    def publish(self, frame: FrameGaze, header: Header) -> None:
        """Publish the faces of an image, if anybody subscribes to them."""
        if self._topic is None or not self._topic.get_subscription_count():
            return
        # Changed for each image: creating them costs more.
        self._detections = {
            gaze.track_id: self._detections.get(gaze.track_id) or self._create(gaze.track_id)
            for gaze in frame.gazes}
        for gaze in frame.gazes:
            _update(self._detections[gaze.track_id], gaze, frame, header)
        self._topic.publish(self._messages.Detection2DArray(
            header=header, detections=[*self._detections.values()]))

    def _create(self, track_id: str) -> Any:
        found = self._messages.ObjectHypothesisWithPose()
        found.hypothesis.class_id = FACE
        return self._messages.Detection2D(id=track_id, results=[found])


def _update(detection: Any, gaze: Gaze, frame: FrameGaze, header: Header) -> None:
    """Set the box, the score and the pose of a detection to those of a face."""
    x, y, width, height = gaze.face.clipped(frame.width, frame.height)
    box, center, found = detection.bbox, detection.bbox.center.position, detection.results[0]
    detection.header = header
    center.x, center.y = x + width / 2, y + height / 2
    box.size_x, box.size_y = float(width), float(height)
    found.hypothesis.score = float(gaze.face.score)
    # Not finite where it is unknown: zeros would be the lens.
    position = found.pose.pose.position
    position.x, position.y, position.z = gaze.origin.tolist()
    found.pose.pose.orientation = quaternion_message(gaze.orientation)
