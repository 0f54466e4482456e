"""The people node: publishes attention events, TF frames, markers and REP-155 topics."""
import time
from typing import Optional

from gaze_ros.core.attention.attention import Attention, AttentionTracker
from gaze_ros.core.attention.engagement import EngagementTracker, Level
from gaze_ros.core.attention.focus import FocusSelector
from gaze_ros.core.attention.targets import load_targets, Target
from gaze_ros.core.diagnostics.node_status import PeopleStatus
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.parameters import Value
from gaze_ros.core.pipeline.synchronizer import TimeoutSynchronizer
from gaze_ros.core.pipeline.worker import Worker
from gaze_ros.core.stream_time import Instant
from gaze_ros.core.types import FrameGaze
from gaze_ros.msg import Attention as AttentionMessage
from gaze_ros.msg import Focus as FocusMessage
from gaze_ros.msg import GazeArray
from gaze_ros.ros.base.diagnostics import input_topics, uses_sim_time
from gaze_ros.ros.base.lifecycle_node import ImageConsumerNode
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import attention_message, focus_message, frame_gaze
from gaze_ros.ros.comm.image_transport import ReceivedImage
from gaze_ros.ros.comm.intra_process import IntraProcessSubscription
from gaze_ros.ros.process.shutdown import Shutdown
from gaze_ros.ros.publishers.annotations import AnnotationPublisher
from gaze_ros.ros.publishers.detected_objects import DetectedObjects
from gaze_ros.ros.publishers.face_detections import FaceDetectionPublisher
from gaze_ros.ros.publishers.markers import MarkerBuilder
from gaze_ros.ros.publishers.target_frames import TargetFrames
from gaze_ros.ros.publishers.tf_frames import person_id, TfFramePublisher
from rclpy.duration import Duration
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

#: QoS depth of attention events: a late subscriber gets the state of all people from them.
EVENTS_KEPT = 50

#: Seconds to wait for subscribers to acknowledge the last events.
_ACK_TIMEOUT = 0.3

#: The latest stamp in nanoseconds that an event can hold; stamps of images may be 4 s later.
_MAX_STAMP = (1 << 31) * 1_000_000_000 - 1

#: What the REP-155 topics need of an image: its gaze, header, the attention of all people, when it
#: was captured, the restart count of the AttentionTracker, and the engagement by track id.
_Result = tuple[FrameGaze, Header, list[Attention], Instant, int, dict[str, Level]]


