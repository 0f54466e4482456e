"""The gaze node with skipped, outdated and compressed images."""
import time

from gaze_ros.core.sources.sample import Sample
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import bgr_to_compressed, bgr_to_image
from helpers.processes import running, wait_until
from helpers.ros_client import call_service, publish_until_answered
import numpy as np
import pytest
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header


@pytest.fixture(scope='module')
def image():
    return Sample().read()


#: Parameters of the gaze node with which no image and no result is lost: each must be published
#: reliably.
RELIABLE = ['queue_depth:=4', *(
    f'qos_overrides./{end}.{policy}'
    for end in ('camera/image_raw.subscription', 'camera/image_raw/compressed.subscription',
                'gaze.publisher')
    for policy in ('reliability:=reliable', 'depth:=20'))]


def results(listener):
    """Return the list that collects the stamp and the number of faces of each result."""
    heard = []
    listener.node.create_subscription(
        GazeArray, 'gaze', lambda m: heard.append((m.header.stamp.sec, len(m.gazes))),
        topics.reliable_qos(20))
    return heard


def set_parameter(listener, name, **value):
    answer = call_service(
        listener.node,
        SetParameters,
        '/gaze/set_parameters',
        SetParameters.Request(parameters=[Parameter(name=name, value=ParameterValue(**value))]),
    )
    assert answer.results[0].successful, answer.results[0].reason


def test_compressed_images_side_by_side_with_frame_skip(listener, image):
    received = results(listener)
    images = listener.node.create_publisher(
        CompressedImage, topics.IMAGE + '/compressed', topics.reliable_qos(20))

    def after(number):
        # Earlier stamps: the answer to an image of publish_until_answered may come late.
        return [one for one in [*received] if one[0] > number]

    with running('gaze_node', 'image_transport:=compressed', 'parallel:=2',
                 *RELIABLE) as process:
        process.wait_for('images processed side by side: 2')
        publish_until_answered(images, lambda: bgr_to_compressed(image, Header(), 90), received)

        def send(first, count):
            for number in range(first, first + count):
                message = bgr_to_compressed(image, Header(), 90)
                message.header.stamp.sec = number
                images.publish(message)
                time.sleep(0.1)

        send(1001, 4)  # as many as wait at most: none is dropped
        wait_until(lambda: len(after(1000)) == 4, 20, 'all four')
        assert after(1000) == [(number, 1) for number in range(1001, 1005)]
        set_parameter(listener, 'frame_skip', type=ParameterType.PARAMETER_INTEGER,
                      integer_value=2)
        send(1005, 12)
        wait_until(lambda: len(after(1004)) >= 4, 20, 'every third of twelve')
    kept = [s for s, _ in after(1004)]
    assert len(kept) == 4
    assert {b - a for a, b in zip(kept, kept[1:])} == {3}
    assert 'skipped' in process.text


def test_image_older_than_max_age_is_dropped_and_counted(listener, image):
    received = results(listener)
    images = listener.node.create_publisher(Image, topics.IMAGE, topics.reliable_qos(20))
    with running('gaze_node', 'max_age:=60.0', *RELIABLE) as process:
        process.wait_for('faces by')
        publish_until_answered(images, lambda: bgr_to_image(image, Header()), received)
        new = []
        for age in (0, 600, 3000, 0, 120):
            message = bgr_to_image(image, Header())
            message.header.stamp = listener.node.get_clock().now().to_msg()
            message.header.stamp.sec -= age
            images.publish(message)
            if not age:
                new.append(message.header.stamp.sec)
                # Results without a stamp are late answers to publish_until_answered.
                wait_until(lambda: [s for s, _ in [*received] if s] == new, 20, 'the new images')
        received.clear()
        # A stamp of 0 means no stamp: the age of the image is unknown.
        images.publish(bgr_to_image(image, Header()))
        wait_until(lambda: received == [(0, 1)], 20, 'the image without a stamp alone')
    assert '3 dropped: 3 old' in process.text


def test_camera_and_visualizer_publish_compressed_images(listener):
    def stamps(messages):
        return {(m.header.stamp.sec, m.header.stamp.nanosec) for m in [*messages]}

    heard = listener.subscribe(CompressedImage, '/camera/image_raw/compressed')
    drawn = listener.subscribe(CompressedImage, '/gaze/image_annotated/compressed')
    with running('pipeline', 'source:=sample', 'wait_for_subscribers:=2'):
        # Of best-effort topics, a busy machine loses some.
        wait_until(lambda: len(stamps(heard) & stamps(drawn)) >= 10, 40, 'ten drawn images')
    assert heard[0].format == drawn[0].format == 'bgr8; jpeg compressed bgr8'
    assert {m.header.frame_id for m in heard + drawn} == {'camera_optical'}


def test_ranges_are_those_of_the_registered_depth_image(listener, image):
    """A depth camera that shows a flat face; then one that is not registered."""
    node, height, width = listener.node, *image.shape[:2]
    images, depths = (node.create_publisher(Image, topic, topics.default_qos())
                      for topic in (topics.IMAGE, topics.DEPTH))
    infos = [node.create_publisher(CameraInfo, topic, topics.default_qos())
             for topic in (topics.CAMERA_INFO, topics.DEPTH_CAMERA_INFO)]
    faces = listener.subscribe(GazeArray, 'gaze', lambda m: [
        (gaze.origin.z, gaze.range_stddev) for gaze in m.gazes if m.calibrated])
    k = [700.0, 0.0, width / 2, 0.0, 700.0, height / 2, 0.0, 0.0, 1.0]

    def publish_until(millimeters, condition, frame='color_optical'):
        def published():
            header = Header(stamp=node.get_clock().now().to_msg(), frame_id='color_optical')
            for publisher, scale in zip(infos, (1, 2)):
                publisher.publish(CameraInfo(
                    header=header, width=width // scale, height=height // scale,
                    distortion_model='plumb_bob', k=[*(v / scale for v in k[:8]), 1.0]))
            depth = np.full((height // 2, width // 2), millimeters, np.uint16)
            depths.publish(Image(
                header=Header(stamp=header.stamp, frame_id=frame), height=height // 2,
                width=width // 2, encoding='16UC1', step=width // 2 * 2, data=depth.tobytes()))
            time.sleep(0.05)  # the depth image is there before the gaze is computed
            images.publish(bgr_to_image(image, header))
            time.sleep(0.1)
            return any(face and condition(*face[0]) for face in faces[-2:])
        wait_until(published, 40, f'the range at {millimeters} mm')

    with running('gaze_node', 'smoothing_time:=0.0', 'depth:=true') as gaze:
        publish_until(0, lambda z, stddev: stddev > 0.05 * z)
        landmarks = faces[-1][0][0]
        near, far = 0.8 * landmarks, 1.2 * landmarks
        publish_until(round(1000 * near), lambda z, stddev: abs(z - near - 0.025) < 0.01)
        publish_until(round(1000 * far), lambda z, stddev: abs(z - far - 0.025) < 0.01)
        assert faces[-1][0][1] < 0.1 * landmarks
        publish_until(round(1000 * far), lambda z, stddev: abs(z - landmarks) < 0.01 * z,
                      frame='depth_optical')
        gaze.wait_for("depth image: it is in frame 'depth_optical', but the color images are in "
                      "'color_optical'")
