"""The people node: what people attend to, and their frames, markers and REP-155 topics."""
import math
import time
from typing import Optional

from gaze_ros.core.attention import Attention, AttentionWatch
from gaze_ros.core.faces import FrameGaze
from gaze_ros.core.matching import StampMatcher
from gaze_ros.core.parameters import NODES, Value
from gaze_ros.core.people_facts import PeopleFacts
from gaze_ros.core.stage import Stage
from gaze_ros.core.worker import Worker
from gaze_ros.msg import Attention as AttentionMessage
from gaze_ros.msg import GazeArray
from gaze_ros.ros import topics
from gaze_ros.ros.diagnostics import in_sim_time, inputs
from gaze_ros.ros.frames import Frames
from gaze_ros.ros.handover import Reader
from gaze_ros.ros.images import Picture, subscribe_images
from gaze_ros.ros.managed import ManagedNode
from gaze_ros.ros.markers import Markers
from gaze_ros.ros.messages import attention_message, frame_gaze, seconds
from gaze_ros.ros.stop import Stop
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

#: Events that a late subscriber may ask for: what everybody does at present is in the last ones.
EVENTS_KEPT = 50

#: Bytes of images kept until their gaze comes, for REP-155's pictures of faces.
_MEMORY = 256_000_000

#: What REP-155's part needs of a picture: its gaze and everybody's attention.
_Result = tuple[FrameGaze, Header, list[Attention]]


class PeopleNode(ManagedNode):
    """Makes of each picture's gaze what a robot and its tools take, in a thread of its own."""

    def __init__(self, stop: Stop) -> None:
        super().__init__('people', NODES['people'], Stage('People'), stop)
        self._watch = AttentionWatch()
        self._matcher: StampMatcher[Picture, _Result] = StampMatcher()
        self._worker: Optional[Worker[GazeArray]] = None
        self._humans = None
        self._portrayer: Optional[Worker[tuple[Optional[Picture], _Result]]] = None

    def facts(self) -> PeopleFacts:
        """Return what is known beside the stage's figures."""
        return PeopleFacts(
            inputs(self, *self.readers), self._people, self._events,
            self.values['publish_tf'], self._markers_topic.get_subscription_count(),
            self._humans is not None, self._worker.queue_depth, self._failure, in_sim_time(self))

    def make(self) -> None:
        """Create the topics.

        :raises GazeRosError: if humans is set and hri_msgs is not installed.
        """
        if self.values['humans']:
            from gaze_ros.ros.humans import Humans
            self._humans = Humans(self)
        self._attention = topics.publish(
            self, AttentionMessage, topics.ATTENTION, topics.reliable(EVENTS_KEPT, lasting=True))
        self._markers_topic = topics.publish(
            self, MarkerArray, topics.MARKERS, topics.reliable(10))
        self._frames = Frames(self)
        self.readers = [Reader(
            self, GazeArray, topics.GAZE, self._on_gaze, MutuallyExclusiveCallbackGroup())]
        if self._humans is not None:
            self.readers.append(self._listen())

    def begin(self) -> None:
        """Begin to work, with nobody there."""
        v = self.values
        self._watch = AttentionWatch(
            v['looking_at_person_angle'], v['looking_at_person_hysteresis'],
            v['looking_at_person_dwell'])
        self._markers, self._matcher = Markers(), StampMatcher()
        self._people, self._events, self._failure = 0, 0, ''
        self._worker = Worker(
            'people', self._work, self.stage, self._tell, v['queue_depth'])
        self._worker.start()
        if self._humans is not None:
            # On its own: cutting out faces must not keep events waiting.
            self._portrayer = Worker('humans', self._portray, Stage('Humans'), self._tell, '1')
            self._portrayer.start()

    def end(self) -> None:
        """Tell the threads to end."""
        for worker in self._workers:
            worker.end()

    def join(self, timeout: float) -> bool:
        """Wait for the threads, in seconds; return whether they have ended, or never began."""
        until = time.monotonic() + timeout
        return all(w.join(max(0.0, until - time.monotonic())) for w in self._workers)

    def free(self) -> None:
        """Take back what was told of people to REP-155's topics."""
        humans, self._humans, self._portrayer = self._humans, None, None
        if humans is not None:
            humans.close()

    def change(self, values: dict[str, Value]) -> None:
        """Take new values."""
        self._watch.angle = self.values['looking_at_person_angle']
        self._watch.hysteresis = self.values['looking_at_person_hysteresis']
        self._watch.dwell = self.values['looking_at_person_dwell']
        if 'queue_depth' in values and self._worker is not None:
            self._worker.set_queue_depth(values['queue_depth'])
        if 'image_transport' in values and self._humans is not None:
            self.readers.pop().end()
            self.readers.append(self._listen())

    def _listen(self) -> Reader:
        return subscribe_images(self, topics.IMAGE, self._on_image,
                                MutuallyExclusiveCallbackGroup(), self.values['image_transport'])

    @property
    def _workers(self) -> list[Worker]:
        return [w for w in (self._worker, self._portrayer) if w is not None]

    def _tell(self, reason: str) -> None:
        self._failure = reason
        self.stage.fail(reason)  # that of /humans counts elsewhere
        self.get_logger().error(f'the gaze of a picture was left out: {reason}')

    def _on_gaze(self, message: GazeArray) -> None:
        if self.active:
            self.stage.come()
            self._worker.give(message)

    def _work(self, message: GazeArray) -> None:
        start = time.monotonic()
        header, frame = message.header, frame_gaze(message)
        stamp = 1_000_000_000 * header.stamp.sec + header.stamp.nanosec
        # A publisher that stamps nothing still gets events.
        events = self._watch.update(frame, stamp or time.monotonic_ns())
        for event in events:
            self._attention.publish(attention_message(event, header))
        present = self._watch.present
        self._people, self._events = len(present), self._events + len(events)
        if self.values['publish_tf']:
            self._frames.publish(frame, header)
        if self._markers_topic.get_subscription_count():
            self._markers_topic.publish(self._markers.of(frame, header, present))
        else:
            self._markers.forget()
        if self._humans is not None:
            self._match(frame, header, present)
        age = 1e-9 * self.get_clock().now().nanoseconds - seconds(header.stamp)
        self.stage.done(age if stamp else math.nan, time.monotonic() - start)

    def _match(self, *result: object) -> None:
        """Bring a result together with its picture; where nobody publishes any, go without."""
        header = result[1]
        if not self.count_publishers(self.readers[-1].topic_name):
            self._portrayer.give((None, result))
        elif pair := self._matcher.add_result((header.stamp.sec, header.stamp.nanosec), result):
            self._portrayer.give(pair)

    def _on_image(self, picture: Picture) -> None:
        if self.active:
            stamp = picture.header.stamp
            self._matcher.capacity = max(16, min(300, _MEMORY // max(1, picture.nbytes)))
            if pair := self._matcher.add_picture((stamp.sec, stamp.nanosec), picture):
                self._portrayer.give(pair)

    def _portray(self, pair: tuple[Optional[Picture], _Result]) -> None:
        picture, (frame, header, present) = pair
        self._humans.publish(frame, header, picture and picture.bgr(), present)
