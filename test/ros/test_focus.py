"""gaze/focus of the people node, and the example that turns a head to it, as processes."""
from contextlib import contextmanager
import math
import os
import signal
import subprocess
import sys

from gaze_ros.core.types import Face, Gaze
from gaze_ros.msg import Focus
from gaze_ros.ros.comm import topics
from helpers.gaze_feed import GazeFeed, RELIABLE
from helpers.processes import ROOT, running, wait_until
from helpers.ros_client import set_parameters
import numpy as np
import pytest
from rclpy.qos import ReliabilityPolicy
from std_msgs.msg import Float64MultiArray, Header


def person(track_id, position, at_camera=False):
    return Gaze(track_id, Face((10, 10, 50, 50), 0.9), direction=np.array([1.0, 0.0, 0.0]),
                looking_at_camera=at_camera, origin=np.asarray(position, float), range_stddev=0.1)


NEAR, FAR = person('f1', (0.5, 0.2, 1.0)), person('f2', (-1.0, 0.0, 3.0))


@contextmanager
def example(name, *parameters):
    """Run an example; it must end without an error."""
    words = [w for p in parameters for w in ('-p', p)]
    process = subprocess.Popen(
        [sys.executable, ROOT / 'examples' / name, '--ros-args', *words], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ))
    try:
        yield process
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=20)
        assert process.returncode == 0 and 'Traceback' not in text, text
    finally:
        process.kill()


def test_focus_follows_the_rule_and_ends_with_nobody(listener):
    feed, heard = GazeFeed(listener.node), []
    listener.node.create_subscription(Focus, topics.FOCUS, heard.append, topics.reliable_qos(100))

    def last(track_id):
        return lambda: heard and heard[-1].track_id == track_id

    with running('people_node', 'focus_hold:=0.3', *RELIABLE):
        feed.wait()
        feed.until(lambda: heard)  # before people come, so that heard has the first focus
        feed.until(last('f1'), NEAR, FAR)
        focus = heard[-1]
        assert focus.reason == Focus.NEAREST
        assert focus.point.header == focus.header and focus.header.frame_id == 'cam_optical'
        assert (focus.point.point.x, focus.point.point.y, focus.point.point.z) == pytest.approx(
            (0.5, 0.2, 1.0), abs=1e-3)
        assert focus.since.sec and heard[0].reason == Focus.NONE
        assert math.isnan(heard[0].point.point.x)
        feed.until(last('f2'), NEAR, person('f2', FAR.origin, at_camera=True))
        assert heard[-1].reason == Focus.AT_ROBOT
        assert set_parameters(listener, 'people', focus_rule='nearest') == ''
        feed.until(last('f1'), NEAR, person('f2', FAR.origin, at_camera=True))
        assert 'does not match' in set_parameters(listener, 'people', focus_rule='closest')
        feed.until(last(''))
        feed.until(last('f1'), NEAR)
        info, = listener.node.get_publishers_info_by_topic(topics.FOCUS)
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    wait_until(lambda: heard[-1].reason == Focus.NONE, 10, 'nobody after the node has ended')


def test_look_at_turns_the_head_of_a_fixed_camera(listener):
    feed, commands = GazeFeed(listener.node), []
    listener.node.create_subscription(
        Float64MultiArray, 'head_controller/commands', lambda m: commands.append([*m.data]), 10)
    with running('people_node', *RELIABLE), example('look_at.py'):
        feed.wait()
        feed.until(lambda: commands, NEAR)
    # To the right (negative), and down (positive).
    assert commands[-1] == pytest.approx(
        [-math.atan2(0.5, 1.0), math.atan2(0.2, math.hypot(0.5, 1.0))], abs=1e-3)


def test_look_at_uses_tf_where_the_camera_moves(listener):
    pytest.importorskip('tf2_ros', reason='tf2_ros is in no package registry')
    from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
    from tf2_ros import StaticTransformBroadcaster
    feed, commands = GazeFeed(listener.node), []
    listener.node.create_subscription(
        Float64MultiArray, 'head_controller/commands', lambda m: commands.append([*m.data]), 10)
    # The camera looks to the robot's left, 0.3 m above the neck.
    turned = Quaternion(x=-math.sqrt(0.5), y=0.0, z=0.0, w=math.sqrt(0.5))
    broadcaster = StaticTransformBroadcaster(listener.node)
    broadcaster.sendTransform(TransformStamped(
        header=Header(frame_id='neck'), child_frame_id='cam_optical',
        transform=Transform(translation=Vector3(z=0.3), rotation=turned)))
    with running('people_node', *RELIABLE), example('look_at.py', 'base_frame:=neck'):
        feed.wait()
        feed.until(lambda: commands, person('f1', (0.5, 0.2, 1.0)))
    # x right of the camera is forward, its z is to the left, its y is down.
    assert commands[-1] == pytest.approx(
        [math.atan2(1.0, 0.5), -math.atan2(0.1, math.hypot(0.5, 1.0))], abs=1e-3)
