"""Pictures on topics: in what form they come, how often, and whose memory they are."""
from builtin_interfaces.msg import Time
import cv2
from gaze_ros.core.sources.sample import Sample
from gaze_ros.ros.comm import image_transport, topics
from gaze_ros.ros.comm.conversions import bgr_to_compressed, compressed_to_bgr
from gaze_ros.ros.comm.image_transport import ImagePublisher, subscribe_images
from helpers.processes import wait_until
from helpers.ros_client import Listener
import numpy as np
import pytest
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header


def header(number: int) -> Header:
    return Header(stamp=Time(sec=7, nanosec=number), frame_id='camera_optical')


@pytest.fixture
def camera(ros):
    node = Node('test_camera')
    yield node
    node.destroy_node()


@pytest.fixture
def reader(ros):
    """Return a listener, and subscriptions to pictures that its node makes."""
    listener = Listener('test_reader')
    readers = []

    def subscribe(topic, transport='raw'):
        got = []
        readers.append(subscribe_images(
            listener.node, topic, got.append, MutuallyExclusiveCallbackGroup(), transport))
        return got

    yield listener, subscribe
    for one in readers:
        one.end()
    listener.close()


@pytest.fixture(scope='module')
def picture():
    source = Sample(320, 240)
    return source.read()


def test_within_a_process_the_picture_itself_is_handed_over(camera, reader, picture, monkeypatch):
    _, subscribe = reader
    got = subscribe('here')
    publisher = ImagePublisher(camera, 'here')
    wait_until(lambda: publisher.get_subscription_count() == 1, 10, 'discovery')
    monkeypatch.setattr(
        image_transport, 'bgr_to_image', lambda *_: pytest.fail('nobody else listens'))
    publisher.publish(picture, header(1))
    assert len(got) == 1  # at once, in this thread
    assert got[0].bgr() is picture
    assert got[0].header.stamp.nanosec == 1
    assert got[0].nbytes == picture.nbytes


def test_who_draws_gets_memory_of_his_own(camera, reader, picture):
    _, subscribe = reader
    got = subscribe('drawn')
    publisher = ImagePublisher(camera, 'drawn')
    before = picture.copy()
    publisher.publish(picture, header(1))
    own = got[0].own_bgr()
    own[:] = 0
    assert np.array_equal(picture, before)


def test_others_get_a_message_and_this_process_gets_the_picture_once(camera, reader, picture):
    listener, subscribe = reader
    got = subscribe('both')
    heard = listener.subscribe(Image, 'both')
    publisher = ImagePublisher(camera, 'both')
    wait_until(lambda: publisher.get_subscription_count() == 2, 10, 'discovery')
    for number in range(20):
        publisher.publish(picture, header(number))
        wait_until(lambda n=number: len(heard) > n, 10, 'a message')
    assert [m.header.stamp.nanosec for m in heard] == list(range(20))
    assert bytes(heard[0].data) == picture.tobytes()
    # What the middleware brought again has been passed over by now: it came before the last.
    assert [p.header.stamp.nanosec for p in got] == list(range(20))


def test_a_message_from_elsewhere_is_taken(camera, reader, picture):
    _, subscribe = reader
    got = subscribe('elsewhere')
    publisher = topics.create_publisher(camera, Image, 'elsewhere')
    wait_until(lambda: publisher.get_subscription_count() == 1, 10, 'discovery')
    publisher.publish(image_transport.bgr_to_image(picture, header(3)))
    wait_until(lambda: got, 10, 'a picture')
    assert np.array_equal(got[0].bgr(), picture)
    own = got[0].own_bgr()
    own[0, 0] = 9  # a message is its reader's alone
    assert got[0].header.frame_id == 'camera_optical'


