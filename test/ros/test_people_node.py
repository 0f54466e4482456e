"""The people node alone, fed by the test."""
import time

from builtin_interfaces.msg import Time
from gaze_ros.core.types import Face, FrameGaze, Gaze
from gaze_ros.msg import Attention, Focus, GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import bgr_to_image, gaze_array
from gaze_ros.ros.nodes.people_node import EVENTS_KEPT
from helpers.processes import running, wait_until
from helpers.ros_client import call_service
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

A, B = np.array([-0.4, 0.0, 2.0]), np.array([0.4, 0.1, 2.2])


def person(track_id, position, direction, at_camera=False):
    direction = np.array(direction, float)
    return Gaze(track_id, Face((10, 10, 50, 50), 0.9), 0.0, 0.5, 0.0, 0.5, 1.0,
                direction / np.linalg.norm(direction), at_camera, position, 0.1,
                np.array([0.5, -0.5, -0.5, 0.5]))


#: Every image counts here.
RELIABLE = ('queue_depth:=4', 'qos_overrides./gaze.subscription.reliability:=reliable',
            'qos_overrides./gaze.subscription.depth:=20')

FACING = (person('f1', A, B - A), person('f2', B, A - B))


class Feed:
    """Publishes gaze, 10 images per second by their stamps."""

    def __init__(self, listener):
        self.node = listener.node
        self.count = 0
        #: Stamps of the images that the node has processed: it publishes the focus of each.
        self._processed, self._subscribed = [], False
        self._gaze = self.node.create_publisher(GazeArray, topics.GAZE, topics.reliable_qos(10))

    def subscribe(self, kind, topic, depth=100, transient_local=False):
        heard = []
        self.node.create_subscription(
            kind, topic, heard.append, topics.reliable_qos(depth, transient_local))
        return heard

    def wait(self):
        """Send images without people until one is processed, and go on at a full second."""
        if not self._subscribed:
            # Last: a node that publishes on it has discovered the other subscriptions, too.
            self.node.create_subscription(
                Focus, topics.FOCUS, lambda m: self._processed.append(m.header.stamp),
                topics.reliable_qos(100))
            self._subscribed = True
        wait_until(self._gaze.get_subscription_count, 20, 'a subscription to gaze')
        sent = []

        def processed():
            sent.append(self.send(waits=False))
            return any(stamp in self._processed for stamp in sent)

        wait_until(processed, 30, 'that an image is processed')
        self.count += -self.count % 10

    def stamp(self, after=0):
        """Return the stamp of the image ``after`` images after the last one sent."""
        count = self.count + after
        return Time(sec=1_700_000_000 + count // 10, nanosec=count % 10 * 100_000_000 + 123)

    def send(self, *gazes, times=1, waits=True):
        """Send images; wait until each is processed, so that the node drops none."""
        for _ in range(times):
            self.count += 1
            header = Header(frame_id='cam_optical', stamp=self.stamp())
            self._gaze.publish(gaze_array(FrameGaze(640, 480, 'x', list(gazes)), header))
            if waits:
                wait_until(lambda: header.stamp in self._processed, 20,  # noqa: B023
                           'that the image is processed')
            else:
                time.sleep(0.02)
        return header.stamp


@pytest.fixture
def feed(listener):
    return Feed(listener)


def test_events_frames_and_markers_of_two_people_in_eye_contact(feed):
    events = feed.subscribe(Attention, topics.ATTENTION)
    frames = feed.subscribe(TFMessage, '/tf')
    markers = feed.subscribe(MarkerArray, topics.MARKERS)
    with running('people_node', *RELIABLE):
        feed.wait()
        first = feed.send(*FACING)
        feed.send(*FACING, times=6)
        wait_until(lambda: len(events) == 2, 10, 'two events')
        assert {(e.track_id, e.target, e.target_id, e.mutual) for e in events} == {
            ('f1', Attention.PERSON, 'f2', True), ('f2', Attention.PERSON, 'f1', True)}
        for event in events:
            assert event.since == first
            assert event.header.frame_id == 'cam_optical'
            # The dwell of 0.3 s, at 10 images per second.
            assert event.header.stamp.nanosec - first.nanosec == 300_000_000
        last = feed.send(person('f1', A, (0, 0, -1), True), times=15)
        wait_until(lambda: len(events) == 5, 10, 'three more')
        assert [(e.track_id, e.target, e.mutual) for e in events[2:]] == [
            ('f1', Attention.CAMERA, False), ('f2', Attention.PERSON, False),
            ('f2', Attention.GONE, False)]
        wait_until(
            lambda: markers[-1].markers[0].header.stamp == last, 10, 'the last markers')
    assert len(frames) >= 20
    assert [t.child_frame_id for t in frames[0].transforms] == [
        'face_f1', 'gaze_f1', 'face_f2', 'gaze_f2']
    assert frames[0].transforms[0].header.stamp == first
    assert frames[-1].transforms[0].header.stamp == last
    assert [len(m.transforms) for m in frames[-10:]] == [2] * 10
    wait_until(lambda: events[-1].target == Attention.GONE, 10, 'that all people are gone')
    assert [(e.track_id, e.header.stamp) for e in events[5:]] == [('f1', last)]

    def kinds():
        return [{(m.ns, m.action) for m in array.markers} for array in markers]

    wait_until(lambda: kinds()[-1] == {(ns, Marker.DELETE) for ns in ('face', 'gaze', 'id')}, 10,
               'that all markers are deleted')
    kinds = kinds()
    assert ('mutual', Marker.ADD) in set.union(*kinds)
    assert kinds[-2] == {(ns, Marker.ADD) for ns in ('face', 'gaze', 'id')}
    assert {('mutual', Marker.DELETE), ('face', Marker.DELETE)} <= set.union(*kinds)


def test_late_subscriber_gets_the_last_events(feed):
    with running('people_node', *RELIABLE):
        feed.wait()
        info, = feed.node.get_publishers_info_by_topic(topics.ATTENTION)
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        assert info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        feed.send(*FACING, times=6)
        time.sleep(0.3)
        late = feed.subscribe(Attention, topics.ATTENTION, EVENTS_KEPT, transient_local=True)
        wait_until(lambda: len(late) == 2, 10, 'the last events')
        assert all(event.mutual for event in late)


def test_parameters_apply_at_once(feed):
    events, frames = feed.subscribe(Attention, topics.ATTENTION), feed.subscribe(TFMessage, '/tf')

    def change(**values):
        request = SetParameters.Request(parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])
        return [r.successful for r in call_service(
            feed.node, SetParameters, '/people/set_parameters', request).results]

    with running('people_node', 'looking_at_person_dwell:=5.0', *RELIABLE):
        feed.wait()
        feed.send(*FACING, times=10)
        wait_until(lambda: frames, 10, 'frames')
        assert change(publish_tf=False, looking_at_person_dwell=0.2) == [True, True]
        time.sleep(0.2)
        assert not events
        frames.clear()
        feed.send(*FACING, times=2)
        wait_until(lambda: len(events) == 2, 10, 'events after the shorter dwell')
        assert not frames
        # Off by 10 degrees: beyond an angle of 0.1 rad and the hysteresis.
        assert change(looking_at_person_angle=0.05, looking_at_person_hysteresis=0.0) == [
            True, True]
        aside = person('f1', A, (B - A) + np.array([0, 0.2, 0]))
        feed.send(aside, FACING[1], times=4)
        wait_until(lambda: len(events) == 4, 10, 'events after the smaller angle')
        assert {e.track_id: e.target for e in events[2:]} == {
            'f1': Attention.ELSEWHERE, 'f2': Attention.PERSON}
        assert change(looking_at_person_angle=4.0, humans=True) == [False, False]
        assert change(queue_depth='2', image_transport='compressed') == [True, True]


