"""Persons as REP-155 (ROS4HRI) defines them: one for each face, with their engagement.

Importing it needs hri_msgs.
"""
from collections.abc import Mapping

from gaze_ros.core.attention.engagement import Level
from gaze_ros.ros.comm import topics
from gaze_ros.ros.process.rclpy_compat import PublisherEventCallbacks
from gaze_ros.ros.publishers.tf_frames import person_id
from hri_msgs.msg import EngagementLevel, IdsList
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Bool, Float32, Header, String

#: Topic of REP-155. Those of a person are next to it: <folder of TRACKED>/<id>/face_id.
TRACKED = '/humans/persons/tracked'

#: QoS depth.
_DEPTH = 10
#: Confidence of the location of a person who is seen, and of one who is missed for a moment.
_SEEN, _MISSED = 1.0, 0.5
#: Seconds to wait for subscribers to acknowledge the last list.
_ACK_TIMEOUT = 0.3


class PersonsPublisher:
    """Publishes the topics under /humans/persons.

    A person has publishers while the attention is known. All topics are reliable; face_id and
    anonymous are transient local, as libhri subscribes.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._tracked = topics.create_publisher(
            node, IdsList, TRACKED, topics.reliable_qos(_DEPTH))
        self._folder = self._tracked.topic_name.rpartition('/')[0]
        self._persons: dict[str, dict[str, Publisher]] = {}
        self._warned = False

    def publish(self, header: Header, levels: Mapping[str, Level], seen: set[str]) -> None:
        """Publish the persons of an image.

        :param header: of the image.
        :param levels: engagement by track id.
        :param seen: track ids in the image.
        """
        for track_id in [known for known in self._persons if known not in levels]:
            self._remove(track_id)
        for track_id in levels:
            if track_id not in self._persons:
                self._add(track_id)
        self._tracked.publish(IdsList(header=header, ids=[person_id(i) for i in levels]))
        for track_id, level in levels.items():
            publishers = self._persons[track_id]
            publishers['engagement_status'].publish(
                EngagementLevel(header=header, level=int(level)))
            publishers['location_confidence'].publish(
                Float32(data=_SEEN if track_id in seen else _MISSED))

    def clear(self) -> None:
        """Publish an empty list and destroy the publishers of all persons."""
        if not self._persons:
            return
        self._tracked.publish(IdsList(header=Header(stamp=self._node.get_clock().now().to_msg())))
        # A destroyed publisher drops what it has not sent yet.
        self._tracked.wait_for_all_acked(Duration(seconds=_ACK_TIMEOUT))
        for track_id in [*self._persons]:
            self._remove(track_id)

    def close(self) -> None:
        """Clear the persons and destroy all publishers."""
        self.clear()
        self._node.destroy_publisher(self._tracked)

    def _add(self, track_id: str) -> None:
        # No QoS overriding parameters and no event handlers: both would outlive the publishers.
        events = PublisherEventCallbacks(use_default_callbacks=False)
        publishers = self._persons[track_id] = {
            name: self._node.create_publisher(
                kind, f'{self._folder}/{person_id(track_id)}/{name}',
                topics.reliable_qos(1 if latched else _DEPTH, transient_local=latched),
                event_callbacks=events)
            for name, kind, latched in (
                ('face_id', String, True), ('anonymous', Bool, True),
                ('engagement_status', EngagementLevel, False),
                ('location_confidence', Float32, False))}
        publishers['face_id'].publish(String(data=track_id))
        publishers['anonymous'].publish(Bool(data=True))
        topic = self._tracked.topic_name
        if not self._warned and self._node.count_publishers(topic) > 1:
            self._warned = True
            self._node.get_logger().warning(
                f'another node publishes {topic} as well, such as hri_person_manager. Subscribers '
                'take each list as complete; set persons to false')

    def _remove(self, track_id: str) -> None:
        for publisher in self._persons.pop(track_id).values():
            self._node.destroy_publisher(publisher)
