import time

from gaze_ros.core.errors import SourceError
from gaze_ros.core.geometry.camera_model import Lens
from gaze_ros.core.sources.sample import Sample
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.camera_info import calibration_from_camera_info, load_camera_info
from gaze_ros.ros.comm.conversions import bgr_to_image
from helpers.processes import running, wait_until
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Header

GOOD = """
image_width: 640
image_height: 480
camera_name: head_camera
camera_matrix:
  rows: 3
  cols: 3
  data: [438.8, 0, 305.6, 0, 437.3, 243.7, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.36, 0.11, 0.001, 0.0005, 0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [393.6, 0, 322.8, 0, 0, 393.6, 241.1, 0, 0, 0, 1, 0]
"""


def test_the_standard_file_is_read(tmp_path):
    path = tmp_path / 'a b.yaml'
    path.write_text(GOOD)
    for url in (str(path), f'file://{str(path).replace(" ", "%20")}'):
        info = load_camera_info(url)
        assert (info.width, info.height, info.distortion_model) == (640, 480, 'plumb_bob')
        assert info.k[:3].tolist() == [438.8, 0, 305.6]
        assert info.d.tolist() == [-0.36, 0.11, 0.001, 0.0005, 0]
        assert info.r.tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1]
        assert info.p[0] == 393.6


def test_no_url_is_no_calibration():
    assert load_camera_info('').k.tolist() == [0] * 9


@pytest.mark.parametrize('old,new,reason', [
    ('image_width: 640', '', 'image_width'),
    ('243.7, 0, 0, 1]', '243.7]', 'camera_matrix has 6 values, 9 were expected'),
    ('438.8', 'wide', 'wide'),
    ('image_height: 480', 'image_height: -480', 'image_height are 640 and -480'),
    (GOOD, '', 'NoneType'), (GOOD, '[1, 2]', 'list'), (GOOD, '{a: [', 'Error'),
    (GOOD, '!!python/object/apply:os.system [true]', 'could not determine a constructor'),
])
def test_what_is_no_calibration_is_refused_naming_the_file(tmp_path, old, new, reason):
    path = tmp_path / 'camera.yaml'
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(SourceError, match=reason) as told:
        load_camera_info(str(path))
    assert str(path) in str(told.value)


@pytest.mark.parametrize('url', [
    '/nowhere.yaml', 'file:///nowhere.yaml', 'package://no_such_package/camera.yaml',
    'package:///camera.yaml', 'http://[', 'file:///tmp'])
def test_what_cannot_be_read_is_told(url):
    with pytest.raises(SourceError, match='camera_info_url'):
        load_camera_info(url)


