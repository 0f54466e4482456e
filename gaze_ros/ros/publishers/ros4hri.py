"""Publishes faces and their gaze targets as REP-155 (ROS4HRI) defines, for libhri and others.

Importing it needs hri_msgs; without hri_msgs it raises GazeRosError.
"""
from collections.abc import Callable, Iterable
import os
from typing import Optional

from gaze_ros.core.attention.attention import Attention, Target
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.geometry.crops import aligned_face_crop, face_crop
from gaze_ros.core.stream_time import Instant
from gaze_ros.core.types import Face, FrameGaze, LANDMARK_NAMES
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import bgr_to_image
from gaze_ros.ros.process.rclpy_compat import PublisherEventCallbacks
import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

try:
    from hri_msgs.msg import (
        FacialLandmarks,
        Gaze,
        IdsList,
        NormalizedPointOfInterest2D,
        NormalizedRegionOfInterest2D,
    )
except ImportError as e:
    raise GazeRosError(
        f'humans:=true needs the package hri_msgs, which cannot be imported: {e}. Install '
        f"ros-{os.environ.get('ROS_DISTRO', '<distro>')}-hri-msgs if it exists; otherwise build "
        'ros4hri/hri_msgs in your workspace and source its setup file, or set humans to false'
        ) from e

#: Topics of REP-155. Those of a face are next to the first: <folder of TRACKED>/<id>/roi.
TRACKED = '/humans/faces/tracked'
GAZING = '/humans/interactions/gazing'

#: QoS depth: each image gives several messages on GAZING.
DEPTH = 10

#: Side of the images on /cropped and /aligned in pixels, the default of REP-155.
SIZE = 128

#: Seconds a face stays listed after it was detected last: subscribers leave the topics of a face
#: that is not listed, and would have to discover them again after each missed detection.
HOLD = 1.0

#: Indices of our landmarks among the 70 of REP-155, in the order of LANDMARK_NAMES. Detectors mark
#: the centre of the eye; the pupil is the closest of the 70.
LANDMARKS = dict(zip(LANDMARK_NAMES, (
    FacialLandmarks.RIGHT_PUPIL, FacialLandmarks.LEFT_PUPIL, FacialLandmarks.NOSE,
    FacialLandmarks.MOUTH_OUTER_RIGHT, FacialLandmarks.MOUTH_OUTER_LEFT)))

#: Seconds to wait for subscribers to acknowledge the last list.
_ACK_TIMEOUT = 0.3

_LANDMARK_COUNT = 70
_UNKNOWN = NormalizedPointOfInterest2D()  # confidence 0


