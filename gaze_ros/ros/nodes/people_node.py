"""The people node: what people attend to, and their frames, markers and REP-155 topics."""
import time
from typing import Optional

from gaze_ros.core.attention.attention import Attention, AttentionTracker
from gaze_ros.core.diagnostics.node_status import PeopleStatus
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.parameters import Value
from gaze_ros.core.pipeline.synchronizer import TimeoutSynchronizer
from gaze_ros.core.pipeline.worker import Worker
from gaze_ros.core.types import FrameGaze
from gaze_ros.msg import Attention as AttentionMessage
from gaze_ros.msg import GazeArray
from gaze_ros.ros.base.diagnostics import input_topics, uses_sim_time
from gaze_ros.ros.base.lifecycle_node import ImageConsumerNode
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import attention_message, frame_gaze
from gaze_ros.ros.comm.image_transport import ReceivedImage
from gaze_ros.ros.comm.intra_process import IntraProcessSubscription
from gaze_ros.ros.process.shutdown import Shutdown
from gaze_ros.ros.publishers.markers import MarkerBuilder
from gaze_ros.ros.publishers.tf_frames import TfFramePublisher
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.duration import Duration
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

#: Events that a late subscriber may ask for: what everybody does at present is in the last ones.
EVENTS_KEPT = 50

#: Seconds the last events may take to arrive.
_LAST_WORD = 0.3

#: The last stamp there is, nanoseconds: messages may hold 4 s more, and events could not.
_LAST = (1 << 31) * 1_000_000_000 - 1

#: What REP-155's part needs of a picture: its gaze, everybody's attention, and how often all began
#: anew.
_Result = tuple[FrameGaze, Header, list[Attention], int]


class PeopleNode(ImageConsumerNode):
    """Makes of each picture's gaze what a robot and its tools take, in a thread of its own."""

    def __init__(self, stop: Shutdown) -> None:
        super().__init__('people', StageStats('People'), stop)
        self._attention_tracker = AttentionTracker()
        self._humans = None

    def status(self) -> PeopleStatus:
        """Return what is known beside the stage's figures."""
        return PeopleStatus(
            inputs=input_topics(self, *self.managed_subscriptions), people=self._people,
            events=self._events, tf=self.values['publish_tf'],
            subscribers=self._markers_topic.get_subscription_count(),
            humans=self._humans is not None, queue_depth=self.workers[0].queue_depth,
            failure=self._failure, sim_time=uses_sim_time(self))

    def configure(self) -> None:
        """Create the topics.

        :raises GazeRosError: if humans is set and hri_msgs is not installed.
        """
        if self.values['humans']:
            from gaze_ros.ros.publishers.ros4hri import Ros4HriPublisher
            self._humans = Ros4HriPublisher(self)
        self._attention = topics.create_publisher(
            self, AttentionMessage, topics.ATTENTION, topics.reliable_qos(EVENTS_KEPT, lasting=True))
        self._markers_topic = topics.create_publisher(
            self, MarkerArray, topics.MARKERS, topics.reliable_qos(10))
        self._frames = TfFramePublisher(self)
        self.managed_subscriptions = [IntraProcessSubscription(
            self, GazeArray, topics.GAZE, self._on_gaze, MutuallyExclusiveCallbackGroup())]
        if self._humans is not None:
            self.managed_subscriptions.append(self.subscribe_to_images())

    def activate(self) -> None:
        """Begin to work, with nobody there."""
        v = self.values
        self._attention_tracker = AttentionTracker(
            v['looking_at_person_angle'], v['looking_at_person_hysteresis'],
            v['looking_at_person_dwell'])
        self._markers, self._header = MarkerBuilder(), Header()
        self._people, self._events, self._failure = 0, 0, ''
        self.workers = [Worker('people', self._work, self.stats, self._report_error, v['queue_depth'])]
        if self._humans is not None:
            # On its own: cutting out faces must not keep events waiting.
            portrayer = Worker(
                'humans', self._portray, self.stats, self._report_error, v['queue_depth'])
            self.workers.append(portrayer)
            self._synchronizer: TimeoutSynchronizer[ReceivedImage, _Result] = TimeoutSynchronizer(portrayer.submit)
        for worker in self.workers:
            worker.start()

    def deactivate(self) -> None:
        """Tell that nobody is there any more, and drop the pictures."""
        self._synchronizer = TimeoutSynchronizer(lambda pair: None)
        if events := self._attention_tracker.clear():
            for event in events:
                self._attention.publish(attention_message(event, self._header))
            self._mark(FrameGaze(0, 0, '', []))
        if self._humans is not None:
            self._humans.clear()
        if events:
            # Their publisher may go next, and what it has not sent yet with it.
            self._attention.wait_for_all_acked(Duration(seconds=_LAST_WORD))

    def cleanup(self) -> None:
        """Leave REP-155's topics."""
        humans, self._humans = self._humans, None
        if humans is not None:
            humans.close()

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Take new values."""
        super().apply_parameters(values)
        self._attention_tracker.angle = self.values['looking_at_person_angle']
        self._attention_tracker.hysteresis = self.values['looking_at_person_hysteresis']
        self._attention_tracker.dwell = self.values['looking_at_person_dwell']

    def on_image(self, picture: ReceivedImage) -> None:
        """Bring an image together with its result."""
        if self.active:
            stamp = picture.header.stamp
            self._synchronizer.add_image((stamp.sec, stamp.nanosec), picture, picture.nbytes)

    def _report_error(self, reason: str) -> None:
        self._failure = reason
        self.get_logger().error(f'the gaze of a picture was left out: {reason}')

    def _on_gaze(self, message: GazeArray) -> None:
        if self.active:
            self.stats.received()
            self.workers[0].submit(message)

    def _work(self, message: GazeArray) -> None:
        start = time.monotonic()
        header, frame = message.header, frame_gaze(message)
        stamp = min(1_000_000_000 * header.stamp.sec + header.stamp.nanosec, _LAST)
        # A publisher that stamps nothing still gets events.
        events = self._attention_tracker.update(frame, stamp or time.monotonic_ns())
        for event in events:
            self._attention.publish(attention_message(event, header))
        self._header = header
        self._people, self._events = len(self._attention_tracker.present), self._events + len(events)
        if self.values['publish_tf']:
            self._frames.publish(frame, header)
        self._mark(frame)
        if self._humans is not None:
            self._synchronizer.add_result(
                (header.stamp.sec, header.stamp.nanosec),
                (frame, header, self._attention_tracker.present, self._attention_tracker.restart_count))
        self.stats.processed(self.age(header), time.monotonic() - start)

    def _mark(self, frame: FrameGaze) -> None:
        """Publish the markers of a picture, that of the last header."""
        if self._markers_topic.get_subscription_count():
            self._markers_topic.publish(
                self._markers.build(frame, self._header, self._attention_tracker.present))
        else:
            self._markers.reset()

    def _portray(self, pair: tuple[Optional[ReceivedImage], _Result]) -> None:
        picture, (frame, header, present, begun) = pair
        self._humans.publish(frame, header, picture and picture.decode(), present, begun)
