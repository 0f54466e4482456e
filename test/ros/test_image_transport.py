"""Images on topics: raw, compressed and intra-process, and who owns their memory."""
from builtin_interfaces.msg import Time
import cv2
from gaze_ros.core.sources.sample import Sample
from gaze_ros.core.system.shared_images import SharedImageReader
from gaze_ros.ros.comm import image_transport, topics
from gaze_ros.ros.comm.conversions import bgr_to_compressed, compressed_to_bgr
from gaze_ros.ros.comm.image_transport import ImagePublisher, subscribe_images
from gaze_ros.ros.comm.intra_process import IntraProcessSubscription
from helpers.processes import wait_until
from helpers.ros_client import Listener
import numpy as np
import pytest
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
    """Return a listener, and a function that subscribes its node to images."""
    listener = Listener('test_reader')
    readers = []

    def subscribe(topic, transport='raw'):
        got = []
        readers.append(subscribe_images(
            listener.node, topic, got.append, transport,
            reader=SharedImageReader()))
        return got

    yield listener, subscribe
    for one in readers:
        one.destroy()
    listener.close()


@pytest.fixture(scope='module')
def image():
    source = Sample(320, 240)
    return source.read()


def test_image_is_passed_without_a_copy_within_a_process(camera, reader, image, monkeypatch):
    _, subscribe = reader
    got = subscribe('here')
    publisher = ImagePublisher(camera, 'here')
    wait_until(lambda: publisher.get_subscription_count() == 1, 10, 'discovery')
    monkeypatch.setattr(
        image_transport, 'bgr_to_image', lambda *_: pytest.fail('no other subscriber'))
    publisher.publish(image, header(1))
    assert len(got) == 1  # at once, in this thread
    assert got[0].decode() is image
    assert got[0].header.stamp.nanosec == 1
    assert got[0].nbytes == image.nbytes


def test_writable_image_is_a_copy(camera, reader, image):
    _, subscribe = reader
    got = subscribe('drawn')
    publisher = ImagePublisher(camera, 'drawn')
    before = image.copy()
    publisher.publish(image, header(1))
    own = got[0].decode_writable()
    own[:] = 0
    assert np.array_equal(image, before)


def test_other_processes_get_a_message_and_this_one_gets_the_image_once(camera, reader, image):
    listener, subscribe = reader
    got = subscribe('both')
    heard = listener.subscribe(Image, 'both')
    publisher = ImagePublisher(camera, 'both')
    wait_until(lambda: publisher.get_subscription_count() == 2, 10, 'discovery')
    for number in range(20):
        publisher.publish(image, header(number))
        wait_until(lambda n=number: len(heard) > n, 10, 'a message')
    assert [m.header.stamp.nanosec for m in heard] == list(range(20))
    assert bytes(heard[0].data) == image.tobytes()
    # By now the copies from the middleware have been ignored: they arrived before the last.
    assert [p.header.stamp.nanosec for p in got] == list(range(20))


def test_copies_of_the_middleware_are_not_taken(camera, reader, image, monkeypatch):
    """Only while all publishers are in this process: then a new one is heard, too."""
    listener, subscribe = reader
    taken, on_message = [], IntraProcessSubscription._on_message

    def count(self, message):
        taken.append(message)
        on_message(self, message)

    monkeypatch.setattr(IntraProcessSubscription, '_on_message', count)
    got, heard = subscribe('local'), listener.subscribe(Image, 'local')
    publisher = ImagePublisher(camera, 'local')
    wait_until(lambda: publisher.get_subscription_count() == 2, 10, 'discovery')
    for number in range(5):
        publisher.publish(image, header(number))
        wait_until(lambda n=number: len(heard) > n, 10, 'a message')
    assert len(got) == 5
    assert not taken
    foreign = topics.create_publisher(camera, Image, 'local')
    wait_until(lambda: foreign.get_subscription_count() == 2, 10, 'discovery')
    foreign.publish(image_transport.bgr_to_image(image, header(9)))
    wait_until(lambda: len(got) == 6, 10, 'an image of the other publisher')
    assert got[-1].header == header(9)


def test_first_message_after_the_local_publisher_is_gone(camera, reader, image):
    _, subscribe = reader
    got = subscribe('left')
    publisher = ImagePublisher(camera, 'left')
    wait_until(lambda: publisher.get_subscription_count() == 1, 10, 'discovery')
    for old in list(camera.publishers):
        if old.topic_name == '/left':
            camera.destroy_publisher(old)
    foreign = topics.create_publisher(camera, Image, 'left')
    wait_until(lambda: foreign.get_subscription_count() == 1, 10, 'discovery')
    foreign.publish(image_transport.bgr_to_image(image, header(1)))
    wait_until(lambda: got, 10, 'an image')


def test_message_from_another_publisher_is_received(camera, reader, image):
    _, subscribe = reader
    got = subscribe('elsewhere')
    publisher = topics.create_publisher(camera, Image, 'elsewhere')
    wait_until(lambda: publisher.get_subscription_count() == 1, 10, 'discovery')
    publisher.publish(image_transport.bgr_to_image(image, header(3)))
    wait_until(lambda: got, 10, 'an image')
    assert np.array_equal(got[0].decode(), image)
    own = got[0].decode_writable()
    own[0, 0] = 9  # the message belongs to this subscriber alone
    assert got[0].header.frame_id == 'camera_optical'


