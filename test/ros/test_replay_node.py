"""Replaying and recording bags, with real processes and real topics."""
from itertools import dropwhile
import signal
from statistics import median
import time

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from gaze_ros.bags.reading import BagReader
from gaze_ros.cli.main import main
from gaze_ros.core.parameters import BAG_NODES, NODES
from gaze_ros.msg import Attention, Focus, Gaze, GazeArray
from gaze_ros.ros.launch.replay import ARGUMENTS, PARAMETERS, programs
from helpers.bag_files import (
    camera_messages,
    COMPRESSED,
    PERIOD,
    RECORDING_DELAY,
    START,
    write_bag,
)
from helpers.processes import BIN, Process, running, wait_until, wait_until_quiet
from helpers.ros_client import call_service, request_transitions, set_parameters
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import pytest
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

RELIABLE = [f'qos_overrides./{topic}.publisher.{policy}' for topic in (
    'camera/image_raw', 'camera/image_raw/compressed', 'camera/camera_info')
    for policy in ('reliability:=reliable', 'depth:=100')]


def stamp(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def hear(listener, kind, topic, keep, reliable=True, depth=200):
    """Subscribe so that nothing is lost, if the publisher is reliable as well."""
    heard = []
    listener.node.create_subscription(
        kind, topic, lambda m: heard.append(keep(m)), QoSProfile(
            depth=depth, reliability=ReliabilityPolicy.RELIABLE if reliable else
            ReliabilityPolicy.BEST_EFFORT))
    return heard


def clock_of(listener):
    return hear(listener, Clock, '/clock', lambda m: m.clock.sec * 10**9 + m.clock.nanosec,
                reliable=False)


def recorded_completely(recorded):
    """Return parameters of the recorder: by default it loses messages on a busy machine."""
    return [f'qos_overrides.{topic}.subscription.{policy}' for topic in recorded
            for policy in ('reliability:=reliable', 'depth:=100')]


def read(path, topic, kind=GazeArray):
    reader = BagReader(path)
    try:
        return [(r.time, r.cdr, deserialize_message(r.cdr, kind))
                for r in reader.records([topic])]
    finally:
        reader.close()


def test_images_calibration_and_time_are_published_as_recorded(listener, tmp_path):
    content = list(camera_messages(40))
    path = write_bag(tmp_path / 'in', content)
    images = hear(listener, Image, '/camera/image_raw', lambda m: (
        stamp(m), m.header.frame_id, m.width, m.encoding, bytes(m.data)))
    infos = hear(listener, CameraInfo, '/camera/camera_info', lambda m: (stamp(m), m.k[0]))
    clock = clock_of(listener)
    process = Process('replay_node', f'bag:={path}', *RELIABLE)
    assert process.end(60) == 0, process.text
    assert 'at its end after 40 images' in process.text
    assert 'Replay FPS' in process.text and '(40 frames, 0 dropped)' in process.text
    wanted = [deserialize_message(m[3], Image) for m in content if m[1].endswith('/Image')]
    assert images == [(stamp(m), 'left_optical', 320, 'bgr8', bytes(m.data)) for m in wanted]
    assert infos == [(stamp(m), 300.0) for m in wanted]
    assert clock == sorted(clock)
    times = [time for *_, time, _ in content]
    assert min(times) <= clock[0]
    assert clock[-1] > times[-1], 'the clock continues after the last image'
    between = set(clock) - set(times)
    assert len(between) >= 40, 'the clock ticks between the images'


def test_compressed_bag_is_published_raw_on_request(listener, tmp_path):
    path = write_bag(
        tmp_path / 'in', camera_messages(20, compressed=True, prefix='/odd/cam'), 'SQLITE3'
    )
    raw = hear(listener, Image, '/front/camera/image_raw', lambda m: (stamp(m), m.width))
    compressed = hear(listener, CompressedImage, '/front/camera/image_raw/compressed',
                      lambda m: (stamp(m), bytes(m.data)))
    process = Process('replay_node', f'bag:={path}', 'image_topic:=/odd/cam/image_raw', *(
        word.replace('./camera', './front/camera') for word in RELIABLE),
        more=('-r', '__ns:=/front'))
    assert process.end(60) == 0, process.text
    stamps = [START + n * PERIOD for n in range(20)]
    assert raw == [(s, 320) for s in stamps]
    inside = [deserialize_message(m[3], CompressedImage)
              for m in camera_messages(20, compressed=True) if m[1] == COMPRESSED]
    assert compressed == [(stamp(m), bytes(m.data)) for m in inside]


def test_time_and_stamps_increase_in_a_loop(listener, tmp_path):
    path = write_bag(tmp_path / 'in', camera_messages(10))
    images = hear(listener, Image, '/camera/image_raw', stamp)
    clock = clock_of(listener)
    with running('replay_node', f'bag:={path}', 'loop:=true', 'rate:=4.0', *RELIABLE):
        wait_until(lambda: len(images) >= 35, 60, '35 images of a bag with 10')
    assert {b - a for a, b in zip(images, images[1:])} <= {PERIOD, PERIOD + 1}
    assert clock == sorted(clock)


def test_deactivation_pauses_and_activation_resumes(listener, tmp_path):
    path = write_bag(tmp_path / 'in', camera_messages(60))
    images = hear(listener, Image, '/camera/image_raw', stamp)
    clock = clock_of(listener)
    process = Process('replay_node', f'bag:={path}', 'rate:=0.25', *RELIABLE)

    def change(number):
        request = ChangeState.Request(transition=Transition(id=number))
        assert call_service(listener.node, ChangeState, '/replay/change_state', request).success

    wait_until(lambda: len(images) >= 10, 60, '10 images')
    change(Transition.TRANSITION_DEACTIVATE)
    wait_until_quiet(clock, 0.5)  # until messages in transit have arrived
    paused = len(images), clock[-1]
    assert paused[0] < 60
    time.sleep(0.5)
    assert (len(images), clock[-1]) == paused
    assert set_parameters(listener, 'replay', rate=2.0) == ''
    change(Transition.TRANSITION_ACTIVATE)
    assert process.end(60) == 0, process.text
    assert images == [START + n * PERIOD for n in range(60)]
    assert clock == sorted(clock)


def test_parameters_set_at_the_end_apply_and_images_of_each_run_are_counted(
        listener, tmp_path):
    path = write_bag(tmp_path / 'in', camera_messages(10))
    images = hear(listener, Image, '/camera/image_raw', stamp)
    process = Process('replay_node', f'bag:={path}', 'exit_on_end:=false', 'rate:=2.0',
                      *RELIABLE)
    process.wait_for('at its end after 10 images', 60)
    assert all(
        request_transitions(
            listener,
            'replay',
            *(
                getattr(Transition, f'TRANSITION_{name}')
                for name in ('DEACTIVATE', 'CLEANUP', 'CONFIGURE', 'ACTIVATE')
            ),
        )
    )
    wait_until(lambda: process.text.count('at its end after 10 images') == 2, 30, 'the second run')
    assert set_parameters(listener, 'replay', loop=True) == ''
    wait_until(lambda: len(images) >= 45, 30, 'rounds after the end')
    assert set_parameters(listener, 'replay', loop=False) == ''
    wait_until(lambda: process.text.count('at its end') == 3, 30, 'the end of the loop')
    assert process.running
    assert set_parameters(listener, 'replay', exit_on_end=True) == ''
    assert process.end(30) == 0, process.text
    assert {b - a for a, b in zip(images[10:], images[11:])} == {PERIOD}


@pytest.mark.parametrize(('parameters', 'words'), [
    ((), 'the parameter bag is not set; set it to a rosbag2 folder'),
    (('bag:=/nowhere',), "bag '/nowhere' does not exist"),
    (('bag:=~unknown-user/x',), "bag '~unknown-user/x' does not exist: Could not"),
    (('bag:={bag}', 'image_topic:=x'), "topic '/x' has no images in the bag; it has /camera/"),
    (('bag:={bag}', 'rate:=0.0'), 'rate out of range Min: 0.01')])
def test_invalid_bag_ends_the_node_with_the_reason(tmp_path, parameters, words):
    path = write_bag(tmp_path / 'in', camera_messages(2))
    process = Process('replay_node', *(p.format(bag=path) for p in parameters))
    assert process.end(30) == 1
    assert words in process.text
    assert 'Traceback' not in process.text


def test_bag_and_live_gaze_agree(listener, tmp_path):
    # A model without tracks: live, images may be dropped, and a tracked mesh depends on them.
    pytest.importorskip('mediapipe')
    path = write_bag(tmp_path / 'in', camera_messages(60))
    models = {'model': 'mediapipe', 'detector': 'mediapipe'}
    assert main(['bag', str(path), str(tmp_path / 'out'), '--quiet',
                 *(word for k, v in models.items() for word in (f'--{k}', v))]) == 0
    offline = {stamp(m): (m, cdr) for _, cdr, m in read(tmp_path / 'out', '/gaze')}
    own = [f'{k}:={v}' for k, v in models.items()]
    statuses = hear(listener, DiagnosticArray, '/diagnostics',
                    lambda m: (m.status[0].name, m.status[0].hardware_id, m.status[0].level))
    with running('gaze_node', 'use_sim_time:=true', *own) as gaze, running(
            'recorder_node', 'use_sim_time:=true', f'output:={tmp_path / "rec"}') as recorder:
        gaze.wait_for('model mediapipe')
        recorder.wait_for('recording /gaze')
        # Slowly, since other tests may use the CPU as well.
        replay = Process('replay_node', f'bag:={path}', 'rate:=0.25')
        assert replay.end(120) == 0, replay.text
    live = read(tmp_path / 'rec', '/gaze')
    assert len(live) >= 15, gaze.text
    assert ('replay: Replay', str(path), DiagnosticStatus.OK) in statuses
    assert ('recorder: Recorder', str(tmp_path / 'rec'), DiagnosticStatus.OK) in statuses
    # In bag time, each message is recorded soon after its image; earlier, if a /clock message is
    # late or lost. Until the recorder gets the first one, it uses the image's stamp.
    lags = [recorded - stamp(message) for recorded, _, message in live]
    lags = list(dropwhile(lambda lag: lag == 0, lags))
    assert len(lags) >= 10
    assert [lag for lag in lags if abs(lag) > 10 * 10**9] == []
    assert RECORDING_DELAY <= median(lags) < RECORDING_DELAY + 10**9
    for _, _, message in live:
        wanted, _ = offline[stamp(message)]
        assert message.header == wanted.header
        assert message.calibrated
        assert message.detection_duration.nanosec > 0
        assert len(message.gazes) == len(wanted.gazes)
        for one, other in zip(message.gazes, wanted.gazes):
            assert one.raw_pitch == pytest.approx(other.raw_pitch, abs=1e-6, nan_ok=True)
            assert one.raw_yaw == pytest.approx(other.raw_yaw, abs=1e-6, nan_ok=True)
            assert one.roi == other.roi


def publish_until(listener, publisher, make, condition, what):
    numbers = iter(range(10**6))

    def step():
        publisher.publish(make(next(numbers)))
        return condition()
    wait_until(step, 30, what)


def test_recorder_adds_overlays_and_what_the_people_node_publishes(listener, tmp_path):
    kinds = {'/gaze': GazeArray, '/gaze/focus': Focus, '/gaze/objects': Attention,
             '/camera/camera_info': CameraInfo, '/camera/image_raw/compressed': CompressedImage}
    publishers = [
        listener.node.create_publisher(kind, topic, 100) for topic, kind in kinds.items()]
    header = Header(stamp=Time(sec=5), frame_id='cam_optical')
    messages = [GazeArray(header=header, image_width=640, image_height=480, gazes=[Gaze(
        track_id='f1', roi=RegionOfInterest(x_offset=10, y_offset=20, width=30, height=40))]),
        Focus(track_id='f1'), Attention(target_id='cup'), CameraInfo(header=header),
        CompressedImage(header=header, format='jpeg', data=bytes(100))]
    with running('recorder_node', f'output:={tmp_path / "rec"}', 'overlays:=true',
                 *recorded_completely(kinds)) as node:
        wait_until(lambda: all(p.get_subscription_count() for p in publishers), 30, 'discovery')
        for publisher, message in zip(publishers, messages):
            publisher.publish(message)
        assert all(p.wait_for_all_acked(Duration(seconds=20)) for p in publishers)
        time.sleep(2)  # until the recorder has taken them
    assert 'message skipped' not in node.text
    for (topic, kind), message in zip(kinds.items(), messages):
        assert [m for _, _, m in read(tmp_path / 'rec', topic, kind)] == [message]
    reading = pytest.importorskip('mcap_ros2.reader')
    overlay, = reading.read_ros2_messages(
        str(tmp_path / 'rec' / 'rec_0.mcap'), ['/gaze/annotations'])
    box, _ = overlay.ros_msg.points
    assert [(p.x, p.y) for p in box.points] == [(10, 20), (40, 20), (40, 60), (10, 60)]
    assert overlay.ros_msg.texts[0].text == 'f1 p +0 y +0 deg' and box.timestamp.sec == 5


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_recorded_messages_equal_the_published_ones_and_can_be_read(listener, tmp_path, number):
    output = tmp_path / 'made' / 'rec'
    kinds = {'/r/gaze': GazeArray, '/r/gaze/attention': Attention,
             '/r/gaze/image_annotated/compressed': CompressedImage}
    publishers = gazes, events, images = [
        listener.node.create_publisher(kind, topic, 100) for topic, kind in kinds.items()]
    process = Process('recorder_node', f'output:={output}', 'images:=true',
                      *recorded_completely(kinds), more=('-r', '__ns:=/r'))
    wait_until(lambda: all(p.get_subscription_count() for p in publishers), 30, 'discovery')
    time.sleep(1.0)
    sent = []
    for n in range(50):
        message = GazeArray(model='x', gazes=[Gaze(track_id=f'f{n}', pitch=0.25)] * (n % 3))
        message.header.stamp.sec = n
        sent.append(message)
        gazes.publish(message)
        events.publish(Attention(track_id=f'f{n}', target=Attention.CAMERA))
        images.publish(CompressedImage(format='jpeg', data=bytes([n] * 100)))
        time.sleep(0.005)
    assert all(p.wait_for_all_acked(Duration(seconds=20)) for p in publishers)
    time.sleep(2)  # until the recorder has taken them
    process.send(number)
    assert process.end() == 0, process.text
    assert f"saved '{output}' with 150 messages" in process.text
    got = read(output, '/r/gaze')
    assert [m for _, _, m in got] == sent
    assert [t for t, _, _ in got] == sorted(t for t, _, _ in got)
    now = time.time_ns()
    assert all(now - 60 * 10**9 < t <= now for t, _, _ in got)
    assert [m.track_id for _, _, m in read(output, '/r/gaze/attention', Attention)] == [
        f'f{n}' for n in range(50)]
    seen = read(output, '/r/gaze/image_annotated/compressed', CompressedImage)
    assert [bytes(m.data) for _, _, m in seen] == [bytes([n] * 100) for n in range(50)]


def test_diagnostics_thresholds_apply_to_recorded_messages(listener, tmp_path):
    statuses = hear(listener, DiagnosticArray, '/diagnostics', lambda m: (
        m.status[0].level, m.status[0].message, {v.key: v.value for v in m.status[0].values}))
    gazes = listener.node.create_publisher(GazeArray, '/gaze', 10)
    with running('recorder_node', f'output:={tmp_path / "rec"}', 'warn_rate:=200.0'):
        wait_until(gazes.get_subscription_count, 30, 'the recorder')

        def make(number):
            message = GazeArray()
            message.header.stamp.sec = int(time.time()) - 2
            return message

        def reported(level, text):
            return lambda: bool(statuses) and statuses[-1][0] == level and text in (
                f'{statuses[-1][1]}; {statuses[-1][2]["also"]}')
        late = 'results are late: the p95 latency of'
        publish_until(listener, gazes, make, reported(DiagnosticStatus.WARN, late), 'the age')
        publish_until(listener, gazes, make, reported(
            DiagnosticStatus.WARN, 'are below warn_rate (200)'), 'the rate')
        assert set_parameters(listener, 'recorder', warn_rate=0.0, error_age=1.5) == ''
        publish_until(listener, gazes, make, reported(DiagnosticStatus.ERROR, late), 'the error')


def test_recording_is_never_overwritten(tmp_path):
    (tmp_path / 'rec').mkdir()
    process = Process('recorder_node', f'output:={tmp_path / "rec"}')
    assert process.end(30) == 1
    assert "rec' already exists, and no bag is overwritten" in process.text


def test_full_disk_stops_the_recording_not_the_node_and_is_reported_once(listener, tmp_path):
    limited = tmp_path / 'limited'
    # 8 MiB per file; shared memory counts as a file, too.
    limited.write_text(f'#!/bin/bash\nulimit -f 8192\nexec {BIN / "recorder_node"} "$@"\n')
    limited.chmod(0o755)
    images = listener.node.create_publisher(
        CompressedImage, '/gaze/image_annotated/compressed', 10)
    big = CompressedImage(data=bytes(50_000))
    with running(str(limited), f'output:={tmp_path / "rec"}', 'images:=true',
                 env={'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}) as process:
        publish_until(listener, images, lambda n: big,
                      lambda: 'its disk is full' in process.text, 'the error')
        publish_until(listener, images, lambda n: big, lambda: process.running, 'the running node')
        assert process.running
    assert process.text.count('its disk is full') == 1
    assert 'failed' in next(x for x in process.lines if x.startswith('Recorder FPS'))


DEFAULTS = {name: default or '' for name, (default, _) in ARGUMENTS.items()}


def started(**given):
    return {p.executable: p for p in programs({**DEFAULTS, 'bag': '/b', **given})}


def test_launch_file_starts_all_nodes_in_bag_time():
    got = started()
    assert set(got) == {'replay_node', 'pipeline'}
    assert got['pipeline'].arguments == ('--nodes', 'gaze,people,visualizer')
    assert got['replay_node'].parameters == {
        'bag': '/b', 'use_sim_time': False, 'wait_for_subscribers': 2}
    assert got['pipeline'].parameters == {'use_sim_time': True}
    got = started(record='/o', record_images='true', humans='true')
    assert got['recorder_node'].parameters == {
        'use_sim_time': True, 'output': '/o', 'images': True}
    assert got['replay_node'].parameters['wait_for_subscribers'] == 3


@pytest.mark.parametrize('argument', [name for name in PARAMETERS if name != 'record'])
def test_every_argument_reaches_an_existing_parameter(argument):
    node, name = PARAMETERS[argument]
    spec = next(s for s in {**NODES, **BAG_NODES}[node] if s.name == name)
    value, wanted = {
        bool: ('true', True), int: (str(spec.high or 3), int(spec.high or 3)),
        float: ('2', 2.0), str: (spec.choices and spec.choices[-1] or '/a b', None),
    }[type(spec.default)]
    if isinstance(spec.default, int) and spec.choices:
        value, wanted = str(spec.choices[0]), spec.choices[0]
    got = started(**{'record': '/o', argument: value})
    one = got[f'{node}_node' if node in ('replay', 'recorder') else 'pipeline'].parameters[name]
    assert one == (value if wanted is None else wanted) and type(one) is type(spec.default)


@pytest.mark.parametrize(('argument', 'value', 'words'), [
    ('loop', 'perhaps', "loop is 'perhaps'; expected true or false"),
    ('rate', '0', 'rate 0.0 is not in 0.01..100'), ('rate', 'nan', 'rate nan is not in'),
    ('model', 'other', "model 'other' is not one of"),
    ('record_images', '2', "record_images is '2'; expected true or false"),
    ('max_faces', 'x', "max_faces is 'x'; expected an integer")])
def test_invalid_value_is_rejected(argument, value, words):
    with pytest.raises(ValueError, match=words):
        started(**{argument: value})