class Ros4HriPublisher:
    """Publishes the topics under /humans.

    A face has publishers from its first image until :data:`HOLD` after its last one. Messages of a
    face are only created for topics with subscribers. All topics are reliable, as some ROS4HRI
    nodes require.
    """

    def __init__(self, node: Node, sender: Callable[[str], str] = str) -> None:
        """Create the topics that are not those of a face.

        :param sender: returns whom a gaze is of, from its track id: the person with this face, or
            the face itself.
        """
        self._node = node
        self._sender = sender
        self._tracked = topics.create_publisher(node, IdsList, TRACKED, topics.reliable_qos(DEPTH))
        self._gazing = topics.create_publisher(node, Gaze, GAZING, topics.reliable_qos(DEPTH))
        self._folder = self._tracked.topic_name.rpartition('/')[0]
        self._faces: dict[str, _FaceTopics] = {}
        self._warned = False
        self._restart_count = 0

    def publish(self, frame: FrameGaze, header: Header, image: Optional[np.ndarray],
                attentions: Iterable[Attention], instant: Instant, restart_count: int = 0
                ) -> None:
        """Publish the faces and gazes of an image.

        :param header: of the image.
        :param image: (H, W, 3) uint8 BGR, read-only; None to publish no face images.
        :param attentions: of all people present, as far as known.
        :param instant: when the image was captured.
        :param restart_count: of the AttentionTracker. When it changes, all faces are removed
            first, since track ids now mean other people.
        :raises InvalidTopicNameException: for a track id that cannot be part of a topic name.
        """
        if restart_count != self._restart_count:
            self._restart_count = restart_count
            self.clear()
        detected = {gaze.track_id for gaze in frame.gazes}
        for track_id in [
                track_id for track_id, face in self._faces.items()
                if track_id not in detected and instant - face.last_seen > HOLD]:
            self._faces.pop(track_id).close()
        for gaze in frame.gazes:
            if gaze.track_id not in self._faces:
                self._add_face(gaze.track_id, instant)
            self._faces[gaze.track_id].last_seen = instant
        self._tracked.publish(IdsList(header=header, ids=list(self._faces)))
        for gaze in frame.gazes:
            self._faces[gaze.track_id].publish(
                gaze.face, frame.width, frame.height, header, image)
        for attention in attentions:
            if attention.at_robot or attention.target is Target.PERSON:
                # An empty receiver means the robot.
                self._gazing.publish(Gaze(
                    header=header, sender=self._sender(attention.track_id),
                    receiver='' if attention.at_robot else self._sender(attention.target_id)))

    def clear(self) -> None:
        """Publish an empty list of faces and destroy the publishers of all faces."""
        if not self._faces:
            return
        self._tracked.publish(IdsList(
            header=Header(stamp=self._node.get_clock().now().to_msg())))
        # A destroyed publisher drops what it has not sent yet.
        self._tracked.wait_for_all_acked(Duration(seconds=_ACK_TIMEOUT))
        for face in self._faces.values():
            face.close()
        self._faces = {}

    def close(self) -> None:
        """Clear the faces and destroy all publishers."""
        self.clear()
        self._node.destroy_publisher(self._tracked)
        self._node.destroy_publisher(self._gazing)

    def _add_face(self, track_id: str, instant: Instant) -> None:
        self._faces[track_id] = _FaceTopics(self._node, f'{self._folder}/{track_id}', instant)
        topic = self._tracked.topic_name
        if not self._warned and self._node.count_publishers(topic) > 1:
            self._warned = True
            self._node.get_logger().warning(
                f'another node publishes {topic} as well. Subscribers take each list as complete '
                f'and lose the faces of the other node; remap one of them and its subscribers, '
                f'for example with --ros-args -r {topic}:=/front{topic}')


class _FaceTopics:
    """The publishers of one face.

    :ivar last_seen: the last image with the face.
    """

    def __init__(self, node: Node, folder: str, last_seen: Instant) -> None:
        self.last_seen = last_seen
        self._node = node
        # No QoS overriding parameters and no event handlers: both would outlive the publishers.
        events = PublisherEventCallbacks(use_default_callbacks=False)
        self._roi, self._landmarks, self._cropped, self._aligned = self._publishers = [
            node.create_publisher(
                msg_type, f'{folder}/{name}', topics.reliable_qos(DEPTH), event_callbacks=events)
            for msg_type, name in (
                (NormalizedRegionOfInterest2D, 'roi'), (FacialLandmarks, 'landmarks'),
                (Image, 'cropped'), (Image, 'aligned'))]

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)

    def publish(self, face: Face, width: int, height: int, header: Header,
                image: Optional[np.ndarray]) -> None:
        """Publish a face in an image of ``width`` x ``height`` pixels."""
        box = x, y, w, h = face.clipped(width, height)
        points = face.landmarks
        if self._roi.get_subscription_count():
            self._roi.publish(NormalizedRegionOfInterest2D(
                header=header, xmin=x / width, ymin=y / height, xmax=(x + w) / width,
                ymax=(y + h) / height, c=float(face.score)))
        if points is not None and self._landmarks.get_subscription_count():
            self._landmarks.publish(FacialLandmarks(
                header=header, width=width, height=height,
                landmarks=_landmarks(points / (width, height), float(face.score))))
        if image is None or not (w and h):
            return
        if self._cropped.get_subscription_count():
            self._cropped.publish(bgr_to_image(face_crop(image, box, SIZE), header))
        if points is not None and self._aligned.get_subscription_count():
            self._aligned.publish(bgr_to_image(
                aligned_face_crop(image, box, points[0], points[1], SIZE), header))


def _landmarks(points: np.ndarray, score: float) -> list[NormalizedPointOfInterest2D]:
    """Return the 70 landmarks of REP-155.

    :param points: (5, 2) in the order of LANDMARK_NAMES, 0..1 in the image. A point outside the
        image stays unknown, since the message has no coordinates for it.
    """
    landmarks = [_UNKNOWN] * _LANDMARK_COUNT
    for index, (x, y) in zip(LANDMARKS.values(), points.tolist()):
        if 0 <= x <= 1 and 0 <= y <= 1:
            landmarks[index] = NormalizedPointOfInterest2D(x=x, y=y, c=score)
    return landmarks
