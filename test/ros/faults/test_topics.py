"""Publishers that change, stamps that jump, invalid calibrations and invalid messages.

One gaze node, visualizer and people node have to survive all of them.
"""
import time

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from gaze_ros.msg import Attention, Gaze, GazeArray
from gaze_ros.ros.comm import topics
from geometry_msgs.msg import Point, Quaternion, Vector3
from helpers.image_feeder import consumer_nodes, ImageFeeder, LATEST_STAMP, stamp_key
from helpers.processes import wait_until
from helpers.ros_client import Listener, set_parameters
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

#: Ahead of the earliest stamp, with too many nanoseconds.
AHEAD = Time(sec=10, nanosec=2**32 - 1)


@pytest.fixture(scope='module')
def three(ros):
    """Run the three nodes; yield them, a feed of images and a listener."""
    listener = Listener('test_topics')
    feed = ImageFeeder(listener)
    with consumer_nodes(feed, 'detect_interval:=3', 'parallel:=2') as processes:
        yield processes, feed, listener
    listener.close()


def test_publisher_returns_with_another_encoding_and_size(three, rounds):
    processes, feed, listener = three
    forms = [('bgr8', (640, 480)), ('mono8', (640, 480)), ('rgb8', (320, 240)),
             ('nv21', (640, 480)), ('bayer_rggb8', (800, 600)), ('jpeg', (640, 360))]
    for encoding, size in forms[:rounds(6, 6)]:
        compressed = encoding == 'jpeg'
        if compressed:
            for node in ('gaze', 'visualizer'):
                assert set_parameters(listener, node, image_transport='compressed') == ''
        feed.open(compressed, 2)
        # Nine images, so that faces are both detected and followed at this size.
        for stamp in feed.send_until_annotated(9, encoding=encoding, size=size):
            shape, colour = feed.annotated[stamp]
            assert shape == (*size[::-1], 3)
            sent = feed.sent[stamp]
            if encoding == 'mono8':
                sent = np.full(3, sent @ (0.114, 0.587, 0.299))
            assert np.abs(colour - sent).max() < 6, f'{encoding}: another image'
            result = next(m for m in feed.results if stamp_key(m.header.stamp) == stamp)
            assert (result.image_width, result.image_height) == size
            roi = result.gazes[0].roi
            assert 0.1 < roi.width / size[0] < 0.6 and roi.x_offset + roi.width <= size[0]
        if compressed:
            for node in ('gaze', 'visualizer'):
                assert set_parameters(listener, node, image_transport='raw') == ''
            feed.open(False, 2)
    assert not any('skipped' in p.text or 'not shown' in p.text for p in processes)


def test_stamps_that_jump_stand_still_or_are_zero(three, rounds):
    processes, feed, listener = three
    events = []
    subscription = listener.node.create_subscription(
        Attention, topics.ATTENTION, events.append, topics.reliable_qos(50))
    feed.send_until_annotated(1)

    def wrong(stamps):
        """Send images with these stamps; check that each arrives with its stamp."""
        seen = set()
        for stamp in stamps * rounds(3, 6):
            if isinstance(stamp, int):
                feed.now += stamp
                stamp = None
            sent = feed.send(stamp)
            seen.add(sent)
            wait_until(
                lambda sent=sent: sent in feed.annotated and sent in feed.stamps_with_face(),
                20,
                f'the image of {sent}',
            )
        results = [result for result in feed.results if stamp_key(result.header.stamp) in seen]
        for result in results:
            gaze, = result.gazes
            assert np.isfinite([gaze.pitch, gaze.yaw, gaze.range_stddev, gaze.origin.z]).all()
        return {result.gazes[0].track_id for result in results}

    assert len(wrong([0])) == 1, 'one face has one id'
    known = wrong([0])
    for jump in (-11 * 10**8 - 7, -3600 * 10**9, 3605 * 10**9):
        feed.now += jump
        if jump > 0:  # the first image may have a wrong stamp
            stamp = feed.send()
            wait_until(lambda stamp=stamp: stamp in feed.stamps_with_face(), 20, 'a result')
        events.clear()
        new = wrong([0])
        # After a jump the face has one new id: earlier ids are not given again.
        assert len(new) == 1 and not new & known
        known |= new
        wait_until(lambda: feed.send() and any(e.target == Attention.CAMERA or e.target ==
                                               Attention.ELSEWHERE for e in events), 20, 'events')
        wait_until(lambda: any(e.target == Attention.GONE for e in events), 20, 'that one is gone')
        for event in events:
            assert 0 <= lasted(event) < 3606 * 10**9
    for stamp in (Time(), Time(sec=7, nanosec=5), LATEST_STAMP, Time(sec=-5), Time(sec=-2**31),
                  AHEAD):
        # The first image of a time far ahead keeps the id: it may be one wrong stamp.
        assert len(wrong([stamp])) <= 1 + (stamp in (LATEST_STAMP, AHEAD)), f'at {stamp}'
    # A stamp ahead of all others, again and again, as with two cameras on one topic.
    wrong([0, LATEST_STAMP, Time()])
    events.clear()
    feed.send_until_annotated(10)
    feed.now -= 5 * 10**9
    wait_until(lambda: feed.send() and events, 20, 'an event')
    assert all(0 <= lasted(e) < 10**10 for e in events if e.target != Attention.GONE)
    listener.node.destroy_subscription(subscription)
    # An odd stamp is not a failure.
    assert not any('skipped' in p.text or 'not shown' in p.text for p in processes)