def test_compressed_image_uses_its_own_topic(camera, reader, image):
    listener, subscribe = reader
    got = subscribe('small', 'compressed')
    heard = listener.subscribe(CompressedImage, 'small/compressed')
    publisher = ImagePublisher(camera, 'small', jpeg_quality=95)
    wait_until(lambda: publisher.get_subscription_count() == 2, 10, 'discovery')
    publisher.publish(image, header(5))
    wait_until(lambda: heard and got, 10, 'a compressed image')
    assert heard[0].format == 'bgr8; jpeg compressed bgr8'
    assert heard[0].header == header(5)
    assert len(heard[0].data) < image.nbytes / 4
    assert cv2.PSNR(got[0].decode(), image) > 30


def test_nothing_is_converted_without_subscribers(camera, image, monkeypatch):
    publisher = ImagePublisher(camera, 'unused')
    for name in ('bgr_to_image', 'bgr_to_compressed'):
        monkeypatch.setattr(image_transport, name, lambda *_: pytest.fail('no subscriber'))
    publisher.publish(image, header(1))


def test_subscription_with_incompatible_qos_gets_nothing(ros, camera, image, monkeypatch):
    node, got = Node('test_reliable'), []
    monkeypatch.setattr(topics, 'default_qos', lambda: QoSProfile(
        depth=2, reliability=ReliabilityPolicy.RELIABLE))
    reader = subscribe_images(node, 'strict', got.append)
    monkeypatch.undo()
    ImagePublisher(camera, 'strict').publish(image, header(1))
    assert not got
    reader.destroy()
    node.destroy_node()


def test_destroyed_subscription_gets_nothing(ros, camera, image):
    node, got = Node('test_destroyed'), []
    reader = subscribe_images(node, 'destroyed', got.append)
    publisher = ImagePublisher(camera, 'destroyed')
    publisher.publish(image, header(1))
    reader.destroy()
    publisher.publish(image, header(2))
    assert [p.header.stamp.nanosec for p in got] == [1]
    node.destroy_node()


@pytest.mark.parametrize(('data', 'format_', 'words'), [
    (b'no image', 'jpeg', 'cannot be decoded'), (b'', 'png', '0 bytes'),
    (b'x', '16UC1; compressedDepth png', 'depth map')])
def test_undecodable_data_is_reported(data, format_, words):
    with pytest.raises(ValueError, match=words):
        compressed_to_bgr(CompressedImage(format=format_, data=data))


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp'])
def test_images_compressed_by_others_are_decoded(image, suffix):
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    for each in (image, grey):
        data = cv2.imencode(suffix, each)[1].tobytes()
        bgr = compressed_to_bgr(CompressedImage(format=suffix[1:], data=data))
        assert bgr.shape == image.shape
        assert cv2.PSNR(bgr, image if each is image else cv2.cvtColor(
            grey, cv2.COLOR_GRAY2BGR)) > 30


def test_jpeg_quality_is_applied(image):
    low, high = (len(bgr_to_compressed(image, header(0), q).data) for q in (10, 95))
    assert low < high / 2


def test_channels_keep_their_order(image):
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 2] = 200
    back = compressed_to_bgr(bgr_to_compressed(red, header(0), 95))
    assert back[32, 32].tolist() == pytest.approx([0, 0, 200], abs=4)


def test_remapping_includes_the_compressed_topic(ros):
    node = Node('test_remapped', cli_args=[
        '--ros-args', '-r', 'camera/image_raw:=/front/image', '-r', '__ns:=/robot'])
    publisher = ImagePublisher(node, topics.IMAGE, shared=True)
    readers = [subscribe_images(node, topics.IMAGE, print, form)
               for form in image_transport.TRANSPORTS]
    assert publisher.topic_name == '/front/image'
    names = ['/front/image', '/front/image/compressed', '/front/image/shared']
    assert [r.topic_name for r in readers] == names
    assert {*names} <= {
        name for name, _ in node.get_publisher_names_and_types_by_node('test_remapped', '/robot')}
    for reader in readers:
        reader.destroy()
    node.destroy_node()


def test_image_in_shared_memory_is_the_published_one(camera, reader, image):
    _, subscribe = reader
    publisher = ImagePublisher(camera, 'shared_one', shared=True)
    got = subscribe('shared_one', 'shared')
    wait_until(lambda: publisher.readers == 1, 10, 'discovery')
    for number, one in enumerate((image, image[::-1], image[:100, :50])):
        assert publisher.wanted(0.0)
        publisher.publish(one, header(number))
        wait_until(lambda number=number: len(got) > number, 10, 'the image')
        assert got[-1].header == header(number) and got[-1].seen == number + 1
        assert got[-1].nbytes == one.nbytes
        np.testing.assert_array_equal(got[-1].decode(), one)
        drawn = got[-1].decode_writable()
        drawn[:] = 0
        np.testing.assert_array_equal(got[-1].decode(), one)
    publisher.close()


def test_full_shared_memory_is_reported_once_and_other_transports_continue(
        camera, reader, image, monkeypatch, capfd):
    _, subscribe = reader
    publisher = ImagePublisher(camera, 'shared_full', shared=True)
    raw, shared = subscribe('shared_full'), subscribe('shared_full', 'shared')
    wait_until(lambda: publisher.get_subscription_count() == 2, 10, 'discovery')

    def write(_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(publisher._writer, 'write', write)
    for number in range(3):
        publisher.publish(image, header(number))
    wait_until(lambda: len(raw) == 3, 10, 'raw images')
    assert shared == [] and capfd.readouterr().err.count('No space left') == 1