@pytest.mark.parametrize('published', ['published', 'not published', 'not received'])
def test_humans_get_the_image_of_their_own_gaze(feed, published):
    hri = pytest.importorskip('hri_msgs.msg', reason='hri_msgs is in no package registry')
    tracked = feed.subscribe(hri.IdsList, '/humans/faces/tracked')
    gazing = feed.subscribe(hri.Gaze, '/humans/interactions/gazing')
    crops = feed.subscribe(Image, '/humans/faces/f1/cropped')
    more = () if published == 'published' else (
        'qos_overrides./camera/image_raw.subscription.reliability:=reliable',)
    if published != 'not published':
        images = feed.node.create_publisher(Image, topics.IMAGE, topics.default_qos())
    looking = person('f1', A, (0, 0, -1), True)
    with running('people_node', 'humans:=true', 'image_transport:=compressed', *RELIABLE, *more):
        feed.wait()
        request = SetParameters.Request(parameters=[
            Parameter('image_transport', value='raw').to_parameter_msg()])
        assert call_service(feed.node, SetParameters, '/people/set_parameters', request
                            ).results[0].successful
        time.sleep(0.5)
        stamp = feed.send(looking)
        first = feed.count
        for grey in range(10, 90, 10):
            if published != 'not published':
                header = Header(stamp=feed.stamp(1), frame_id='cam_optical')
                images.publish(bgr_to_image(np.full((480, 640, 3), grey, np.uint8), header))
                time.sleep(0.1)
            stamp = feed.send(looking)
            time.sleep(0.1)
        wait_until(lambda: tracked and tracked[-1].header.stamp == stamp, 10, 'the last')
        wait_until(lambda: gazing and gazing[-1].header.stamp == stamp, 10, 'the last')
        assert list(tracked[-1].ids) == ['f1']
    assert (gazing[-1].sender, gazing[-1].receiver) == ('p_f1', '')
    assert list(tracked[-1].ids) == [], 'no empty list at shutdown'
    if published == 'published':
        assert len(crops) >= 2
        for crop in crops:
            # The n-th image has grey value 10 n, and the stamp of the n-th gaze after the first.
            count = 10 * (crop.header.stamp.sec - 1_700_000_000) + round(
                crop.header.stamp.nanosec / 1e8)
            assert bytes(crop.data[:3]) == bytes([10 * (count - first)] * 3)
    else:
        assert not crops


