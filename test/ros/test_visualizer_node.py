"""The visualizer node alone, fed by the test."""
from contextlib import suppress
import gc
from threading import Event, Thread
import time
import weakref

from gaze_ros.core.types import Face, FrameGaze, Gaze
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import bgr_to_image, gaze_array, image_to_bgr
from gaze_ros.ros.comm.image_transport import ReceivedImage
from gaze_ros.ros.nodes.visualizer_node import VisualizerNode
from gaze_ros.ros.process.executor import SubmitOnceExecutor
from gaze_ros.ros.process.shutdown import Shutdown
from helpers.processes import Process, running, wait_until
import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

#: Parameters with which no image and no result is lost.
RELIABLE = ['queue_depth:=4', *(
    f'qos_overrides./{end}.{policy}'
    for end in ('camera/image_raw.subscription', 'gaze.subscription',
                'gaze/image_annotated.publisher')
    for policy in ('reliability:=reliable', 'depth:=20'))]


@pytest.fixture
def feed(listener):
    """Return send(kind, second), the received annotated images, and connected()."""
    images = listener.node.create_publisher(Image, topics.IMAGE, topics.reliable_qos(10))
    gazes = listener.node.create_publisher(GazeArray, topics.GAZE, topics.reliable_qos(10))
    heard = []
    listener.node.create_subscription(
        Image, topics.IMAGE_ANNOTATED,
        lambda m: heard.append((m.header.stamp.sec, image_to_bgr(m))), topics.reliable_qos(10))

    def send(kind, second):
        header = Header(frame_id='cam_optical')
        header.stamp.sec = second
        if kind == 'image':
            images.publish(bgr_to_image(np.full((120, 160, 3), second, np.uint8), header))
        else:
            face = Face((40 + second % 10, 40, 50, 50), 0.9)
            gaze = Gaze('f1', face, 0.0, 0.5, 0.0, 0.5, 1.0, np.array([0.5, 0, -0.86]), False)
            gazes.publish(gaze_array(FrameGaze(160, 120, 'mediapipe', [gaze]), header))

    def connected():
        return (images.get_subscription_count() and gazes.get_subscription_count()
                and listener.node.count_publishers(topics.IMAGE_ANNOTATED))

    return send, heard, connected


@pytest.mark.parametrize('first,second', [('image', 'gaze'), ('gaze', 'image')])
def test_each_result_is_drawn_into_its_own_image(feed, first, second):
    send, heard, connected = feed

    def drawn():
        # Earlier stamps: an image from before may be drawn late.
        return [one for one in [*heard] if one[0] > 30]

    with running('visualizer_node', *RELIABLE):
        wait_until(connected, 20, 'discovery')
        for stamp in range(1, 20):  # until the visualizer has discovered the test's subscription
            send('image', stamp)
            send('gaze', stamp)
            with suppress(AssertionError):
                wait_until(lambda: heard, 2, 'a drawn image')
                break
        for stamp in (31, 32, 33):
            send(first, stamp)
            time.sleep(0.05)
        assert drawn() == []
        # Results for 31 and 33 only: 32 must not be shown with another image's gaze.
        for stamp in (31, 33):
            send(second, stamp)
            time.sleep(0.3)
        wait_until(lambda: len(drawn()) == 2, 20, 'two annotated images')
    assert [stamp for stamp, _ in drawn()] == [31, 33]
    for stamp, image in drawn():
        assert (image[-1, -1] == stamp).all(), 'the image is not that of the stamp'
        box = 40 + stamp % 10
        assert (image[60, box] != stamp).any(), 'its box was not drawn'
        arrow = image[60:70, box + 30:box + 45]
        assert (arrow != stamp).any(), 'no arrow toward the right'


def test_images_that_nobody_views_are_not_taken(listener):
    images = listener.node.create_publisher(Image, topics.IMAGE, topics.default_qos())
    gazes = listener.node.create_publisher(GazeArray, topics.GAZE, topics.default_qos())
    node, spins, ending = VisualizerNode(Shutdown()), [], Event()
    executor = SubmitOnceExecutor(3)
    executor.add_node(node)

    def spin():
        while not ending.is_set():
            executor.spin_once()
            spins.append(True)

    def send(second):
        header = Header(frame_id='cam_optical')
        header.stamp.sec = second
        images.publish(bgr_to_image(np.zeros((48, 64, 3), np.uint8), header))
        gazes.publish(gaze_array(FrameGaze(64, 48, 'mediapipe', []), header))

    thread = Thread(target=spin)
    thread.start()
    try:
        node.trigger_configure()
        node.trigger_activate()
        wait_until(lambda: images.get_subscription_count() and gazes.get_subscription_count(),
                   20, 'discovery')
        mark = node.stats.mark()
        for second in range(1, 4):
            send(second)
            before = len(spins)
            wait_until(lambda n=before: len(spins) > n + 2, 20, 'timers of the node')
        assert node.stats.snapshot(mark).received == 0
        heard = listener.subscribe(Image, topics.IMAGE_ANNOTATED)
        for second in range(4, 30):  # until the visualizer has discovered the subscription
            send(second)
            with suppress(AssertionError):
                wait_until(lambda: heard, 1, 'a drawn image')
                break
        assert heard
    finally:
        ending.set()
        executor.shutdown(0.0)
        thread.join(20)
        node.close(5.0)
        node.destroy_node()


def test_deactivated_node_keeps_no_image():
    node = VisualizerNode(Shutdown())
    try:
        node.trigger_configure()
        node.trigger_activate()
        kept = []
        for second in range(5):
            header = Header()
            header.stamp.sec = second
            image = ReceivedImage(header, np.zeros((4, 4, 3), np.uint8))
            kept.append(weakref.ref(image))
            node.on_image(image)
        image = None
        assert all(ref() is not None for ref in kept)
        node.trigger_deactivate()
        gc.collect()
        assert not any(ref() for ref in kept)
        node.on_image(ReceivedImage(Header(), np.zeros((4, 4, 3), np.uint8)))
        node.trigger_cleanup()
    finally:
        node.destroy_node()


@pytest.mark.parametrize('folder', ['/proc/nowhere', '~unknown_user/shots'])
def test_invalid_snapshot_folder_is_reported_at_startup(folder):
    process = Process('visualizer_node', f'snapshot_folder:={folder}')
    assert process.end() == 1
    assert f"snapshot_folder '{folder}' is not a folder and cannot be created" in process.lines[-1]
    assert 'Traceback' not in process.text
