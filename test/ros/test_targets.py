"""Attention to objects: a file, TF and detections, as another node receives it."""
import math

from gaze_ros.core.types import Face, Gaze
from gaze_ros.msg import Attention
from gaze_ros.ros.comm import topics
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from helpers.gaze_feed import GazeFeed, RELIABLE
from helpers.processes import Process, python_path, running, wait_until
from helpers.ros_client import set_parameters
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

EYES = np.array([0.0, 0.0, 1.5])
CUP, SCREEN = np.array([-0.5, 0.3, 1.0]), np.array([0.0, 0.2, 0.3])
FILE = """
targets:
  - {name: cup, position: [-0.5, 0.3, 1.0], radius: 0.04}
  - name: screen
    frame: FRAME
    position: POSITION
    rpy: RPY
    size: [0.6, 0.4]
    resolution: [1920, 1280]
"""


def person(at):
    to = np.asarray(at, float) - EYES
    return Gaze('f1', Face((10, 10, 50, 50), 0.9), direction=to / np.linalg.norm(to), origin=EYES,
                range_stddev=0.05, stddev=0.1)


@pytest.fixture
def write(tmp_path):
    def write(name, frame='cam_optical', position='[0, 0.2, 0.3]', rpy='[0, 3.14159265, 0]'):
        path = tmp_path / name
        path.write_text(FILE.replace('FRAME', frame).replace('POSITION', position).replace(
            'RPY', rpy))
        return str(path)
    return write


def subscribe(listener):
    """Return the events, and what is published with each image."""
    events, objects = [], []
    for heard, topic, kept in (
            (events, topics.ATTENTION, True), (objects, topics.OBJECTS, False)):
        listener.node.create_subscription(
            Attention, topic, heard.append, topics.reliable_qos(100, transient_local=kept))
    return events, objects


def at(heard, name):
    return lambda: heard and heard[-1].target_id == name


def test_objects_in_the_frame_of_the_images(listener, write):
    feed = GazeFeed(listener.node)
    events, objects = subscribe(listener)
    with running('people_node', f'targets_file:={write("targets.yaml")}', *RELIABLE):
        feed.wait()
        feed.until(at(events, 'cup'), person(CUP))
        event = events[-1]
        assert event.target == Attention.OBJECT and math.isnan(event.pixel_x)
        assert 0.5 <= event.probability <= 1
        point = np.array([event.point.x, event.point.y, event.point.z])
        assert np.linalg.norm(point - CUP) == pytest.approx(0.04, abs=1e-3)
        # A quarter of the width to the right of its centre, for its viewer.
        feed.until(at(objects, 'screen'), person(SCREEN - (0.15, 0, 0)))
        last = objects[-1]
        assert (last.pixel_x, last.pixel_y) == pytest.approx((1440, 640), abs=1)
        assert last.point.x == pytest.approx(-0.15, abs=1e-3)
        feed.until(lambda: events[-1].target == Attention.ELSEWHERE, person((0, -1, 1)))
        assert math.isnan(events[-1].point.x) and math.isnan(events[-1].probability)
        # Without a file nothing is an object.
        assert set_parameters(listener, 'people', targets_file='') == ''
        sent, count = feed.count, [m.target_id for m in objects].count('cup')
        feed.until(lambda: feed.count >= sent + 20, person(CUP))
        assert [m.target_id for m in objects].count('cup') == count
        assert 'cannot be read' in set_parameters(listener, 'people', targets_file='/none.yaml')
    # GONE at the end.
    wait_until(lambda: events[-1].target == Attention.GONE, 10, 'the end')


def test_wrong_file_ends_the_node(tmp_path):
    path = tmp_path / 'wrong.yaml'
    path.write_text('targets: [{name: cup, radius: big}]')
    process = Process('people_node', f'targets_file:={path}')
    assert process.end(30) == 1
    assert "target 1 'cup': radius is 'big'" in process.text


def test_other_frame_without_tf_is_said(listener, write):
    try:
        import tf2_ros  # noqa: F401
        words = 'TF has no transform'
    except ImportError:
        words = 'tf2_ros is not installed'
    feed = GazeFeed(listener.node)
    events, _ = subscribe(listener)
    with running('people_node', f'targets_file:={write("t.yaml", "tablet")}', *RELIABLE) as node:
        feed.wait()
        feed.until(at(events, 'cup'), person(CUP))
        feed.until(lambda: events[-1].target == Attention.ELSEWHERE, person(SCREEN))
    assert node.text.count(f"targets in frame 'tablet' are not used at present: {words}") == 1