class PeopleNode(ImageConsumerNode):
    """Publishes what robots and tools use of each image's gaze, in a thread of its own."""

    def __init__(self, shutdown: Shutdown) -> None:
        super().__init__('people', StageStats('People'), shutdown)
        self._attention_tracker = AttentionTracker()
        #: Frame of the images, once there is one.
        self.image_frame = ''
        self._humans = self._persons = None
        self._targets: Optional[TargetFrames] = None
        self._prepared_targets: list[Target] = []

    def status(self) -> PeopleStatus:
        """Return the state of the node beside its statistics."""
        return PeopleStatus(
            inputs=input_topics(self, *self.managed_subscriptions), people=self._people,
            events=self._events, tf=self.values['publish_tf'],
            subscribers=self._markers_topic.get_subscription_count(),
            humans=self._humans is not None, queue_depth=self.workers[0].queue_depth,
            failure=self._failure, sim_time=uses_sim_time(self))

    def configure(self) -> None:
        """Create the topics.

        :raises GazeRosError: if humans needs hri_msgs, or detections vision_msgs, and it is not
            installed; if targets_file cannot be used.
        """
        if self.values['humans']:
            from gaze_ros.ros.publishers.ros4hri import Ros4HriPublisher
            if self.values['persons']:
                from gaze_ros.ros.publishers.ros4hri_persons import PersonsPublisher
                self._persons = PersonsPublisher(self)
            self._humans = Ros4HriPublisher(self, person_id if self._persons else str)
        self._attention = topics.create_publisher(
            self, AttentionMessage, topics.ATTENTION,
            topics.reliable_qos(EVENTS_KEPT, transient_local=True))
        self._objects_topic = topics.create_publisher(
            self, AttentionMessage, topics.OBJECTS, topics.reliable_qos(10))
        self._focus_topic = topics.create_publisher(
            self, FocusMessage, topics.FOCUS, topics.reliable_qos(10))
        self._markers_topic = topics.create_publisher(
            self, MarkerArray, topics.MARKERS, topics.reliable_qos(10))
        self._annotations = AnnotationPublisher(self)
        self._faces = FaceDetectionPublisher(self)
        self._frames = TfFramePublisher(self)
        self._targets = TargetFrames(
            self, load_targets(self.values['targets_file']), DetectedObjects(
                self, self.values['detections'], self.values['detections_2d']))
        self.managed_subscriptions = [IntraProcessSubscription(
            self, GazeArray, topics.GAZE, self._on_gaze, on_error=self.report_callback_error)]
        if self._humans is not None:
            self.managed_subscriptions.append(self.subscribe_to_images())

    def activate(self) -> None:
        """Start the threads, with no people present."""
        v = self.values
        self._attention_tracker = AttentionTracker(
            v['looking_at_person_angle'], v['looking_at_person_hysteresis'],
            v['looking_at_person_dwell'], v['looking_at_object_angle'])
        self._engagement = EngagementTracker(
            v['engagement_distance'], v['engagement_duration'])
        self._focus_selector = FocusSelector(
            v['focus_rule'], v['focus_hold'], v['focus_hysteresis'])
        self._focus_wanted = False
        self._markers, self._header = MarkerBuilder(), Header()
        self._people, self._events, self._failure = 0, 0, ''
        self.workers = [Worker(
            'people', self._work, self.stats, self._report_error, v['queue_depth'])]
        if self._humans is not None:
            # A separate thread: cropping faces must not delay events.
            humans = Worker(
                'humans', self._publish_humans, self.stats, self._report_error, v['queue_depth'])
            self.workers.append(humans)
            self._synchronizer: TimeoutSynchronizer[ReceivedImage, _Result] = (
                TimeoutSynchronizer(humans.submit))
        for worker in self.workers:
            worker.start()

    def deactivate(self) -> None:
        """Publish that all people are gone, and drop the queued images."""
        self._synchronizer = TimeoutSynchronizer(lambda pair: None)
        if events := self._attention_tracker.clear():
            for event in events:
                self._attention.publish(attention_message(event, self._header))
            empty = FrameGaze(0, 0, '', [])
            self._publish_drawings(empty)
            self._publish_focus(empty)
        if self._humans is not None:
            self._humans.clear()
        if self._persons is not None:
            self._persons.clear()
        if events:
            # Cleanup destroys their publisher, which drops what it has not sent yet.
            for topic in self._attention, self._focus_topic, self._annotations.topic:
                if topic is not None:
                    topic.wait_for_all_acked(Duration(seconds=_ACK_TIMEOUT))

    def cleanup(self) -> None:
        """Destroy the publishers of the REP-155 topics and the subscriptions to TF."""
        targets, self._targets = self._targets, None
        if targets is not None:
            targets.close()
        publishers = self._humans, self._persons
        self._humans = self._persons = None
        for publisher in publishers:
            if publisher is not None:
                publisher.close()

    def prepare_parameters(self, values: dict[str, Value]) -> None:
        """Read the targets of a new targets_file."""
        if 'targets_file' in values:
            self._prepared_targets = load_targets(values['targets_file'])

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Apply new values."""
        super().apply_parameters(values)
        tracker = self._attention_tracker
        tracker.angle = self.values['looking_at_person_angle']
        tracker.hysteresis = self.values['looking_at_person_hysteresis']
        tracker.dwell = self.values['looking_at_person_dwell']
        tracker.object_angle = self.values['looking_at_object_angle']
        if 'targets_file' in values:
            self._targets.targets = self._prepared_targets
        self._engagement.distance = self.values['engagement_distance']
        self._engagement.duration = self.values['engagement_duration']
        focus = self._focus_selector
        focus.rule, focus.hold = self.values['focus_rule'], self.values['focus_hold']
        focus.hysteresis = self.values['focus_hysteresis']

    def on_image(self, image: ReceivedImage) -> None:
        """Pair an image with its result."""
        if self.active:
            stamp = image.header.stamp
            self._synchronizer.add_image((stamp.sec, stamp.nanosec), image, image.nbytes)

    def _report_error(self, reason: str) -> None:
        self._failure = reason
        self.get_logger().error(f'gaze of an image skipped: {reason}')

    def _on_gaze(self, message: GazeArray) -> None:
        if self.active:
            self.stats.received()
            self.workers[0].submit(message)

    def _work(self, message: GazeArray) -> None:
        start = time.monotonic()
        header, frame, tracker = message.header, frame_gaze(message), self._attention_tracker
        stamp = min(1_000_000_000 * header.stamp.sec + header.stamp.nanosec, _MAX_STAMP)
        events = tracker.update(
            frame, stamp or None, time.monotonic_ns(), self._targets.placed(header))
        for event in events:
            self._attention.publish(attention_message(event, header))
        self._header, self.image_frame = header, header.frame_id
        self._people, self._events = len(tracker.present), self._events + len(events)
        levels = {} if self._persons is None else self._engagement.update(
            frame, tracker.present, tracker.now)
        # A wrong year in one stamp would make tf2 ignore the frames of the next images as too old.
        if self.values['publish_tf'] and tracker.now.believed:
            self._frames.publish(frame, header, levels)
        self._publish_objects()
        self._publish_focus(frame)
        self._publish_drawings(frame)
        self._faces.publish(frame, header)
        if self._humans is not None:
            self._synchronizer.add_result(
                (header.stamp.sec, header.stamp.nanosec),
                (frame, header, tracker.present, tracker.now, tracker.restart_count, levels))
        self.stats.processed(self.age(header), time.monotonic() - start)

    def _publish_objects(self) -> None:
        """Publish where people look at objects, with the last header."""
        if self._objects_topic.get_subscription_count():
            tracker = self._attention_tracker
            for attention in tracker.present:
                if attention.track_id in tracker.at_objects:
                    self._objects_topic.publish(attention_message(attention, self._header))

    def _publish_focus(self, frame: FrameGaze) -> None:
        """Publish whom to look at, with the last header."""
        tracker = self._attention_tracker
        if self._focus_topic.get_subscription_count():
            focus = self._focus_selector.update(frame, tracker.present, tracker.now)
            self._focus_topic.publish(focus_message(focus, self._header))
            self._focus_wanted = True
        elif self._focus_wanted:
            self._focus_wanted = False
            self._focus_selector.reset()

    def _publish_drawings(self, frame: FrameGaze) -> None:
        """Publish the markers and the annotations of an image, with the last header."""
        self._annotations.publish(frame, self._header, self._attention_tracker.present)
        if self._markers_topic.get_subscription_count():
            self._markers_topic.publish(
                self._markers.build(frame, self._header, self._attention_tracker.present))
        else:
            self._markers.reset()

    def _publish_humans(self, pair: tuple[Optional[ReceivedImage], _Result]) -> None:
        image, (frame, header, present, now, restart_count, levels) = pair
        self._humans.publish(frame, header, image and image.decode(), present, now, restart_count)
        if self._persons is not None:
            self._persons.publish(header, levels, {gaze.track_id for gaze in frame.gazes})