def test_stamps_that_do_not_rise_change_nothing(three, rounds):
    processes, feed, listener = three
    events, frames, statuses = [], [], []
    subscriptions = [
        listener.node.create_subscription(
            Attention, topics.ATTENTION, events.append, topics.reliable_qos(50)),
        listener.node.create_subscription(TFMessage, '/tf', frames.append, 100),
        listener.node.create_subscription(DiagnosticArray, '/diagnostics', lambda m: (
            statuses.extend(s.message + s.values[-1].value for s in m.status)), 10)]

    def show(stamps):
        """Send images with these stamps, nanoseconds; return their results."""
        before = len(feed.results)
        for count, stamp in enumerate(stamps, before + 1):
            feed.send(Time(sec=stamp // 10**9, nanosec=stamp % 10**9))
            wait_until(lambda count=count: len(feed.results) >= count, 20, 'a result')
        feed.now = stamps[-1]
        return feed.results[before:]

    step = 50_000_000
    feed.now -= 7 * 10**9  # another time, with a new person
    show([feed.now + step * i for i in range(1, 20)])
    wait_until(lambda: frames and any(e.target != Attention.GONE for e in events), 20, 'a person')
    events.clear()
    ids = {g.track_id for g in feed.results[-1].gazes}
    at_camera = [g.looking_at_camera for g in feed.results[-1].gazes]
    for kind in ([1, 0, 2, 3], [0, 0, 2, 2], [0, 0, 0, 3], [2, 1, 0, 3], [-10, -9, -8, -7],
                 [0, 1, 10**9, 3]):
        frames.clear()
        for _ in range(rounds(2, 10)):
            for result in show([feed.now + step * (1 + i) for i in kind]):
                gaze, = result.gazes
                assert {gaze.track_id} == ids, kind
                assert [gaze.looking_at_camera] == at_camera
        wait_until(lambda: frames, 20, 'frames')
        # tf2 warns of each frame that repeats a stamp, and one in the far future would hide the
        # next ones.
        stamps = [stamp_key(m.transforms[0].header.stamp) for m in frames]
        assert all(a != b for a, b in zip(stamps, stamps[1:]))
        assert all(abs(10**9 * sec - feed.now) < 10**11 for sec, _ in stamps)
    assert not events, 'attention has not changed'
    wait_until(lambda: any('stamps do not rise' in s for s in statuses), 20, 'a warning')
    for subscription in subscriptions:
        listener.node.destroy_subscription(subscription)


def lasted(event):
    """Return the time from the start of an event to its image, nanoseconds."""
    header, since = event.header.stamp, event.since
    return 10**9 * (header.sec - since.sec) + header.nanosec - since.nanosec


K = [500., 0., 320., 0., 500., 240., 0., 0., 1.]
GOOD = {'width': 640, 'height': 480, 'distortion_model': 'plumb_bob', 'd': [0.] * 5, 'k': K}
NAN, ENDLESS = float('nan'), float('inf')
#: Invalid fields of a calibration, and the logged text; '' if it is valid or not calibrated.
INVALID = [
    ({'k': [0.] * 9}, ''), ({'k': [NAN] * 9}, 'not finite'), ({'k': [ENDLESS] * 9}, 'not finite'),
    ({'k': [-500., *K[1:]]}, 'focal lengths'), ({'d': [NAN] * 5}, 'not finite'),
    ({'d': [0.] * 1000}, 'D has 1000 coefficients'), ({'d': [-9., 0., 0., 0.]}, 'folds'),
    ({'distortion_model': 'x' * 10_000, 'd': [.1] * 5}, 'distortion_model'),
    ({'width': 640, 'height': 640}, ''), ({'width': 0}, 'image size is 0x480'),
    ({'binning_x': 2**32 - 1, 'binning_y': 2**32 - 1}, ''),
    ({'roi': RegionOfInterest(x_offset=2**32 - 1, width=2**32 - 1)}, 'is not inside')]


def test_invalid_calibration_is_not_used_and_reported_once(three, rounds):
    (gaze, _, _), feed, listener = three
    infos = listener.node.create_publisher(CameraInfo, topics.CAMERA_INFO, topics.default_qos())
    statuses = listener.subscribe(DiagnosticArray, '/diagnostics', lambda m: (
        f'{m.status[0].message}; {m.status[0].values[-1].value}'))
    wait_until(infos.get_subscription_count, 20, 'the node')

    def shown(calibrated, **change):
        def seen():
            infos.publish(CameraInfo(**{**GOOD, **change}))
            time.sleep(0.02)
            stamp = feed.send()
            wait_until(
                lambda: stamp in feed.stamps_with_face(), 20, f'a result with {change}'[:200]
            )
            result = feed.results[-1]
            direction = result.gazes[0].direction
            assert np.isfinite([direction.x, direction.z, result.gazes[0].origin.z]).all()
            return result.calibrated is calibrated
        wait_until(seen, 10, f'that it is calibrated: {calibrated} with {change}'[:200])

    shown(True)
    for change, words in INVALID:
        shown(False, **change)
        if words:
            gaze.wait_for(words)
    wait_until(lambda: feed.send() and any(
        'calibration unusable' in status for status in statuses), 20, 'the diagnostics')
    # Fields that the node does not use may be invalid.
    shown(True, r=[NAN] * 9, p=[ENDLESS] * 12)
    lines = len(gaze.lines)
    # A new calibration with every image, alternately valid and invalid: not one line for each.
    for count in range(rounds(10, 60)):
        infos.publish(CameraInfo(**{**GOOD, 'k': [-1.5 * count, *K[1:]]}))
        shown(True, k=[500. + count, *K[1:]])
    assert len([line for line in gaze.lines[lines:] if 'FPS' not in line]) <= 2
    listener.node.destroy_publisher(infos)


def test_invalid_message_is_skipped(three):
    (gaze, visualizer, people), feed, listener = three
    infos = listener.node.create_publisher(CameraInfo, topics.CAMERA_INFO, topics.default_qos())
    results = listener.node.create_publisher(GazeArray, topics.GAZE, topics.default_qos())
    wait_until(lambda: results.get_subscription_count() >= 2, 20, 'the nodes')
    garbage = [b'', b'\0\1\0\0', b'\0\1\0\0' + b'\xff' * 4000]
    wrong = [
        Image(), Image(width=2**32 - 1, height=2**32 - 1, step=2**32 - 1, encoding='bgr8'),
        Image(width=640, height=480, step=640, encoding='no such thing')]
    for count in range(4):  # each fault more than once; it is logged once
        for message in [*garbage, *wrong]:
            feed.message(message)
        for message in garbage:
            infos.publish(message)
            results.publish(message)
        stamp = feed.send()
        # Gazes with impossible values.
        for number, track_id in ((NAN, ''), (ENDLESS, 'no topic/at all'), (1e308, 'f' * 10_000)):
            results.publish(GazeArray(
                header=Header(stamp=listener.node.get_clock().now().to_msg(), frame_id='cam'),
                image_width=count, gazes=[Gaze(
                    track_id=track_id, score=NAN, pitch=number, yaw=number, confidence=number,
                    roi=RegionOfInterest(x_offset=2**32 - 1, width=2**32 - 1, height=2**32 - 1),
                    direction=Vector3(x=number, y=number, z=number), range_stddev=number,
                    origin=Point(x=number, y=number, z=number),
                    orientation=Quaternion(x=number, y=number, z=number, w=number))]))
            time.sleep(0.05)
    events = listener.subscribe(Attention, topics.ATTENTION)
    assert feed.send_until_annotated(3)[-1] > stamp
    wait_until(lambda: feed.send() and events, 20, 'events of the real person')
    assert gaze.text.count('image skipped') == 3, gaze.text
    for process in (gaze, visualizer, people):
        assert process.running and 'Traceback' not in process.text, process.text
    listener.node.destroy_publisher(infos)
    listener.node.destroy_publisher(results)