@settings(max_examples=200, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_refused_in_order(tmp_path, content):
    path = tmp_path / 'camera.yaml'
    path.write_bytes(content)
    with pytest.raises(SourceError):
        load_camera_info(str(path))


K = [500., 0., 320., 0., 500., 240., 0., 0., 1.]


def info_of(**change):
    return CameraInfo(**{'width': 640, 'height': 480, 'distortion_model': 'plumb_bob',
                         'd': [0.1] * 5, 'k': K, **change})


@pytest.mark.parametrize('model,count,padded', [
    *(('plumb_bob', n, m) for n, m in (
        (0, 0), (1, 4), (3, 4), (4, 4), (5, 5), (6, 8), (8, 8), (9, 12), (13, 14), (14, 14))),
    ('rational_polynomial', 8, 8), ('rational_polynomial', 5, 5), ('equidistant', 4, 4),
    ('fisheye', 4, 4), ('fisheye', 2, 4), ('', 0, 0)])
def test_any_number_of_coefficients_gives_a_ray(model, count, padded):
    info = info_of(distortion_model=model, d=[0.01] * count)
    made, complaint = calibration_from_camera_info(info)
    assert complaint == ''
    assert len(made.distortion) == padded
    assert made.fisheye == (padded == 4 and model in ('equidistant', 'fisheye'))
    rays, exact = Lens(made.matrix_for(640, 480), made.distortion, made.fisheye).rays(
        [[420, 140]])
    assert exact.all()
    assert np.linalg.norm(rays[0] - Lens(np.reshape(K, (3, 3))).rays([[420, 140]])[0]) < 0.02


@pytest.mark.parametrize('model', ['plumb_bob', 'rational_polynomial', 'equidistant', 'fisheye'])
def test_a_file_of_each_model_makes_a_calibration(tmp_path, model):
    path = tmp_path / 'camera.yaml'
    path.write_text(GOOD.replace('plumb_bob', model).replace(', 0.0005, 0]', ', 0.0005]'))
    made = calibration_from_camera_info(load_camera_info(str(path)))[0]
    assert made.fisheye == (model in ('equidistant', 'fisheye'))
    assert made.distortion.tolist() == [-0.36, 0.11, 0.001, 0.0005]


def test_binning_and_region_are_taken():
    made, _ = calibration_from_camera_info(info_of(binning_x=2, roi=RegionOfInterest(
        x_offset=100, y_offset=50, width=400, height=200)))
    assert (made.binning, made.roi) == ((2, 1), (100, 50, 400, 200))
    np.testing.assert_allclose(
        made.matrix_for(200, 200), [[250, 0, 110], [0, 500, 190], [0, 0, 1]])


def test_the_same_message_makes_the_same_calibration_and_another_another():
    made = calibration_from_camera_info(info_of())[0]
    assert calibration_from_camera_info(info_of())[0] is made
    for change in ({'width': 1280}, {'k': [501., *K[1:]]}, {'d': [0.1] * 4}, {'binning_y': 2},
                   {'roi': RegionOfInterest(x_offset=1)}, {'distortion_model': ''}):
        assert calibration_from_camera_info(info_of(**change))[0] is not made


@pytest.mark.parametrize('change,reason', [
    ({'distortion_model': 'equidistant'}, 'D has 5 coefficients, at most 4 were expected'),
    ({'distortion_model': 'fov'}, "'fov' is not one of: plumb_bob, rational_polynomial, equid"),
    ({'d': [0.] * 15}, 'D has 15 coefficients, at most 14'),
    ({'d': [np.nan] * 5}, 'no number'), ({'k': [np.nan] * 9}, 'no number'),
    ({'k': [-500., *K[1:]]}, 'focal lengths of -500'), ({'k': [0., *K[1:]]}, 'lengths of 0'),
    ({'k': [*K[:4], 0., *K[5:]]}, 'focal lengths of 500 and 0'), ({'width': 0}, '0x480'),
    ({'height': 0}, '640x0'), ({'d': [-9., 0., 0., 0.]}, 'folds'),
    ({'roi': RegionOfInterest(width=641, height=480)}, 'is no part of 640x480')])
def test_what_cannot_be_used_is_no_calibration_and_says_why(change, reason):
    assert calibration_from_camera_info(info_of())[0] is not None
    made, complaint = calibration_from_camera_info(info_of(**change))
    assert made is None and reason in complaint


def test_a_camera_that_is_not_calibrated_is_no_complaint():
    for info in (CameraInfo(), info_of(k=[0.] * 9)):
        assert calibration_from_camera_info(info) == (None, '')


@settings(max_examples=300)
@given(k=st.lists(st.floats(), min_size=9, max_size=9), d=st.lists(st.floats(), max_size=16),
       width=st.integers(0, 2**32 - 1), binning=st.integers(0, 2**32 - 1),
       x=st.integers(0, 2**32 - 1),
       model=st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant', '', 'else']))
def test_any_message_makes_a_calibration_or_a_complaint(k, d, width, binning, x, model):
    info = info_of(k=k, d=d, width=width, binning_x=binning, distortion_model=model,
                   roi=RegionOfInterest(x_offset=x))
    made, complaint = calibration_from_camera_info(info)
    assert made is None or complaint == ''
    assert made is not None or complaint or not any(k)
    if made is not None:
        made.matrix_for(640, 480)


def test_the_node_takes_changes_as_they_come_and_says_what_it_cannot_use(listener):
    pictures = listener.node.create_publisher(Image, '/camera/image_raw', topics.default_qos())
    infos = listener.node.create_publisher(CameraInfo, '/camera/camera_info', topics.default_qos())
    seen = listener.subscribe(GazeArray, '/gaze', lambda m: (
        m.calibrated, m.gazes and np.array([
            m.gazes[0].origin.x, m.gazes[0].origin.y, m.gazes[0].origin.z])))
    sample = Sample()

    def look_till(info, fits):
        """Show pictures with a calibration till a face is seen as it fits."""
        def shown():
            header = Header(stamp=listener.node.get_clock().now().to_msg())
            infos.publish(info)
            pictures.publish(bgr_to_image(sample.read(), header))
            time.sleep(0.1)
            return any(len(origin) and fits(known, origin) for known, origin in seen[-2:])
        wait_until(shown, 30, 'gaze of this calibration')

    def away(origin):
        return np.linalg.norm(origin)

    none = [0.0] * 4
    with running('gaze_node', 'smoothing_time:=0.0') as gaze:
        look_till(CameraInfo(), lambda known, o: not known and 0.3 < away(o) < 1.5)
        near = away(seen[-1][1])
        far = info_of(k=[1200., 0., 320., 0., 1200., 240., 0., 0., 1.], d=none)
        look_till(far, lambda known, o: known and 1.8 * near < away(o) < 2.6 * near)
        aside = info_of(k=[1200., 0., 320., 0., 1200., 240., 0., 0., 1.], d=none, width=1280,
                        roi=RegionOfInterest(x_offset=640, width=640, height=480))
        look_till(aside, lambda known, o: known and o[0] / o[2] > 0.3)
        wide = info_of(distortion_model='equidistant', d=none, k=[
            120., 0., 320., 0., 120., 240., 0., 0., 1.])
        look_till(wide, lambda known, o: known and away(o) < 0.4 * near)
        look_till(info_of(k=[np.nan] * 9), lambda known, o: not known and away(o) > 0.5 * near)
        gaze.wait_for('the calibration in camera_info cannot be used: K or D has a value that is')
    assert gaze.text.count('cannot be used') == 1
