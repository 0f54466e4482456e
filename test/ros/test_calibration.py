from gaze_ros.core.errors import SourceError
from gaze_ros.core.geometry import pixel_ray
from gaze_ros.ros.calibration import calibration_of, load_camera_info
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo

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


@pytest.mark.parametrize('count,padded', [
    (0, 0), (1, 4), (3, 4), (4, 4), (5, 5), (6, 8), (13, 14)])
def test_any_number_of_coefficients_gives_a_ray(count, padded):
    info = CameraInfo(width=640, height=480, distortion_model='plumb_bob',
                      d=[0.01] * count, k=[500., 0., 320., 0., 500., 240., 0., 0., 1.])
    made = calibration_of(info)
    assert len(made.distortion) == padded
    ray = pixel_ray(420, 140, made.matrix, made.distortion)
    assert np.linalg.norm(ray - pixel_ray(420, 140, made.matrix)) < 0.02


@pytest.mark.parametrize('change', [
    {'k': [0.] * 9}, {'distortion_model': 'equidistant'}, {'d': [0.] * 15}])
def test_what_cannot_be_used_is_no_calibration(change):
    good = {'width': 640, 'height': 480, 'distortion_model': 'plumb_bob', 'd': [0.1] * 5,
            'k': [500., 0., 320., 0., 500., 240., 0., 0., 1.]}
    assert calibration_of(CameraInfo(**good)) is not None
    assert calibration_of(CameraInfo(**{**good, **change})) is None
