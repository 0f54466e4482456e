"""Cost of the people node per image, with nothing of it used and with everything, in one run.

Eight synthetic people, the real node, its topics with one subscriber each, CPU time of its thread.
Rounds alternate, so that other work on the machine meets all rows alike.
"""
import argparse
from importlib import import_module
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep, thread_time

from gaze_ros.core.attention.attention import AttentionTracker
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.types import Face, FrameGaze, Gaze
from gaze_ros.msg import Attention
from gaze_ros.ros.comm import dds_profile, topics
from gaze_ros.ros.comm.conversions import attention_message, frame_gaze, gaze_array
from gaze_ros.ros.nodes.people_node import PeopleNode
from gaze_ros.ros.process.shutdown import Shutdown
from gaze_ros.ros.publishers.tf_frames import TfFramePublisher
import numpy as np
import rclpy
from rclpy.parameter import Parameter
from std_msgs.msg import Header

#: Images per round; the first round only warms up.
IMAGES = 200
#: Images per second, by their stamps.
RATE = 30

#: The rows: what each adds to the one before it.
EVENTS, UNUSED, TARGETS, FOCUS, PERSONS, MARKERS, OVERLAYS = (
    'events and TF only, without the code of the others', 'the node, nothing else used',
    '+ targets, gaze/objects', '+ gaze/focus', '+ engagement, /humans/persons', '+ gaze/markers',
    '+ gaze/annotations, gaze/faces')


