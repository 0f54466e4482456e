"""The people node: what people attend to, and their frames, markers and REP-155 topics."""
import time
from typing import Optional

from gaze_ros.core.attention.attention import Attention, AttentionWatch
from gaze_ros.core.diagnostics.node_status import PeopleFacts
from gaze_ros.core.diagnostics.stage_stats import Stage
from gaze_ros.core.parameters import Value
from gaze_ros.core.pipeline.synchronizer import Companion
from gaze_ros.core.pipeline.worker import Worker
from gaze_ros.core.types import FrameGaze
from gaze_ros.msg import Attention as AttentionMessage
from gaze_ros.msg import GazeArray
from gaze_ros.ros.base.diagnostics import in_sim_time, inputs
from gaze_ros.ros.base.lifecycle_node import ConsumerNode
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import attention_message, frame_gaze
from gaze_ros.ros.comm.image_transport import Picture
from gaze_ros.ros.comm.intra_process import Reader
from gaze_ros.ros.process.shutdown import Stop
from gaze_ros.ros.publishers.markers import Markers
from gaze_ros.ros.publishers.tf_frames import Frames
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


class PeopleNode(ConsumerNode):
    """Makes of each picture's gaze what a robot and its tools take, in a thread of its own."""

    def __init__(self, stop: Stop) -> None:
        super().__init__('people', Stage('People'), stop)
        self._watch = AttentionWatch()
        self._humans = None

    def facts(self) -> PeopleFacts:
        """Return what is known beside the stage's figures."""
        return PeopleFacts(
            inputs(self, *self.readers), self._people, self._events,
            self.values['publish_tf'], self._markers_topic.get_subscription_count(),
            self._humans is not None, self.workers[0].queue_depth, self._failure,
            in_sim_time(self))

    def make(self) -> None:
        """Create the topics.

        :raises GazeRosError: if humans is set and hri_msgs is not installed.
        """
        if self.values['humans']:
            from gaze_ros.ros.publishers.ros4hri import Humans
            self._humans = Humans(self)
        self._attention = topics.publish(
            self, AttentionMessage, topics.ATTENTION, topics.reliable(EVENTS_KEPT, lasting=True))
        self._markers_topic = topics.publish(
            self, MarkerArray, topics.MARKERS, topics.reliable(10))
        self._frames = Frames(self)
        self.readers = [Reader(
            self, GazeArray, topics.GAZE, self._on_gaze, MutuallyExclusiveCallbackGroup())]
        if self._humans is not None:
            self.readers.append(self.listen())

    def begin(self) -> None:
        """Begin to work, with nobody there."""
        v = self.values
        self._watch = AttentionWatch(
            v['looking_at_person_angle'], v['looking_at_person_hysteresis'],
            v['looking_at_person_dwell'])
        self._markers, self._header = Markers(), Header()
        self._people, self._events, self._failure = 0, 0, ''
        self.workers = [Worker('people', self._work, self.stage, self._tell, v['queue_depth'])]
        if self._humans is not None:
            # On its own: cutting out faces must not keep events waiting.
            portrayer = Worker(
                'humans', self._portray, self.stage, self._tell, v['queue_depth'])
            self.workers.append(portrayer)
            self._companion: Companion[Picture, _Result] = Companion(portrayer.give)
        for worker in self.workers:
            worker.start()

    def part(self) -> None:
        """Tell that nobody is there any more, and drop the pictures."""
        self._companion = Companion(lambda pair: None)
        if events := self._watch.end():
            for event in events:
                self._attention.publish(attention_message(event, self._header))
            self._mark(FrameGaze(0, 0, '', []))
        if self._humans is not None:
            self._humans.clear()
        if events:
            # Their publisher may go next, and what it has not sent yet with it.
            self._attention.wait_for_all_acked(Duration(seconds=_LAST_WORD))

    def free(self) -> None:
        """Leave REP-155's topics."""
        humans, self._humans = self._humans, None
        if humans is not None:
            humans.close()

    def change(self, values: dict[str, Value]) -> None:
        """Take new values."""
        super().change(values)
        self._watch.angle = self.values['looking_at_person_angle']
        self._watch.hysteresis = self.values['looking_at_person_hysteresis']
        self._watch.dwell = self.values['looking_at_person_dwell']

    def on_image(self, picture: Picture) -> None:
        """Bring an image together with its result."""
        if self.active:
            stamp = picture.header.stamp
            self._companion.add_picture((stamp.sec, stamp.nanosec), picture, picture.nbytes)

    def _tell(self, reason: str) -> None:
        self._failure = reason
        self.get_logger().error(f'the gaze of a picture was left out: {reason}')

    def _on_gaze(self, message: GazeArray) -> None:
        if self.active:
            self.stage.received()
            self.workers[0].give(message)

    def _work(self, message: GazeArray) -> None:
        start = time.monotonic()
        header, frame = message.header, frame_gaze(message)
        stamp = min(1_000_000_000 * header.stamp.sec + header.stamp.nanosec, _LAST)
        # A publisher that stamps nothing still gets events.
        events = self._watch.update(frame, stamp or time.monotonic_ns())
        for event in events:
            self._attention.publish(attention_message(event, header))
        self._header = header
        self._people, self._events = len(self._watch.present), self._events + len(events)
        if self.values['publish_tf']:
            self._frames.publish(frame, header)
        self._mark(frame)
        if self._humans is not None:
            self._companion.add_result(
                (header.stamp.sec, header.stamp.nanosec),
                (frame, header, self._watch.present, self._watch.begun))
        self.stage.done(self.age(header), time.monotonic() - start)

    def _mark(self, frame: FrameGaze) -> None:
        """Publish the markers of a picture, that of the last header."""
        if self._markers_topic.get_subscription_count():
            self._markers_topic.publish(
                self._markers.of(frame, self._header, self._watch.present))
        else:
            self._markers.forget()

    def _portray(self, pair: tuple[Optional[Picture], _Result]) -> None:
        picture, (frame, header, present, begun) = pair
        self._humans.publish(frame, header, picture and picture.bgr(), present, begun)
