"""Faces, and who looks at whom, as REP-155 has them: for libhri and the nodes of ROS4HRI.

Importing it needs hri_msgs; without, it raises GazeRosError.
"""
from collections.abc import Iterable
import os
from typing import Optional

from gaze_ros.core.attention.attention import Attention, Target
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.geometry.crops import aligned_face_crop, face_crop
from gaze_ros.core.types import Face, FrameGaze, LANDMARK_NAMES
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import bgr_to_image, seconds
import numpy as np
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
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
        f"ros-{os.environ.get('ROS_DISTRO', '<distro>')}-hri-msgs where there is one, else "
        'build ros4hri/hri_msgs in your workspace, and source its setup file; or leave humans '
        'false') from e

#: REP-155's topics. Those of a face lie beside the first: <folder of TRACKED>/<id>/roi.
TRACKED = '/humans/faces/tracked'
GAZING = '/humans/interactions/gazing'

#: Messages kept for who has not got them yet: several of GAZING come with each picture.
DEPTH = 10

#: Side of /cropped and /aligned in pixels, REP-155's default.
SIZE = 128

#: Seconds a face may stay unseen and be listed: listeners leave its topics when it is not, and
#: would need discovery again for each picture in which the detector missed it.
HOLD = 1.0

#: Where REP-155's 70 landmarks have ours, in the order of LANDMARK_NAMES. Detectors mark the
#: middle of the eye, and there is no other place for that than the pupil.
LANDMARKS = dict(zip(LANDMARK_NAMES, (
    FacialLandmarks.RIGHT_PUPIL, FacialLandmarks.LEFT_PUPIL, FacialLandmarks.NOSE,
    FacialLandmarks.MOUTH_OUTER_RIGHT, FacialLandmarks.MOUTH_OUTER_LEFT)))

#: Seconds the last list may take to arrive.
_LAST_WORD = 0.3

_COUNT = 70
_UNKNOWN = NormalizedPointOfInterest2D()  # confidence 0


class Ros4HriPublisher:
    """Publishes /humans of a node's pictures.

    A face has publishers from the picture in which it appears until it is gone for :data:`HOLD`.
    Of a face, what nobody subscribes to is not made. All is reliable: some of ROS4HRI's nodes ask
    for that.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._tracked = topics.create_publisher(node, IdsList, TRACKED, topics.reliable_qos(DEPTH))
        self._gazing = topics.create_publisher(node, Gaze, GAZING, topics.reliable_qos(DEPTH))
        self._folder = self._tracked.topic_name.rpartition('/')[0]
        self._faces: dict[str, _FaceTopics] = {}
        self._told = False
        self._begun = 0

    def publish(self, frame: FrameGaze, header: Header, bgr: Optional[np.ndarray],
                attentions: Iterable[Attention], begun: int = 0) -> None:
        """Publish what was seen in a picture.

        :param header: the picture's.
        :param bgr: (H, W, 3) uint8, the picture, only read; None for no pictures of faces.
        :param attentions: of everybody who is there, as far as it is known.
        :param begun: how often everybody began anew, as AttentionWatch counts it: with another
            number than before nobody is there any more first, for f1 is another one.
        :raises InvalidTopicNameException: for a track id that is no part of a topic's name.
        """
        if begun != self._begun:
            self._begun = begun
            self.clear()
        now = seconds(header.stamp)
        seen = {gaze.track_id for gaze in frame.gazes}
        for track_id in [
                track_id for track_id, face in self._faces.items()
                if track_id not in seen and not 0 < now - face.seen <= HOLD]:
            self._faces.pop(track_id).close()
        for gaze in frame.gazes:
            if gaze.track_id not in self._faces:
                self._appear(gaze.track_id)
            self._faces[gaze.track_id].seen = now
        self._tracked.publish(IdsList(header=header, ids=list(self._faces)))
        for gaze in frame.gazes:
            self._faces[gaze.track_id].publish(
                gaze.face, frame.width, frame.height, header, bgr)
        for attention in attentions:
            if attention.target in (Target.CAMERA, Target.PERSON):
                # An empty receiver is the robot.
                self._gazing.publish(Gaze(
                    header=header, sender=attention.track_id, receiver=attention.target_id))

    def clear(self) -> None:
        """Tell that no face is tracked any more, and leave their topics."""
        if not self._faces:
            return
        self._tracked.publish(IdsList(
            header=Header(stamp=self._node.get_clock().now().to_msg())))
        # What a publisher has not sent yet goes with it.
        self._tracked.wait_for_all_acked(Duration(seconds=_LAST_WORD))
        for face in self._faces.values():
            face.close()
        self._faces = {}

    def close(self) -> None:
        """Clear, and destroy the publishers."""
        self.clear()
        self._node.destroy_publisher(self._tracked)
        self._node.destroy_publisher(self._gazing)

    def _appear(self, track_id: str) -> None:
        self._faces[track_id] = _FaceTopics(self._node, f'{self._folder}/{track_id}')
        topic = self._tracked.topic_name
        if not self._told and self._node.count_publishers(topic) > 1:
            self._told = True
            self._node.get_logger().warning(
                f'another node publishes {topic}, too. Listeners take each list for the whole '
                f'and lose the faces of the other: remap one of them, as in --ros-args -r '
                f'{topic}:=/front{topic}, and its listeners')


class _FaceTopics:
    """The publishers of one face.

    :ivar seen: stamp of the picture in which it was seen last, seconds.
    """

    def __init__(self, node: Node, folder: str) -> None:
        self.seen = 0.0
        self._node = node
        # Nothing that outlives them: parameters to override their quality of service would, and
        # what rclpy notes of the handlers of their events.
        events = PublisherEventCallbacks(use_default_callbacks=False)
        self._roi, self._landmarks, self._cropped, self._aligned = self._publishers = [
            node.create_publisher(
                kind, f'{folder}/{name}', topics.reliable_qos(DEPTH), event_callbacks=events)
            for kind, name in (
                (NormalizedRegionOfInterest2D, 'roi'), (FacialLandmarks, 'landmarks'),
                (Image, 'cropped'), (Image, 'aligned'))]

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)

    def publish(self, face: Face, width: int, height: int, header: Header,
                bgr: Optional[np.ndarray]) -> None:
        """Publish the face as it is in a picture of that size."""
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
        if bgr is None or not (w and h):
            return
        if self._cropped.get_subscription_count():
            self._cropped.publish(bgr_to_image(face_crop(bgr, box, SIZE), header))
        if points is not None and self._aligned.get_subscription_count():
            self._aligned.publish(bgr_to_image(
                aligned_face_crop(bgr, box, points[0], points[1], SIZE), header))


def _landmarks(points: np.ndarray, score: float) -> list[NormalizedPointOfInterest2D]:
    """Return REP-155's landmarks.

    :param points: (5, 2) in the order of LANDMARK_NAMES, 0..1 in the picture. One that lies
        outside is left unknown, since the message has no coordinates for it.
    """
    landmarks = [_UNKNOWN] * _COUNT
    for at, (x, y) in zip(LANDMARKS.values(), points.tolist()):
        if 0 <= x <= 1 and 0 <= y <= 1:
            landmarks[at] = NormalizedPointOfInterest2D(x=x, y=y, c=score)
    return landmarks
