"""TF frames of faces and gazes."""
import math

from gaze_ros.core.types import Face, FrameGaze, Gaze
from gaze_ros.ros.publishers.tf_frames import gaze_transforms, TfFramePublisher
from helpers.processes import wait_until
import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

FACE = Face((0, 0, 50, 50), 0.9)
#: REP-155's axes of a face toward the lens, in the optical frame: x = -z, y = x, z = -y.
TOWARD = Rotation.from_matrix(np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])).as_quat()


def header(sec=12, frame_id='cam_optical'):
    one = Header(frame_id=frame_id)
    one.stamp.sec, one.stamp.nanosec = sec, 345
    return one


def frame(*gazes):
    return FrameGaze(640, 480, '', list(gazes))


def gaze(track_id='f1', direction=(0.6, 0, -0.8), origin=(0.1, -0.2, 1.5), orientation=TOWARD):
    return Gaze(track_id, FACE, direction=np.array(direction, float),
                origin=np.array(origin, float), orientation=np.array(orientation, float))


def rotation(transform):
    q = transform.transform.rotation
    return np.array([q.x, q.y, q.z, q.w])


def test_each_person_has_a_face_and_a_gaze_frame_at_the_same_origin():
    face, look, *others = gaze_transforms(frame(gaze(), gaze('f22')), header())
    assert [t.child_frame_id for t in (face, look, *others)] == [
        'face_f1', 'gaze_f1', 'face_f22', 'gaze_f22']
    for transform in (face, look):
        assert transform.header == header()
        at = transform.transform.translation
        assert (at.x, at.y, at.z) == (0.1, -0.2, 1.5)
        assert np.linalg.norm(rotation(transform)) == pytest.approx(1)


def test_axes_follow_rep_155():
    face, look = gaze_transforms(frame(gaze()), header())
    # Out of the face: toward the lens. The person's left is the image's right.
    np.testing.assert_allclose(
        Rotation.from_quat(rotation(face)).as_matrix().T, [(0, 0, -1), (1, 0, 0), (0, -1, 0)],
        atol=1e-6)
    # The gaze points to the right of the image: seen along it, the lens is on the left.
    np.testing.assert_allclose(
        Rotation.from_quat(rotation(look)).as_matrix().T,
        [(-0.8, 0, -0.6), (0, 1, 0), (0.6, 0, -0.8)], atol=1e-6)


def test_mirrored_scene_gives_mirrored_gazes():
    """An image flipped left to right: axes that pointed right point left."""
    mirror = np.array([-1, 1, 1])
    direction = np.array([0.48, 0.6, -0.64])
    _, one = gaze_transforms(frame(gaze(direction=direction)), header())
    _, two = gaze_transforms(frame(gaze(direction=direction * mirror)), header())
    a, b = (Rotation.from_quat(rotation(t)).as_matrix() for t in (one, two))
    np.testing.assert_allclose(b[:, 2], a[:, 2] * mirror, atol=1e-6)
    np.testing.assert_allclose(b[:, 1], a[:, 1] * mirror, atol=1e-6)
    np.testing.assert_allclose(b[:, 0], -a[:, 0] * mirror, atol=1e-6)


def test_unknown_positions_and_gazes_are_not_broadcast():
    nan3 = (math.nan,) * 3
    names = [t.child_frame_id for t in gaze_transforms(frame(
        gaze('f1', direction=nan3), gaze('f2', origin=nan3),
        gaze('f3', orientation=(0, 0, 0, 0))), header())]
    assert names == ['face_f1', 'gaze_f3']


@pytest.mark.parametrize('orientation', [(0, 0, 0, 2), (1, 1, 1, 1), (-3, 0, 0, 0.1)])
def test_quaternions_are_normalised(orientation):
    face, _ = gaze_transforms(frame(gaze(orientation=orientation)), header())
    np.testing.assert_allclose(
        rotation(face), np.array(orientation) / np.linalg.norm(orientation))


def test_one_message_per_image_and_none_for_invalid_stamps_or_frames(listener):
    heard = []
    listener.node.create_subscription(TFMessage, '/tf', heard.append, 100)
    frames = TfFramePublisher(listener.node)
    wait_until(lambda: listener.node.count_subscribers('/tf'), 10, 'discovery')
    info, = listener.node.get_publishers_info_by_topic('/tf')
    assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert info.qos_profile.durability == DurabilityPolicy.VOLATILE
    no_frame, no_stamp = header(frame_id=''), header()
    no_stamp.stamp.sec = no_stamp.stamp.nanosec = 0
    for invalid in (no_frame, no_stamp):
        frames.publish(frame(gaze()), invalid)
    frames.publish(frame(), header())
    frames.publish(frame(gaze(), gaze('f2')), header(13))
    # tf2 ignores a second frame of one time, with a warning.
    frames.publish(frame(gaze(), gaze('f2')), header(13))
    frames.publish(frame(gaze()), header(14))
    wait_until(lambda: len(heard) == 2, 10, 'two messages')
    assert [(m.transforms[0].header.stamp.sec, len(m.transforms)) for m in heard] == [
        (13, 4), (14, 2)]
