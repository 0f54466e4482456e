"""humans:=true of the people node, with hri_msgs and without."""
from importlib.util import find_spec
from itertools import count

from gaze_ros.core.geometry.crops import face_crop
from gaze_ros.core.types import Face, FrameGaze, Gaze
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import bgr_to_image, gaze_array, image_to_bgr
from helpers.gaze_feed import GazeFeed, RELIABLE
from helpers.processes import Process, python_path, running, wait_until
from helpers.ros_client import call_service
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, Float32, Header, String
from tf2_msgs.msg import TFMessage

WITHOUT = find_spec('hri_msgs') is None
needs_hri_msgs = pytest.mark.skipif(
    WITHOUT, reason='hri_msgs is in no package registry; build ros4hri/hri_msgs for this')
ABSENT = 'humans:=true needs the package hri_msgs, which cannot be imported'


@pytest.fixture
def without_hri_msgs(tmp_path):
    """Return an environment without hri_msgs, as every installation by pip is."""
    if WITHOUT:
        return {}
    (tmp_path / 'hri_msgs.py').write_text("raise ImportError('hidden by a test')\n")
    return {'PYTHONPATH': python_path(tmp_path)}


def set_state(listener, step: str) -> bool:
    """Ask the people node for a transition; return whether it succeeded."""
    transition = Transition(id=getattr(Transition, f'TRANSITION_{step}'))
    return call_service(listener.node, ChangeState, 'people/change_state',
                        ChangeState.Request(transition=transition)).success


def test_missing_hri_msgs_ends_the_node_with_a_remedy(without_hri_msgs):
    process = Process('people_node', 'humans:=true', env=without_hri_msgs)
    assert process.end() == 1
    errors = [line for line in process.lines if ABSENT in line]
    assert len(errors) == 1 and 'hri-msgs' in errors[0] and 'or set humans to false' in errors[0]
    assert 'Traceback' not in process.text


def test_missing_hri_msgs_fails_a_managers_configure(
        without_hri_msgs, listener):
    with running('people_node', 'humans:=true', 'autostart:=false',
                 env=without_hri_msgs) as process:
        assert not set_state(listener, 'CONFIGURE')
        process.wait_for(ABSENT)
        state = call_service(listener.node, GetState, 'people/get_state', GetState.Request())
        assert state.current_state.id == State.PRIMARY_STATE_UNCONFIGURED


@needs_hri_msgs
def test_faces_are_published_and_withdrawn_at_shutdown(listener):
    from hri_msgs import msg as hri
    face = Face((100, 100, 80, 110), 0.9, np.full((5, 2), 120.0))
    looking = FrameGaze(640, 480, 'adas', [Gaze('f1', face, looking_at_camera=True)])
    bgr = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    images = listener.node.create_publisher(Image, topics.IMAGE, topics.default_qos())
    gazes = listener.node.create_publisher(GazeArray, topics.GAZE, topics.default_qos())
    heard = {name: [] for name in (
        'faces/tracked', 'faces/f1/roi', 'faces/f1/landmarks', 'faces/f1/cropped',
        'faces/f1/aligned', 'interactions/gazing')}
    for (name, messages), kind in zip(heard.items(), (
            hri.IdsList, hri.NormalizedRegionOfInterest2D, hri.FacialLandmarks, Image, Image,
            hri.Gaze)):
        listener.node.create_subscription(
            kind, f'/humans/{name}', messages.append, topics.reliable_qos(100))
    seconds = count(1)

    def published() -> bool:
        header = Header(frame_id='front_optical')
        header.stamp.sec = next(seconds)
        images.publish(bgr_to_image(bgr, header))
        gazes.publish(gaze_array(looking, header))
        return all(heard.values())

    with running('people_node', 'humans:=true', 'persons:=false'):
        wait_until(published, 20, 'all topics of a face')
        assert heard['faces/tracked'][-1].ids == ['f1']
        gazing, image = heard['interactions/gazing'][-1], heard['faces/f1/cropped'][-1]
        assert (gazing.sender, gazing.receiver) == ('f1', '')
        np.testing.assert_array_equal(
            image_to_bgr(image), face_crop(bgr, (100, 100, 80, 110), 128))
        # A restarted gaze node gives f1 to the first face, after a pause.
        lists = heard['faces/tracked']
        before = len(lists)
        for _ in range(9):
            next(seconds)

        def restarted() -> bool:
            ids = [m.ids for m in lists[before:]]
            return published() and [] in ids and ids[-1] == ['f1']

        wait_until(restarted, 20, 'an empty list, then f1 again')
    wait_until(lambda: heard['faces/tracked'][-1].ids == [], 10, 'an empty list at the end')