def test_other_frame_is_looked_up(listener, write):
    tf2_ros = pytest.importorskip('tf2_ros', reason='tf2_ros is in no package registry')
    feed = GazeFeed(listener.node)
    events, objects = subscribe(listener)
    broadcaster = tf2_ros.StaticTransformBroadcaster(listener.node)
    # The frame of the tablet has x out of its front and z up; its centre is where SCREEN is.
    broadcaster.sendTransform(TransformStamped(
        header=Header(frame_id='cam_optical'), child_frame_id='tablet', transform=Transform(
            translation=Vector3(x=0.0, y=0.2, z=0.3),
            rotation=Quaternion(x=0.5, y=-0.5, z=0.5, w=0.5))))
    path = write('t.yaml', 'tablet', '[0, 0, 0]', '[-1.57079633, 0, 1.57079633]')
    with running('people_node', f'targets_file:={path}', *RELIABLE):
        feed.wait()
        feed.until(at(objects, 'screen'), person(SCREEN - (0.15, 0, 0)))
    assert (objects[-1].pixel_x, objects[-1].pixel_y) == pytest.approx((1440, 640), abs=1)
    assert objects[-1].point.x == pytest.approx(-0.15, abs=1e-3)


def test_detected_objects_are_targets(listener):
    vision = pytest.importorskip('vision_msgs.msg', reason='vision_msgs is in no package registry')
    feed = GazeFeed(listener.node)
    events, objects = subscribe(listener)
    publisher = listener.node.create_publisher(vision.Detection3DArray, 'boxes', 10)
    detection = vision.Detection3D()
    detection.bbox.center.position.x, detection.bbox.center.position.y = CUP[0], CUP[1]
    detection.bbox.center.position.z = CUP[2]
    detection.bbox.size.x = detection.bbox.size.y = detection.bbox.size.z = 0.1
    hypothesis = vision.ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = 'bottle', 0.8
    detection.results = [hypothesis]
    broken = vision.Detection3D()
    broken.bbox.center.position.x = math.nan
    boxes = vision.Detection3DArray(
        header=Header(frame_id='cam_optical'), detections=[broken, detection])

    def looked_at():
        publisher.publish(boxes)
        return at(objects, 'bottle')()

    with running('people_node', 'detections:=boxes', *RELIABLE):
        feed.wait()
        feed.until(looked_at, person(CUP))
        assert np.hypot(objects[-1].point.x - CUP[0], objects[-1].point.y - CUP[1]) < 0.06
        # Without further messages it is no object.
        feed.until(lambda: events[-1].target == Attention.ELSEWHERE, person(CUP))


def test_objects_detected_in_the_image_have_the_range_of_the_depth_image(listener):
    vision = pytest.importorskip('vision_msgs.msg', reason='vision_msgs is in no package registry')
    feed = GazeFeed(listener.node)
    events, objects = subscribe(listener)
    boxes, depths, infos = (
        listener.node.create_publisher(kind, topic, topics.reliable_qos(10)) for kind, topic in (
            (vision.Detection2DArray, 'boxes'), (Image, topics.DEPTH),
            (CameraInfo, topics.CAMERA_INFO)))
    # CUP, at a depth of 1 m, is at 20, 420 of this camera.
    info = CameraInfo(width=640, height=480, k=[600.0, 0, 320, 0, 600, 240, 0, 0, 1])
    detection = vision.Detection2D(id='cup1')
    detection.bbox.center.position.x, detection.bbox.center.position.y = 20.0, 420.0
    detection.bbox.size_x = detection.bbox.size_y = 30.0
    broken = vision.Detection2D()
    broken.bbox.center.position.x = math.nan
    pixels = np.full((480, 640), 3000, np.uint16)
    pixels[395:445, :45] = 1000

    def looked_at():
        header = Header(frame_id='cam_optical', stamp=feed.send(person(CUP)))
        infos.publish(info)
        depths.publish(Image(header=header, width=640, height=480, step=1280, encoding='16UC1',
                             data=pixels.tobytes()))
        boxes.publish(vision.Detection2DArray(header=header, detections=[broken, detection]))
        return at(objects, 'cup1')()

    with running('people_node', 'detections_2d:=boxes', *RELIABLE) as node:
        feed.wait()
        feed.until(lambda: 'they need a calibrated camera' in node.text or boxes.publish(
            vision.Detection2DArray()), person(CUP))
        feed.until(looked_at, person(CUP))
    last = objects[-1]
    assert np.linalg.norm(np.array([last.point.x, last.point.y, last.point.z]) - CUP) < 0.05


@pytest.mark.parametrize('name', ['detections', 'detections_2d'])
def test_detections_without_vision_msgs_end_the_node_with_a_remedy(tmp_path, name):
    (tmp_path / 'vision_msgs.py').write_text("raise ImportError('hidden by a test')\n")
    process = Process(
        'people_node', f'{name}:=boxes', env={'PYTHONPATH': python_path(tmp_path)})
    assert process.end(30) == 1
    assert f"{name} 'boxes' needs the package vision_msgs" in process.text