def test_deactivated_node_publishes_nothing_and_restarts_without_people(feed):
    events, frames = feed.subscribe(Attention, topics.ATTENTION), feed.subscribe(TFMessage, '/tf')
    markers = feed.subscribe(MarkerArray, topics.MARKERS)

    def gone(*ids):
        wait_until(lambda: [(e.track_id, e.target) for e in events[-len(ids):]] == [
            (track_id, Attention.GONE) for track_id in ids], 10, f'that {ids} are gone')

    def change(transition):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert call_service(feed.node, ChangeState, '/people/change_state', request).success

    with running('people_node', *RELIABLE):
        feed.wait()
        feed.send(*FACING, times=5)
        wait_until(lambda: len(events) == 2, 10, 'two events')
        wait_until(lambda: markers, 10, 'markers')
        last = feed.stamp()
        change(Transition.TRANSITION_DEACTIVATE)
        gone('f1', 'f2')
        assert all(e.since == e.header.stamp == last for e in events[2:])
        wait_until(lambda: {m.action for m in markers[-1].markers} == {Marker.DELETE}, 10,
                   'that all markers are deleted')
        late = feed.subscribe(Attention, topics.ATTENTION, EVENTS_KEPT, transient_local=True)
        wait_until(lambda: len(late) == 4, 10, 'the last events')
        assert [e.target for e in late[2:]] == [Attention.GONE] * 2
        count = len(frames)
        feed.send(person('f1', A, (0, 0, -1), True), times=5, waits=False)
        time.sleep(0.5)
        assert len(events) == 4 and len(frames) == count
        change(Transition.TRANSITION_ACTIVATE)
        feed.send(*FACING, times=5)
        wait_until(lambda: len(events) == 6, 10, 'the same events again')
        assert [e.track_id for e in events[4:]] == ['f1', 'f2']
        assert all(e.mutual for e in events[:2] + events[4:])
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
            change(transition)
            gone('f1', 'f2')
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            change(transition)
        feed.wait()
        feed.send(*FACING, times=5)
        wait_until(lambda: len(events) == 10, 10, 'and once more')
    gone('f1', 'f2')
    assert len(events) == 12
