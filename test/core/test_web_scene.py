"""What is in the viewer's scene in 3-D, on viser's server without a browser."""
from gaze_ros.core.attention.attention import Attention, Target
from gaze_ros.core.attention.targets import parse_targets, Pose
from gaze_ros.core.types import Face, Gaze
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

viser = pytest.importorskip('viser')
from gaze_ros.core.output import web_scene  # noqa: E402

CUP, SCREEN, POINT = parse_targets({'targets': [
    {'name': 'cup', 'position': [0.1, 0.2, 1], 'radius': 0.05},
    {'name': 'screen', 'position': [0, 0.3, 0.4], 'size': [0.6, 0.3], 'rpy': [0, 2.5, 0]},
    {'name': 'switch', 'position': [1, 0, 1]}]})


@pytest.fixture(scope='module')
def scene():
    server = viser.ViserServer('127.0.0.1', 18070, verbose=False)
    yield server.scene
    server.stop()


def test_targets_are_where_they_are(scene):
    cup, screen, point = (
        web_scene.Object(scene, f'/{n}', target) for n, target in enumerate((CUP, SCREEN, POINT)))
    assert tuple(cup._body.position) == (0.1, 0.2, 1) and cup._label.text == 'cup'
    assert cup._body.radius == 0.05 and point._body.radius > 0
    assert tuple(screen._body.dimensions)[:2] == (0.6, 0.3)
    w, x, y, z = screen._body.wxyz
    np.testing.assert_allclose(
        Rotation.from_quat((x, y, z, w)).as_matrix(), SCREEN.shape.axes, atol=1e-6)
    # A robot that moves: the same target elsewhere.
    moved = SCREEN.placed(Pose(np.eye(3), np.array([1.0, 0, 0])))
    assert screen.fits(moved) and not screen.fits(CUP) and not cup.fits(POINT)
    screen.show(moved)
    assert tuple(screen._body.position) == tuple(screen._label.position) == (1, 0.3, 0.4)


def test_ray_ends_where_the_gaze_meets_a_target(scene):
    gaze = Gaze('f1', Face((0, 0, 9, 9), 0.9), direction=np.array([0, 0, -1.0]),
                origin=np.array([0, 0, 1.5]))
    person = web_scene.Person(scene, '/p', gaze)
    person.show(gaze, Attention('f1', Target.OBJECT, 0, 'cup'), CUP.shape.center)
    np.testing.assert_allclose(person._ray.points[0], [gaze.origin, CUP.shape.center], atol=1e-6)
    assert person._hit.visible and person._label.text == 'f1: cup'
    person.show(gaze, Attention('f1', Target.ELSEWHERE, 0), None)
    assert person._ray.points[0][1][2] < 0 and not person._hit.visible