@needs_hri_msgs
def test_node_can_be_configured_again(listener):
    with running('people_node', 'humans:=true', 'autostart:=false'):
        for step in 2 * ('CONFIGURE', 'ACTIVATE', 'DEACTIVATE', 'CLEANUP'):
            assert set_state(listener, step), step


@needs_hri_msgs
def test_persons_with_their_faces_engagement_and_frames(listener):
    from hri_msgs import msg as hri
    feed = GazeFeed(listener.node)
    looking, away = (
        Gaze('f1', Face((100, 100, 80, 110), 0.9), looking_at_camera=at_camera,
             origin=np.array([0.1, 0.0, 1.0]), direction=np.array([0.0, 1.0, 0.0]),
             head_pitch=0.0, head_yaw=yaw, head_stddev=0.1)
        for at_camera, yaw in ((True, 0.0), (False, 1.2)))
    heard = {name: [] for name in (
        'persons/tracked', 'persons/p_f1/engagement_status', 'persons/p_f1/location_confidence',
        'interactions/gazing')}
    for (name, messages), kind in zip(heard.items(), (
            hri.IdsList, hri.EngagementLevel, Float32, hri.Gaze)):
        listener.node.create_subscription(
            kind, f'/humans/{name}', messages.append, topics.reliable_qos(100))
    frames = listener.subscribe(TFMessage, '/tf')
    levels = heard['persons/p_f1/engagement_status']

    def has_level(level):
        """Return whether a level was heard since; some are over before the next look."""
        before = len(levels)
        return lambda: level in {message.level for message in levels[before:]}

    with running('people_node', 'humans:=true', 'engagement_duration:=3.0', *RELIABLE) as node:
        feed.wait()
        # Discovers the topics of the person, which exist since the first image.
        feed.until(lambda: levels, away)
        feed.until(has_level(hri.EngagementLevel.ENGAGED), looking)
        assert hri.EngagementLevel.ENGAGING in {m.level for m in levels}
        assert heard['persons/tracked'][-1].ids == ['p_f1']
        assert heard['persons/p_f1/location_confidence'][-1].data == 1.0
        gazing = heard['interactions/gazing'][-1]
        assert (gazing.sender, gazing.receiver) == ('p_f1', '')
        wait_until(lambda: {t.child_frame_id for t in frames[-1].transforms} == {
            'face_f1', 'gaze_f1', 'person_p_f1'}, 10, 'the frame of the person')
        # Who subscribes later gets the face of the person.
        faces, anonymous = [], []
        latched = topics.reliable_qos(1, transient_local=True)
        for kind, name, messages in (
                (String, 'face_id', faces), (Bool, 'anonymous', anonymous)):
            listener.node.create_subscription(
                kind, f'/humans/persons/p_f1/{name}', messages.append, latched)
        wait_until(lambda: faces and anonymous, 10, 'the latched topics')
        assert (faces[0].data, anonymous[0].data) == ('f1', True)
        feed.until(has_level(hri.EngagementLevel.DISENGAGING), away)
        feed.until(has_level(hri.EngagementLevel.DISENGAGED), away)
        feed.until(lambda: heard['persons/tracked'][-1].ids == [])
        feed.until(has_level(hri.EngagementLevel.ENGAGED), looking)
        # A person manager beside it is warned of, once.
        other = listener.node.create_publisher(hri.IdsList, '/humans/persons/tracked', 10)
        second = Gaze('f2', Face((10, 10, 50, 50), 0.9), origin=np.array([0.5, 0.0, 1.0]))
        feed.until(lambda: 'set persons to false' in node.text, looking, second)
        listener.node.destroy_publisher(other)
    wait_until(lambda: heard['persons/tracked'][-1].ids == [], 10, 'an empty list at the end')