def test_compressed_goes_to_its_own_topic_and_comes_back(camera, reader, picture):
    listener, subscribe = reader
    got = subscribe('small', 'compressed')
    heard = listener.subscribe(CompressedImage, 'small/compressed')
    publisher = ImagePublisher(camera, 'small', jpeg_quality=95)
    wait_until(lambda: publisher.get_subscription_count() == 2, 10, 'discovery')
    publisher.publish(picture, header(5))
    wait_until(lambda: heard and got, 10, 'a compressed picture')
    assert heard[0].format == 'bgr8; jpeg compressed bgr8'
    assert heard[0].header == header(5)
    assert len(heard[0].data) < picture.nbytes / 4
    assert cv2.PSNR(got[0].bgr(), picture) > 30


def test_nothing_is_made_for_nobody(camera, picture, monkeypatch):
    publisher = ImagePublisher(camera, 'nobody')
    for name in ('bgr_to_image', 'bgr_to_compressed'):
        monkeypatch.setattr(image_transport, name, lambda *_: pytest.fail('nobody listens'))
    publisher.publish(picture, header(1))


def test_a_reader_the_middleware_would_not_serve_is_not_served(ros, camera, picture, monkeypatch):
    node, got = Node('test_reliable'), []
    monkeypatch.setattr(topics, 'default_qos', lambda: QoSProfile(
        depth=2, reliability=ReliabilityPolicy.RELIABLE))
    reader = subscribe_images(node, 'strict', got.append, MutuallyExclusiveCallbackGroup())
    monkeypatch.undo()
    ImagePublisher(camera, 'strict').publish(picture, header(1))
    assert not got
    reader.destroy()
    node.destroy_node()


def test_who_ended_is_handed_nothing(ros, camera, picture):
    node, got = Node('test_ended'), []
    reader = subscribe_images(node, 'ended', got.append, MutuallyExclusiveCallbackGroup())
    publisher = ImagePublisher(camera, 'ended')
    publisher.publish(picture, header(1))
    reader.destroy()
    publisher.publish(picture, header(2))
    assert [p.header.stamp.nanosec for p in got] == [1]
    node.destroy_node()


@pytest.mark.parametrize(('data', 'format_', 'words'), [
    (b'no picture', 'jpeg', 'cannot be decoded'), (b'', 'png', '0 bytes'),
    (b'x', '16UC1; compressedDepth png', 'depth map')])
def test_what_cannot_be_decoded_says_so(data, format_, words):
    with pytest.raises(ValueError, match=words):
        compressed_to_bgr(CompressedImage(format=format_, data=data))


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp'])
def test_what_others_compress_is_understood(picture, suffix):
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    for each in (picture, grey):
        data = cv2.imencode(suffix, each)[1].tobytes()
        bgr = compressed_to_bgr(CompressedImage(format=suffix[1:], data=data))
        assert bgr.shape == picture.shape
        assert cv2.PSNR(bgr, picture if each is picture else cv2.cvtColor(
            grey, cv2.COLOR_GRAY2BGR)) > 30


def test_quality_is_minded(picture):
    low, high = (len(bgr_to_compressed(picture, header(0), q).data) for q in (10, 95))
    assert low < high / 2


def test_channels_keep_their_order(picture):
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 2] = 200
    back = compressed_to_bgr(bgr_to_compressed(red, header(0), 95))
    assert back[32, 32].tolist() == pytest.approx([0, 0, 200], abs=4)


def test_remapping_takes_the_compressed_topic_along(ros):
    node = Node('test_remapped', cli_args=[
        '--ros-args', '-r', 'camera/image_raw:=/front/image', '-r', '__ns:=/robot'])
    publisher = ImagePublisher(node, topics.IMAGE)
    readers = [subscribe_images(node, topics.IMAGE, print, MutuallyExclusiveCallbackGroup(), form)
               for form in image_transport.TRANSPORTS]
    assert publisher.topic_name == '/front/image'
    assert [r.topic_name for r in readers] == ['/front/image', '/front/image/compressed']
    assert {'/front/image', '/front/image/compressed'} <= {
        name for name, _ in node.get_publisher_names_and_types_by_node('test_remapped', '/robot')}
    for reader in readers:
        reader.destroy()
    node.destroy_node()
