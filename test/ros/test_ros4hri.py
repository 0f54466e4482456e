"""/humans as another node receives it, with the real hri_msgs."""
from contextlib import contextmanager

from gaze_ros.core.attention.attention import Attention, Target
from gaze_ros.core.geometry.crops import aligned_face_crop, face_crop
from gaze_ros.core.stream_time import Instant
from gaze_ros.core.types import Face, FrameGaze, Gaze
from gaze_ros.ros.comm.conversions import image_to_bgr
from helpers.processes import wait_until
import numpy as np
import pytest
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

hri = pytest.importorskip(
    'hri_msgs.msg', reason='hri_msgs is in no package registry; build ros4hri/hri_msgs for this')

BGR = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
POINTS = np.array([[120, 130], [160, 140], [140, 160], [125, 180], [150, 185]], float)
FACE = Face((100, 100, 80, 110), 0.9, POINTS)
OTHER = Face((400, 200, 60, 60), 0.75)
RELIABLE = QoSProfile(depth=100)  # as libhri subscribes


def header(stamp: float) -> Header:
    result = Header(frame_id='front_optical')
    result.stamp.sec, result.stamp.nanosec = int(stamp), round(stamp % 1 * 1e9)
    return result


def instant(time: float) -> Instant:
    return Instant(round(1e9 * time), round(1e9 * time))


def frame(**faces: Face) -> FrameGaze:
    return FrameGaze(640, 480, 'adas', [Gaze(i, face) for i, face in faces.items()])


