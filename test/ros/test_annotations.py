"""Boxes, arrows and labels for Foxglove: in bags without foxglove_msgs, and as a topic with it."""
import math

from gaze_ros.bags.foxglove import ANNOTATIONS, DEFINITIONS
from gaze_ros.core.types import Face, FrameGaze, Gaze
from gaze_ros.msg import Attention
from gaze_ros.ros.comm import topics
from gaze_ros.ros.publishers.annotations import annotations_cdr
from helpers.gaze_feed import GazeFeed, RELIABLE
from helpers.processes import python_path, running, wait_until
import numpy as np
import pytest
from std_msgs.msg import Header

HEADER = Header(frame_id='cam_optical')
HEADER.stamp.sec, HEADER.stamp.nanosec = 7, 8

KNOWN = Gaze('f1', Face((100.4, 50, 80, 100), 0.9), pitch=0.0, yaw=math.pi / 6,
             looking_at_camera=True)
#: At the upper left corner and beyond it, with the direction of the face only.
HEAD = Gaze('f2', Face((-20, -10, 60, 60), 0.8), head_pitch=-math.pi / 2, head_yaw=0.0,
            head_stddev=0.1)
UNKNOWN = Gaze('f3', Face((500, 300, 40, 40), 0.7))


def in_a_bag(folder, *gazes):
    """Write annotations to a bag; return them as the mcap library decodes them."""
    pytest.importorskip('rosbags')
    from gaze_ros.bags.writing import BagWriter
    writer = BagWriter(folder / 'a.mcap', {'/gaze/annotations': ANNOTATIONS})
    writer.add('/gaze/annotations', 1, annotations_cdr(
        FrameGaze(640, 480, '', list(gazes)), HEADER))
    return decoded(writer.close(), '/gaze/annotations')[0]


def decoded(path, topic):
    """Return the messages of a topic, as the mcap library decodes them."""
    reading = pytest.importorskip('mcap_ros2.reader')
    schemas = pytest.importorskip('mcap.reader')
    with open(path, 'rb') as file:
        summary = schemas.make_reader(file).get_summary()
        kinds = {channel.topic: summary.schemas[channel.schema_id]
                 for channel in summary.channels.values()}
    assert (kinds[topic].name, kinds[topic].encoding) == (ANNOTATIONS, 'ros2msg')
    for name in DEFINITIONS:
        assert name == ANNOTATIONS or f'MSG: {name.replace("/msg/", "/")}'.encode() in (
            kinds[topic].data)
    return [message.ros_msg for message in reading.read_ros2_messages(str(path), [topic])]


def corners(annotation):
    return [(point.x, point.y) for point in annotation.points]


def test_bags_hold_boxes_arrows_and_labels_of_people(tmp_path):
    message = in_a_bag(tmp_path, KNOWN, HEAD, UNKNOWN)
    box, arrow, head_box, head, unknown_box = message.points
    assert [line.type for line in message.points] == [2, 3, 2, 3, 2]  # LINE_LOOP, LINE_STRIP
    assert corners(box) == [(100, 50), (180, 50), (180, 150), (100, 150)]
    assert corners(head_box) == [(0, 0), (40, 0), (40, 50), (0, 50)]
    assert corners(unknown_box) == [(500, 300), (540, 300), (540, 340), (500, 340)]
    # From the middle of the face, to the right by the sine of the yaw; its tip is symmetric.
    start, end, one, again, other = np.array(corners(arrow))
    assert start == pytest.approx((140.4, 100)) and end == pytest.approx((180.4, 100))
    assert (again == end).all() and one + other == pytest.approx((2 * 172.4, 200))
    assert corners(head)[1] == pytest.approx((10, 80))
    assert (box.outline_color.g > box.outline_color.r) and head.outline_color.r == pytest.approx(
        head.outline_color.b)
    assert [text.text for text in message.texts] == ['f1 p +0 y +30 deg', 'f2', 'f3']
    assert [(text.position.x, text.position.y > 50) for text in message.texts] == [
        (100, False), (0, True), (500, True)]
    for part in (*message.points, *message.texts):
        assert (part.timestamp.sec, part.timestamp.nanosec) == (7, 8)


def test_an_image_without_people_clears_the_last_ones(tmp_path):
    message = in_a_bag(tmp_path)
    assert not message.points and not message.texts and not message.circles


def test_subscribers_get_what_bags_hold(listener, tmp_path):
    foxglove = pytest.importorskip('foxglove_msgs.msg', reason='foxglove_msgs is in no package '
                                   'registry; build it from foxglove/foxglove-sdk for this')
    heard, gaze = [], Gaze(
        'f1', Face((100, 50, 80, 100), 0.9), pitch=0.0, yaw=0.5, looking_at_camera=True,
        direction=np.array([0, 0, -1.0]), origin=np.array([0, 0, 1.0]))
    feed = GazeFeed(listener.node)
    with running('people_node', *RELIABLE):
        feed.wait()
        listener.node.create_subscription(
            foxglove.ImageAnnotations, topics.ANNOTATIONS, heard.append, 10)
        feed.until(lambda: heard and heard[-1].points, gaze)
        message, count = heard[-1], feed.count
    recorded = in_a_bag(tmp_path, gaze)
    assert [corners(p) for p in message.points] == [corners(p) for p in recorded.points]
    assert [t.text for t in message.texts] == ['f1 p +0 y +29 deg: camera']
    assert 0 <= 1_700_000_000 + count // 10 - message.points[0].timestamp.sec < 10
    # None at the end, so that those of the last image do not stay.
    wait_until(lambda: not heard[-1].points, 10, 'no annotations')


def test_faces_as_detections(listener):
    vision = pytest.importorskip('vision_msgs.msg', reason='vision_msgs is in no package registry')
    heard = []
    feed = GazeFeed(listener.node)
    listener.node.create_subscription(vision.Detection2DArray, topics.FACES, heard.append, 10)
    near = Gaze('f1', Face((100, 50, 80, 100), 0.9), origin=np.array([0.1, 0.2, 1.5]))
    with running('people_node', *RELIABLE):
        feed.wait()
        feed.until(lambda: heard, near, HEAD)
    first, second = heard[-1].detections
    assert (first.id, second.id, heard[-1].header.frame_id) == ('f1', 'f2', 'cam_optical')
    box = first.bbox
    assert (box.center.position.x, box.center.position.y, box.size_x, box.size_y) == (
        140, 100, 80, 100)
    found, = first.results
    assert found.hypothesis.class_id == 'face'
    assert found.hypothesis.score == pytest.approx(0.9, abs=1e-6)
    assert (found.pose.pose.position.x, found.pose.pose.position.z) == (0.1, 1.5)
    assert math.isnan(second.results[0].pose.pose.position.x)


def test_without_these_packages_the_node_runs_without_these_topics(listener, tmp_path):
    for package in ('foxglove_msgs', 'vision_msgs'):
        (tmp_path / f'{package}.py').write_text("raise ImportError('hidden by a test')\n")
    feed, events = GazeFeed(listener.node), []
    listener.node.create_subscription(Attention, topics.ATTENTION, events.append, 10)
    with running('people_node', *RELIABLE, env={'PYTHONPATH': python_path(tmp_path)}):
        feed.wait()
        feed.until(lambda: events, KNOWN)
        names = {topic for topic, _ in listener.node.get_topic_names_and_types()}
    assert '/gaze/markers' in names and not names & {'/gaze/annotations', '/gaze/faces'}