#: Topics whose subscriptions differ between the rows.
OPTIONAL_TOPICS = (
    topics.OBJECTS, topics.FOCUS, topics.MARKERS, topics.ANNOTATIONS, topics.FACES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument('--people', type=int, default=8, help='in each image [8]')
    parser.add_argument('--targets', type=int, default=10, help='half planes, half spheres [10]')
    parser.add_argument('--rounds', type=int, default=6, help='the first warms up [6]')


def run(arguments: argparse.Namespace) -> int:
    """Print a table; return the exit code."""
    dds_profile.configure()
    rclpy.init(args=[])
    try:
        with TemporaryDirectory() as folder:
            file = Path(folder) / 'targets.yaml'
            file.write_text(targets_file(arguments.targets))
            times = Costs(arguments.people, str(file)).measure(arguments.rounds)
    finally:
        rclpy.try_shutdown()
    print(f'{arguments.people} people, {arguments.targets} targets, '
          f'{(arguments.rounds - 1) * IMAGES} images; ms of one thread per image: median, p95')
    for name, values in times.items():
        print(f'{np.median(values):7.3f} {np.percentile(values, 95):7.3f}  {name}')
    ratio = np.median(times[UNUSED]) / np.median(times[EVENTS])
    print(f'nothing used: {ratio:.3f} times the cost of events and TF frames')
    return 0


def targets_file(count: int) -> str:
    """Return YAML of targets around and behind the camera."""
    lines = ['targets:']
    for number in range(count):
        turn = 2 * math.pi * number / count
        where = f'[{1.2 * math.cos(turn):.3f}, {0.8 * math.sin(turn):.3f}, 0.6]'
        shape = 'radius: 0.15' if number % 2 else 'size: [0.6, 0.4], rpy: [0, 3.1416, 0]'
        lines.append(f'  - {{name: t{number}, position: {where}, {shape}}}')
    return '\n'.join(lines)


def messages(people: int, count: int) -> list:
    """Return GazeArray messages of people who look around, by each other and by the targets."""
    random, made = np.random.default_rng(1), []
    aims = random.uniform((-1.3, -0.9, 0.3), (1.3, 0.9, 1.2), (people, 3))
    for number in range(count):
        if number % 20 == 0:
            aims[random.integers(people)] = random.uniform((-1.3, -0.9, 0.3), (1.3, 0.9, 1.2))
        gazes = []
        for person in range(people):
            eyes = np.array([-1.4 + 2.8 * person / max(people - 1, 1), 0.1 * (person % 3),
                             1.5 + 0.2 * (person % 4)])
            to = aims[person] + random.normal(0, 0.02, 3) - eyes
            gazes.append(Gaze(
                f'f{person}', Face((20 + 150 * person, 200, 90, 110), 0.9, np.zeros((5, 2))),
                pitch=0.1, yaw=0.2, confidence=0.8, direction=to / np.linalg.norm(to),
                looking_at_camera=person == 0, origin=eyes, range_stddev=0.1, stddev=0.15,
                head_pitch=0.1, head_yaw=0.1, head_roll=0.0, head_stddev=0.1))
        header = Header(frame_id='camera_optical')
        stamp = 1_700_000_000 * RATE + number
        header.stamp.sec, header.stamp.nanosec = stamp // RATE, stamp % RATE * (10**9 // RATE)
        made.append(gaze_array(
            FrameGaze(1280, 720, 'synthetic', gazes, calibrated=True), header))
    return made


class Costs:
    """Runs the node in this thread, image by image."""

    def __init__(self, people: int, targets: str) -> None:
        self._targets = targets
        self._people = people
        self._node = PeopleNode(Shutdown())
        self._node.trigger_configure()
        self._node.trigger_activate()
        self._listener = rclpy.create_node('listener')
        self._subscriptions: dict[str, object] = {}
        self._alone = rclpy.create_node('alone')
        self._alone_frames = TfFramePublisher(self._alone)
        self._alone_events = topics.create_publisher(
            self._alone, Attention, 'alone/attention',
            topics.reliable_qos(50, transient_local=True))

    def measure(self, rounds: int) -> dict[str, list[float]]:
        """Return the milliseconds of each image, by row."""
        times: dict[str, list[float]] = {}
        batches = messages(self._people, rounds * IMAGES)
        for number in range(rounds):
            batch = batches[number * IMAGES:(number + 1) * IMAGES]
            for name, values in self._round(batch).items():
                times.setdefault(name, []).extend(values if number else [])
        return times

    def _round(self, batch: list) -> dict[str, list[float]]:
        found = {EVENTS: self._events_only(batch), UNUSED: self._timed(batch)}
        self._node.set_parameters([Parameter('targets_file', value=self._targets)])
        found[TARGETS] = self._timed(batch, topics.OBJECTS)
        found[FOCUS] = self._timed(batch, topics.FOCUS)
        try:
            from gaze_ros.ros.publishers.ros4hri_persons import PersonsPublisher
            self._node._persons = PersonsPublisher(self._node)
            found[PERSONS] = self._timed(batch)
        except ImportError:
            pass
        found[MARKERS] = self._timed(batch, topics.MARKERS)
        try:
            found[OVERLAYS] = self._timed(batch, topics.ANNOTATIONS, topics.FACES)
        except ImportError:
            pass
        for topic in [*self._subscriptions]:
            self._listener.destroy_subscription(self._subscriptions.pop(topic))
        if self._node._persons is not None:
            self._node._persons.close()
            self._node._persons = None
        self._node.set_parameters([Parameter('targets_file', value='')])
        self._wait()
        return found

    def _timed(self, batch: list, *subscribed: str) -> list[float]:
        """Return the milliseconds of each image, with more topics subscribed to."""
        for topic in subscribed:
            self._subscriptions[topic] = self._listener.create_subscription(
                type_of(topic), topic, lambda message: None, topics.reliable_qos(10))
        self._wait()
        node, times = self._node, []
        for message in batch:
            start = thread_time()
            node._work(message)
            if node._persons is not None:  # in the node by another thread
                levels = {i: state.level for i, state in node._engagement._states.items()}
                node._persons.publish(
                    message.header, levels, {gaze.track_id for gaze in message.gazes})
            times.append(1e3 * (thread_time() - start))
        return times

    def _events_only(self, batch: list) -> list[float]:
        """Return the milliseconds of each image for events and TF frames alone."""
        tracker, times = AttentionTracker(), []
        for message in batch:
            start = thread_time()
            header, frame = message.header, frame_gaze(message)
            stamp = 1_000_000_000 * header.stamp.sec + header.stamp.nanosec
            for event in tracker.update(frame, stamp):
                self._alone_events.publish(attention_message(event, header))
            self._alone_frames.publish(frame, header, {})
            times.append(1e3 * (thread_time() - start))
        return times

    def _wait(self) -> None:
        """Wait until the node has discovered who subscribes to what."""
        for topic in OPTIONAL_TOPICS:
            wanted = topic in self._subscriptions
            until = monotonic() + 20
            while bool(self._node.count_subscribers(topic)) != wanted:
                if monotonic() > until:
                    raise GazeRosError(f'subscriptions to {topic} are not discovered')
                sleep(0.05)
        sleep(0.3)


def type_of(topic: str) -> type:
    """Return the type of a topic.

    :raises ImportError: if its package is not installed.
    """
    package, name = {
        topics.OBJECTS: ('gaze_ros', 'Attention'), topics.FOCUS: ('gaze_ros', 'Focus'),
        topics.MARKERS: ('visualization_msgs', 'MarkerArray'),
        topics.ANNOTATIONS: ('foxglove_msgs', 'ImageAnnotations'),
        topics.FACES: ('vision_msgs', 'Detection2DArray')}[topic]
    return getattr(import_module(f'{package}.msg'), name)