class HumansSubscriber:
    """Subscribes to /humans with the QoS of libhri."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.tracked = self.subscribe(hri.IdsList, '/humans/faces/tracked')
        self.gazing = self.subscribe(hri.Gaze, '/humans/interactions/gazing')

    def subscribe(self, kind: type, topic: str) -> list:
        heard: list = []
        self._node.create_subscription(kind, topic, heard.append, RELIABLE)
        return heard

    def face(self, track_id: str, folder: str = '/humans/faces') -> dict[str, list]:
        return {name: self.subscribe(kind, f'{folder}/{track_id}/{name}') for name, kind in (
            ('roi', hri.NormalizedRegionOfInterest2D),
            ('landmarks', hri.FacialLandmarks), ('cropped', Image), ('aligned', Image))}


@contextmanager
def humans(*arguments: str):
    from gaze_ros.ros.publishers.ros4hri import Ros4HriPublisher
    node = Node('people', cli_args=['--ros-args', *arguments])
    publisher = Ros4HriPublisher(node)
    try:
        yield publisher, node
    finally:
        publisher.close()
        node.destroy_node()


def publishers(node: Node, ending: str = '') -> set[str]:
    """Return the topics below /humans which the node publishes."""
    names = {publisher.topic_name for publisher in node.publishers}
    return {name for name in names if '/humans/' in name and name.endswith(ending)}


def matched(node: Node, count: int) -> None:
    """Wait until so many of its topics below /humans are subscribed to."""
    wait_until(lambda: count == sum(
        p.get_subscription_count() > 0 for p in node.publishers if '/humans/' in p.topic_name),
        10, f'{count} subscribed topics')


def test_faces_are_published_with_all_known_data(listener):
    heard = HumansSubscriber(listener.node)
    f1, f2 = heard.face('f1'), heard.face('front_f2')
    with humans() as (publisher, node):
        seen, head = frame(f1=FACE, front_f2=OTHER), header(12.5)
        publisher.publish(seen, head, None, [], instant(12.5))  # creates the topics
        matched(node, 10)
        for heap in (heard.tracked, *f1.values(), *f2.values()):
            heap.clear()
        publisher.publish(seen, head, BGR, [], instant(12.6))
        wait_until(lambda: f1['aligned'] and f2['cropped'], 10, 'images of both')
        wait_until(lambda: heard.tracked and f1['landmarks'] and f2['roi'], 10, 'the rest')
    listed = heard.tracked[0]
    assert (listed.header, listed.ids) == (head, ['f1', 'front_f2'])
    roi = f1['roi'][0]
    assert roi.header == head
    assert (roi.xmin, roi.ymin, roi.xmax, roi.ymax, roi.c) == pytest.approx(
        (100 / 640, 100 / 480, 180 / 640, 210 / 480, 0.9))
    marks = f1['landmarks'][0]
    assert (marks.header, marks.width, marks.height) == (head, 640, 480)
    names = hri.FacialLandmarks
    known = [names.RIGHT_PUPIL, names.LEFT_PUPIL, names.NOSE, names.MOUTH_OUTER_RIGHT,
             names.MOUTH_OUTER_LEFT]
    for at, (x, y) in zip(known, POINTS.tolist()):
        point = marks.landmarks[at]
        assert (point.x, point.y, point.c) == pytest.approx((x / 640, y / 480, 0.9))
    assert len(marks.landmarks) == 70
    assert not any(p.x or p.y or p.c for i, p in enumerate(marks.landmarks) if i not in known)
    for heap, image in (
            (f1['cropped'], face_crop(BGR, (100, 100, 80, 110), 128)),
            (f1['aligned'], aligned_face_crop(
                BGR, (100, 100, 80, 110), POINTS[0], POINTS[1], 128)),
            (f2['cropped'], face_crop(BGR, (400, 200, 60, 60), 128))):
        assert len(heap) == 1
        assert (heap[0].header, heap[0].encoding) == (head, 'bgr8')
        np.testing.assert_array_equal(image_to_bgr(heap[0]), image)
    # Without landmarks a face cannot be aligned.
    assert not f2['landmarks'] and not f2['aligned']


def test_face_at_the_border_is_clipped_to_the_image(listener):
    heard = HumansSubscriber(listener.node)
    f1, f2 = heard.face('f1'), heard.face('f2')
    half = Face((600, 440, 80, 80), 0.9, np.array(
        [[620, 450], [650, 450], [630, 470], [620, 490], [650, 490]], float))
    beyond = Face((700, 440, 80, 80), 0.9)
    seen = frame(f1=half, f2=beyond)
    with humans() as (publisher, node):
        publisher.publish(seen, header(1), None, [], instant(1))
        matched(node, 10)
        publisher.publish(seen, header(2), BGR, [], instant(2))
        wait_until(lambda: f1['aligned'] and f1['landmarks'] and f1['roi'] and f2['roi'], 10,
                   'a face')
        roi, marks = f1['roi'][-1], f1['landmarks'][-1].landmarks
        assert (roi.xmin, roi.ymin, roi.xmax, roi.ymax) == pytest.approx(
            (600 / 640, 440 / 480, 1, 1))
        assert [p.c for p in marks if p.c] == pytest.approx([0.9, 0.9])  # an eye and the nose
        np.testing.assert_array_equal(
            image_to_bgr(f1['cropped'][-1]), face_crop(BGR, (600, 440, 40, 40), 128))
        publisher.publish(seen, header(3), BGR, [], instant(3))
        # With the next image, unwanted messages would have arrived.
        wait_until(lambda: len(f1['aligned']) == 2, 10, 'the next image')
    roi = f2['roi'][-1]
    assert (roi.xmin, roi.xmax) == (1, 1)
    assert not f2['cropped'] and not f2['aligned']


def test_face_keeps_its_topics_through_gaps_until_it_is_gone(listener):
    heard = HumansSubscriber(listener.node)
    with humans() as (publisher, node):
        matched(node, 2)
        publisher.publish(frame(f1=FACE, f2=OTHER), header(10), None, [], instant(10))
        roi = next(p for p in node.publishers if p.topic_name.endswith('f1/roi'))
        publisher.publish(frame(f2=OTHER), header(10.5), None, [], instant(10.5))
        publisher.publish(frame(f1=FACE), header(11), None, [], instant(11))
        publisher.publish(frame(), header(10.96), None, [], instant(11))  # an exchanged image
        assert roi in node.publishers
        publisher.publish(frame(f1=FACE), header(11.6), None, [], instant(11.6))
        assert publishers(node, '/roi') == {'/humans/faces/f1/roi'}
        assert len(publishers(node)) == 6
        publisher.publish(frame(), header(1), None, [], instant(13))  # a bag that starts again
        assert not publishers(node, '/roi')
        wait_until(lambda: len(heard.tracked) == 6, 10, 'six lists')
    assert [m.ids for m in heard.tracked[:6]] == [
        *[['f1', 'f2']] * 4, ['f1'], []]


def test_reused_id_is_another_face(listener):
    heard = HumansSubscriber(listener.node)
    with humans() as (publisher, node):
        matched(node, 2)
        publisher.publish(frame(f1=FACE), header(10), None, [], instant(10), 1)
        roi = next(p for p in node.publishers if p.topic_name.endswith('f1/roi'))
        publisher.publish(frame(f1=FACE, f2=OTHER), header(11.5), None, [], instant(11.5), 2)
        assert roi not in node.publishers
        assert publishers(node, '/roi') == {'/humans/faces/f1/roi', '/humans/faces/f2/roi'}
        wait_until(lambda: len(heard.tracked) >= 3, 10, 'three lists')
    assert [m.ids for m in heard.tracked[:3]] == [['f1'], [], ['f1', 'f2']]


@pytest.mark.parametrize('step', [0.4, 2.0])
def test_topics_of_gone_faces_leave_nothing_behind(step):
    with humans() as (publisher, node):
        before = len(node.default_callback_group.entities)
        for i in range(200):
            publisher.publish(
                frame(**{f'f{i}': FACE}), header(5 + step * i), None, [],
                instant(5 + step * i))
            assert len(publishers(node, '/roi')) <= 3
        assert len(node.default_callback_group.entities) == before
        assert not any('humans/faces/f' in name for name in node.get_parameters_by_prefix(''))
    assert not publishers(node)


def test_gazing_is_published_per_image_with_an_empty_receiver_for_the_robot(listener):
    heard = HumansSubscriber(listener.node)
    attentions = [
        Attention('f1', Target.CAMERA, 0), Attention('f2', Target.PERSON, 0, 'f1'),
        Attention('f3', Target.ELSEWHERE, 0), Attention('f4', Target.UNKNOWN, 0)]
    with humans() as (publisher, node):
        matched(node, 2)
        for stamp in (1, 2):
            publisher.publish(frame(), header(stamp), None, attentions, instant(stamp))
        publisher.publish(frame(), header(3), None, [
            Attention('f1', Target.PERSON, 0, 'f2', True),
            Attention('f2', Target.PERSON, 0, 'f1', True)], instant(3))
        wait_until(lambda: len(heard.gazing) == 6, 10, 'six messages')
    gazing = [(m.header.stamp.sec, m.sender, m.receiver) for m in heard.gazing]
    assert gazing == [(1, 'f1', ''), (1, 'f2', 'f1'), (2, 'f1', ''), (2, 'f2', 'f1'),
                      (3, 'f1', 'f2'), (3, 'f2', 'f1')]


def test_remapping_the_list_includes_the_topics_of_the_faces(listener):
    heard = HumansSubscriber(listener.node)
    roi = heard.face('f1', '/front/humans/faces')['roi']
    with humans('-r', '/humans/faces/tracked:=/front/humans/faces/tracked') as (publisher, node):
        publisher.publish(frame(f1=FACE), header(1), None, [], instant(1))
        matched(node, 5)
        publisher.publish(frame(f1=FACE), header(2), None, [], instant(2))
        wait_until(lambda: roi, 10, 'a region')
    assert not heard.tracked


def test_two_cameras_that_share_the_list_are_reported(listener, capfd):
    HumansSubscriber(listener.node)
    with humans() as (publisher, _), humans() as (second, node):
        wait_until(lambda: node.count_publishers('/humans/faces/tracked') == 2, 10, 'discovery')
        second.publish(frame(f1=FACE), header(1), None, [], instant(1))
        second.publish(frame(f1=FACE, f2=FACE), header(2), None, [], instant(2))
    stderr = capfd.readouterr().err
    assert stderr.count('another node publishes /humans/faces/tracked') == 1
    assert '/humans/faces/tracked:=/front/humans/faces/tracked' in stderr


@pytest.mark.parametrize('track_id', ['1f', 'f 1', ''])
def test_id_that_cannot_be_a_topic_name_skips_its_image_and_leaves_nothing(track_id):
    with humans() as (publisher, node):
        for stamp in range(20):
            with pytest.raises(InvalidTopicNameException):
                publisher.publish(
                    frame(**{f'f{stamp}': FACE, track_id: FACE}), header(stamp), BGR, [],
                    instant(stamp))
        assert len(publishers(node, '/roi')) <= 2
        publisher.publish(frame(f1=FACE), header(30), BGR, [], instant(30))
        assert len(publishers(node, '/roi')) == 1
