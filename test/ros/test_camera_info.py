import time

import cv2
from gaze_ros.core.errors import GazeRosError, SourceError
from gaze_ros.core.geometry.camera_model import Lens
from gaze_ros.core.sources.rotation import (
    axis_rotation,
    pixel_rotation,
    rotate_image,
    ROTATIONS,
)
from gaze_ros.core.sources.sample import Sample
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.camera_info import (
    calibration_from_camera_info,
    CameraInfoManager,
    load_camera_info,
    rotated_camera_info,
    save_camera_info,
)
from gaze_ros.ros.comm.conversions import bgr_to_image, image_to_bgr
from helpers.processes import running, wait_until
from helpers.ros_client import call_service
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from sensor_msgs.srv import SetCameraInfo
from std_msgs.msg import Header
import yaml

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


def test_standard_file_is_read(tmp_path):
    path = tmp_path / 'a b.yaml'
    path.write_text(GOOD)
    for url in (str(path), f'file://{str(path).replace(" ", "%20")}'):
        info = load_camera_info(url)
        assert (info.width, info.height, info.distortion_model) == (640, 480, 'plumb_bob')
        assert info.k[:3].tolist() == [438.8, 0, 305.6]
        assert info.d.tolist() == [-0.36, 0.11, 0.001, 0.0005, 0]
        assert info.r.tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1]
        assert info.p[0] == 393.6


def test_empty_url_gives_no_calibration():
    assert load_camera_info('').k.tolist() == [0] * 9


@pytest.mark.parametrize('old,new,reason', [
    ('image_width: 640', '', 'image_width'),
    ('243.7, 0, 0, 1]', '243.7]', 'camera_matrix has 6 values; expected 9'),
    ('438.8', 'wide', 'wide'),
    ('image_height: 480', 'image_height: -480', 'image_width is 640 and image_height is -480'),
    (GOOD, '', 'NoneType'), (GOOD, '[1, 2]', 'list'), (GOOD, '{a: [', 'Error'),
    (GOOD, '!!python/object/apply:os.system [true]', 'could not determine a constructor'),
])
def test_invalid_calibration_is_rejected_naming_the_file(tmp_path, old, new, reason):
    path = tmp_path / 'camera.yaml'
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(SourceError, match=reason) as error:
        load_camera_info(str(path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize('url', [
    '/nowhere.yaml', 'file:///nowhere.yaml', 'package://no_such_package/camera.yaml',
    'package:///camera.yaml', 'http://[', 'file:///tmp'])
def test_unreadable_file_is_reported(url):
    with pytest.raises(SourceError, match='camera_info_url'):
        load_camera_info(url)


@settings(max_examples=200, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_arbitrary_bytes_are_rejected(tmp_path, content):
    path = tmp_path / 'camera.yaml'
    path.write_bytes(content)
    with pytest.raises(SourceError):
        load_camera_info(str(path))


K = [500., 0., 320., 0., 500., 240., 0., 0., 1.]


RECTIFIED = [400., 0., 310., 0., 0., 410., 230., 0., 0., 0., 1., 0.]


def info_of(**change):
    return CameraInfo(**{'width': 640, 'height': 480, 'distortion_model': 'plumb_bob',
                         'd': [0.1] * 5, 'k': K, **change})


@pytest.mark.parametrize('model,count,padded', [
    *(('plumb_bob', n, m) for n, m in (
        (0, 0), (1, 4), (3, 4), (4, 4), (5, 5), (6, 8), (8, 8), (9, 12), (13, 14), (14, 14))),
    ('rational_polynomial', 8, 8), ('rational_polynomial', 5, 5), ('equidistant', 4, 4),
    ('fisheye', 4, 4), ('fisheye', 2, 4), ('', 0, 0)])
def test_every_valid_number_of_coefficients_gives_a_ray(model, count, padded):
    info = info_of(distortion_model=model, d=[0.01] * count)
    calibration, reason = calibration_from_camera_info(info)
    assert reason == ''
    assert len(calibration.distortion) == padded
    assert calibration.fisheye == (padded == 4 and model in ('equidistant', 'fisheye'))
    lens = Lens(calibration.matrix_for(640, 480), calibration.distortion, calibration.fisheye)
    rays, exact = lens.rays([[420, 140]])
    assert exact.all()
    assert np.linalg.norm(rays[0] - Lens(np.reshape(K, (3, 3))).rays([[420, 140]])[0]) < 0.02


@pytest.mark.parametrize('model', ['plumb_bob', 'rational_polynomial', 'equidistant', 'fisheye'])
def test_file_of_each_distortion_model_gives_a_calibration(tmp_path, model):
    path = tmp_path / 'camera.yaml'
    path.write_text(GOOD.replace('plumb_bob', model).replace(', 0.0005, 0]', ', 0.0005]'))
    calibration = calibration_from_camera_info(load_camera_info(str(path)))[0]
    assert calibration.fisheye == (model in ('equidistant', 'fisheye'))
    assert calibration.distortion.tolist() == [-0.36, 0.11, 0.001, 0.0005]


def test_binning_and_roi_are_applied():
    calibration, _ = calibration_from_camera_info(info_of(binning_x=2, roi=RegionOfInterest(
        x_offset=100, y_offset=50, width=400, height=200)))
    assert (calibration.binning, calibration.roi) == ((2, 1), (100, 50, 400, 200))
    np.testing.assert_allclose(
        calibration.matrix_for(200, 200), [[250, 0, 110], [0, 500, 190], [0, 0, 1]])


def test_equal_messages_give_the_same_calibration_object():
    calibration = calibration_from_camera_info(info_of())[0]
    assert calibration_from_camera_info(info_of())[0] is calibration
    for change in ({'width': 1280}, {'k': [501., *K[1:]]}, {'d': [0.1] * 4}, {'binning_y': 2},
                   {'roi': RegionOfInterest(x_offset=1)}, {'distortion_model': ''}):
        assert calibration_from_camera_info(info_of(**change))[0] is not calibration


@pytest.mark.parametrize('change,reason', [
    ({'distortion_model': 'equidistant'}, 'D has 5 coefficients; expected at most 4'),
    ({'distortion_model': 'fov'}, "'fov' is not one of: plumb_bob, rational_polynomial, equid"),
    ({'d': [0.] * 15}, 'D has 15 coefficients; expected at most 14'),
    ({'d': [np.nan] * 5}, 'not finite'), ({'k': [np.nan] * 9}, 'not finite'),
    ({'k': [-500., *K[1:]]}, 'focal lengths of -500'), ({'k': [0., *K[1:]]}, 'lengths of 0'),
    ({'k': [*K[:4], 0., *K[5:]]}, 'focal lengths of 500 and 0'), ({'width': 0}, '0x480'),
    ({'k': [1., 0., 0., 0., 1., 0., 0., 0., 1.]}, 'focal length of 1 pixels for a width of 640'),
    ({'k': [0.] * 9, 'p': [-500., *RECTIFIED[1:]]}, 'P has focal lengths of -500'),
    ({'height': 0}, '640x0'), ({'d': [-9., 0., 0., 0.]}, 'folds'),
    ({'roi': RegionOfInterest(width=641, height=480)}, 'is not inside the image of 640x480')])
def test_unusable_camera_info_gives_a_reason(change, reason):
    assert calibration_from_camera_info(info_of())[0] is not None
    calibration, text = calibration_from_camera_info(info_of(**change))
    assert calibration is None and reason in text


def test_uncalibrated_camera_is_not_reported():
    for info in (CameraInfo(), info_of(k=[0.] * 9), info_of(k=[0.] * 8 + [1.])):
        assert calibration_from_camera_info(info) == (None, '')


@pytest.mark.parametrize('k', [[0.] * 9, [0.] * 8 + [1.]])
def test_p_is_taken_if_k_is_0(k):
    calibration, reason = calibration_from_camera_info(info_of(k=k, p=RECTIFIED))
    assert reason == '' and calibration.from_projection
    assert calibration.matrix.ravel().tolist() == [400., 0., 310., 0., 410., 230., 0., 0., 1.]
    assert not calibration.distortion.any()
    # It is scaled to images of another size.
    assert calibration.matrix_for(320, 240)[0, 0] == 200
    assert not calibration_from_camera_info(info_of(p=RECTIFIED))[0].from_projection


def test_file_with_k_of_0_is_scaled_by_p(tmp_path):
    path = tmp_path / 'camera.yaml'
    path.write_text(f"""image_width: 640
image_height: 480
distortion_model: plumb_bob
distortion_coefficients: {{data: [0, 0, 0, 0, 0]}}
camera_matrix: {{data: [0, 0, 0, 0, 0, 0, 0, 0, 0]}}
projection_matrix: {{data: {RECTIFIED}}}
""")
    warnings = []
    info = CameraInfoManager(str(path)).for_size(1280, 960, warnings.append)
    assert (info.width, info.height, info.k.any()) == (1280, 960, False)
    assert info.p.tolist() == [800., 0., 620., 0., 0., 820., 460., 0., 0., 0., 1., 0.]
    assert calibration_from_camera_info(info)[0].matrix[0, 0] == 800


@settings(max_examples=300)
@given(k=st.lists(st.floats(), min_size=9, max_size=9), d=st.lists(st.floats(), max_size=16),
       width=st.integers(0, 2**32 - 1), binning=st.integers(0, 2**32 - 1),
       x=st.integers(0, 2**32 - 1),
       model=st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant', '', 'else']))
def test_any_message_gives_a_calibration_or_a_reason(k, d, width, binning, x, model):
    info = info_of(k=k, d=d, width=width, binning_x=binning, distortion_model=model,
                   roi=RegionOfInterest(x_offset=x))
    calibration, reason = calibration_from_camera_info(info)
    assert calibration is None or reason == ''
    assert calibration is not None or reason or k[0] == k[4] == 0
    if calibration is not None:
        calibration.matrix_for(640, 480)


COEFFICIENTS = {'plumb_bob': [-0.2, 0.05, 0.004, -0.003, 0.01],
                'rational_polynomial': [0.5, 0.1, 0.004, -0.003, 0.01, 0.8, 0.2, 0.02],
                'equidistant': [0.03, -0.01, 0.004, -0.0006], 'fisheye': [0.03, -0.01]}
#: A stereo camera's: rectified by a rotation, with a baseline.
R = cv2.Rodrigues(np.array([0.02, -0.01, 0.03]))[0]
P = [480., 0., 310., -29., 0., 490., 235., 0., 0., 0., 1., 0.]


@settings(max_examples=200)
@given(degrees=st.sampled_from(ROTATIONS), model=st.sampled_from([*COEFFICIENTS]),
       binning=st.tuples(st.integers(0, 3), st.integers(0, 3)),
       roi=st.just((0, 0, 0, 0)) | st.tuples(
           st.integers(0, 300), st.integers(0, 200), st.integers(60, 340), st.integers(60, 280)))
def test_rotated_camera_info_gives_the_rays_of_the_rotated_pixels(degrees, model, binning, roi):
    x, y, w, h = roi
    info = info_of(
        distortion_model=model, d=COEFFICIENTS[model], binning_x=binning[0], binning_y=binning[1],
        k=[500., 0., 310., 0., 520., 250., 0., 0., 1.],
        roi=RegionOfInterest(x_offset=x, y_offset=y, width=w, height=h, do_rectify=True))
    width = (w or 640) // (binning[0] or 1)
    height = (h or 480) // (binning[1] or 1)
    rotated = rotated_camera_info(info, degrees)
    assert rotated.roi.do_rectify and rotated.distortion_model == model

    def rays(info, size, pixels):
        calibration, reason = calibration_from_camera_info(info)
        assert reason == ''
        lens = Lens(calibration.matrix_for(*size), calibration.distortion, calibration.fisheye)
        return lens.rays(pixels)[0]

    u, v = np.meshgrid(np.linspace(0, width - 1, 5), np.linspace(0, height - 1, 5))
    pixels = np.column_stack([u.ravel(), v.ravel()])
    matrix = pixel_rotation(degrees, width, height)
    turned = pixels @ matrix[:2, :2].T + matrix[:2, 2]
    size = (width, height) if degrees % 180 == 0 else (height, width)
    expected = rays(info, (width, height), pixels) @ axis_rotation(degrees).T
    np.testing.assert_allclose(rays(rotated, size, turned), expected, atol=1e-6)


@pytest.mark.parametrize('degrees', ROTATIONS)
def test_rotated_camera_info_rectifies_to_rotated_pixels(degrees):
    info = info_of(r=R.ravel(), p=P)
    rotated = rotated_camera_info(info, degrees)
    assert (rotated.width, rotated.height) == ((640, 480) if degrees % 180 == 0 else (480, 640))
    points = np.random.default_rng(1).uniform([-1, -1, 2], [1, 1, 4], (20, 3))

    def rectified(info, points):
        image = np.c_[points @ info.r.reshape(3, 3).T, np.ones(20)] @ info.p.reshape(3, 4).T
        return image / image[:, 2:]

    np.testing.assert_allclose(
        rectified(rotated, points @ axis_rotation(degrees).T),
        rectified(info, points) @ pixel_rotation(degrees, 640, 480).T)


def test_four_quarter_turns_change_nothing():
    roi = RegionOfInterest(x_offset=100, y_offset=50, width=400, height=200)
    info = info_of(d=COEFFICIENTS['plumb_bob'], r=R.ravel(), p=P, binning_x=2, roi=roi)
    turned = info
    for degrees in (90, 270, 180, 90, 90):
        turned = rotated_camera_info(turned, degrees)
    for name in ('k', 'd', 'r', 'p'):
        np.testing.assert_allclose(getattr(turned, name), getattr(info, name), atol=1e-12)
    for name in ('width', 'height', 'binning_x', 'binning_y', 'roi'):
        assert getattr(turned, name) == getattr(info, name)


@pytest.mark.parametrize('degrees', ROTATIONS)
def test_uncalibrated_camera_stays_uncalibrated_after_a_rotation(degrees):
    info = rotated_camera_info(CameraInfo(width=640, height=480), degrees)
    assert info == CameraInfo(**dict(zip(
        ('width', 'height'), (640, 480) if degrees % 180 == 0 else (480, 640))))
    rotated_camera_info(CameraInfo(), degrees)
    assert rotated_camera_info(info_of(distortion_model='fov', d=[0.1] * 20), degrees).d.tolist(
        ) == [0.1] * 20


def test_calibration_is_scaled_and_then_rotated(tmp_path):
    path = tmp_path / 'camera.yaml'
    path.write_text(GOOD)
    manager, warnings = CameraInfoManager(str(path)), []
    info = manager.for_size(320, 240, warnings.append, 90)
    assert (info.width, info.height) == (240, 320)
    np.testing.assert_allclose(
        info.k, [437.3 / 2, 0, 239 - 243.7 / 2, 0, 438.8 / 2, 305.6 / 2, 0, 0, 1])
    np.testing.assert_allclose(info.d, [-0.36, 0.11, 0.0005, -0.001, 0])
    np.testing.assert_allclose(
        info.p, [196.8, 0, 239 - 241.1 / 2, 0, 0, 196.8, 322.8 / 2, 0, 0, 0, 1, 0])
    assert len(warnings) == 1 and '640x480, but images have 320x240' in warnings[0]
    plain = manager.for_size(640, 480, warnings.append)
    assert plain.k[0] == 438.8 and plain.d[2] == 0.001
    wrong = manager.for_size(480, 640, warnings.append, 90)
    assert (wrong.width, wrong.height, wrong.k[0]) == (640, 480, 0)


@pytest.mark.parametrize(('rotate', 'log'), [('90', ''), ('auto', 'rotate auto: 90 (3 images')])
def test_camera_node_rotates_images_and_calibration(listener, tmp_path, rotate, log):
    upright = Sample().read()
    cv2.imwrite(str(tmp_path / 'image.png'), rotate_image(upright, 270))
    (tmp_path / 'camera.yaml').write_text(GOOD.replace('640', '480', 1).replace(
        'image_height: 480', 'image_height: 640'))
    images = listener.subscribe(Image, '/camera/image_raw')
    infos = listener.subscribe(CameraInfo, '/camera/camera_info')
    with running('camera_node', f"source:={tmp_path / 'image.png'}", 'loop:=true',
                 f"camera_info_url:={tmp_path / 'camera.yaml'}", f'rotate:={rotate}') as camera:
        if log:
            camera.wait_for(log, 30)
        count = len(images), len(infos)
        wait_until(lambda: len(images) > count[0] + 2 and len(infos) > count[1] + 2, 20, 'images')
    np.testing.assert_array_equal(image_to_bgr(images[-1]), upright)
    info = infos[-1]
    assert info.header.frame_id == images[-1].header.frame_id == 'camera_optical'
    assert (info.width, info.height) == (640, 480)
    np.testing.assert_allclose(info.k, [437.3, 0, 639 - 243.7, 0, 438.8, 305.6, 0, 0, 1])
    np.testing.assert_allclose(info.d, [-0.36, 0.11, 0.0005, -0.001, 0])


def test_node_follows_camera_info_and_reports_what_it_cannot_use(listener):
    images = listener.node.create_publisher(Image, '/camera/image_raw', topics.default_qos())
    infos = listener.node.create_publisher(CameraInfo, '/camera/camera_info', topics.default_qos())
    seen = listener.subscribe(GazeArray, '/gaze', lambda m: (
        m.calibrated, m.gazes and np.array([
            m.gazes[0].origin.x, m.gazes[0].origin.y, m.gazes[0].origin.z])))
    sample = Sample()

    def publish_until(info, condition):
        """Publish images with a calibration until the position of a face meets a condition."""
        def published():
            header = Header(stamp=listener.node.get_clock().now().to_msg())
            infos.publish(info)
            images.publish(bgr_to_image(sample.read(), header))
            time.sleep(0.1)
            return any(len(origin) and condition(known, origin) for known, origin in seen[-2:])
        wait_until(published, 30, 'gaze of this calibration')

    def distance(origin):
        return np.linalg.norm(origin)

    none = [0.0] * 4
    with running('gaze_node', 'smoothing_time:=0.0') as gaze:
        publish_until(CameraInfo(), lambda known, o: not known and 0.3 < distance(o) < 1.5)
        near = distance(seen[-1][1])
        far = info_of(k=[1200., 0., 320., 0., 1200., 240., 0., 0., 1.], d=none)
        publish_until(far, lambda known, o: known and 1.8 * near < distance(o) < 2.6 * near)
        aside = info_of(k=[1200., 0., 320., 0., 1200., 240., 0., 0., 1.], d=none, width=1280,
                        roi=RegionOfInterest(x_offset=640, width=640, height=480))
        publish_until(aside, lambda known, o: known and o[0] / o[2] > 0.3)
        wide = info_of(distortion_model='equidistant', d=none, k=[
            120., 0., 320., 0., 120., 240., 0., 0., 1.])
        publish_until(wide, lambda known, o: known and distance(o) < 0.4 * near)
        publish_until(
            info_of(k=[np.nan] * 9), lambda known, o: not known and distance(o) > 0.5 * near)
        gaze.wait_for('the calibration in camera_info cannot be used: K or D has a value that is')
    assert gaze.text.count('cannot be used') == 1


@pytest.mark.parametrize('model', [*COEFFICIENTS])
def test_saved_calibration_is_read_back_exactly(tmp_path, model):
    info = info_of(distortion_model=model, d=COEFFICIENTS[model], r=R.ravel(), p=P)
    path = save_camera_info(f'file://{tmp_path}/new/a%20b.yaml', info, 'head')
    assert path == tmp_path / 'new' / 'a b.yaml'
    assert load_camera_info(str(path)) == info
    # What camera_calibration_parsers requires beside what load_camera_info does.
    content = yaml.safe_load(path.read_text())
    assert content['camera_name'] == 'head'
    assert [(content[name]['rows'], content[name]['cols']) for name in (
        'camera_matrix', 'distortion_coefficients', 'rectification_matrix', 'projection_matrix',
    )] == [(3, 3), (1, len(info.d)), (3, 3), (3, 4)]


@pytest.mark.parametrize(('change', 'reason'), [
    ({'k': [0.] * 9}, 'K and P have no focal length'),
    ({'k': [np.nan] * 9}, 'K has a value that is not finite'),
    ({'p': [np.inf] * 12}, 'P has a value that is not finite'),
    ({'width': 0}, 'the calibrated image size is 0x480'),
    ({'distortion_model': 'fov'}, "distortion_model 'fov' is not one of: plumb_bob"),
    ({'d': [0.1] * 20}, 'D has 20 coefficients'), ({'binning_x': 2}, 'binning'),
    ({'roi': RegionOfInterest(width=320, height=240)}, 'expected the full image')])
def test_calibration_that_a_file_cannot_hold_is_not_saved(tmp_path, change, reason):
    path = tmp_path / 'camera.yaml'
    path.write_text(GOOD)
    with pytest.raises(GazeRosError, match=reason):
        save_camera_info(str(path), info_of(**change), 'head')
    assert path.read_text() == GOOD


@pytest.mark.parametrize('url', ['/dev/null', '/proc/camera.yaml', 'package://none/camera.yaml'])
def test_calibration_is_saved_to_a_file_only(url):
    with pytest.raises(GazeRosError, match=url):
        save_camera_info(url, info_of(), 'head')


@pytest.mark.parametrize('rotate', [0, 90])
def test_calibration_from_the_service_is_used_and_loaded_at_the_next_start(
        listener, tmp_path, rotate):
    """As cameracalibrator does at COMMIT: with the size of the images that it has received."""
    path = tmp_path / 'camera.yaml'
    height, width = rotate_image(Sample().read(), rotate).shape[:2]
    path.write_text(GOOD.replace('640', '1280', 1).replace('480', '960', 1))
    sent = info_of(width=width, height=height, d=[0.1, 0.02, 0.001, 0.002, 0.0], r=R.ravel(),
                   p=P, k=[700., 0., width / 2, 0., 710., height / 2, 0., 0., 1.])
    images = listener.subscribe(Image, '/camera/image_raw', lambda m: (
        m.header.stamp.sec, m.header.stamp.nanosec, m.width, m.height))
    infos = listener.subscribe(CameraInfo, '/camera/camera_info')

    def wait_for_calibration():
        wait_until(lambda: infos and np.allclose(infos[-1].k, sent.k), 30, 'the calibration')
        for name in ('d', 'r', 'p'):
            np.testing.assert_allclose(getattr(infos[-1], name), getattr(sent, name))
        assert infos[-1].distortion_model == 'plumb_bob'
        # Each camera_info has the stamp and the size of its image.
        wait_until(lambda: {(i.header.stamp.sec, i.header.stamp.nanosec, i.width, i.height)
                            for i in infos} & {*images}, 10, 'an image with its camera_info')
        assert {i[2:] for i in images} == {(width, height)}
        infos.clear()

    start = ('source:=sample', f'rotate:={rotate}', f'camera_info_url:=file://{path}')
    with running('camera_node', *start):
        wait_until(lambda: infos, 30, 'camera_info')
        assert infos[-1].k[0] not in (0, 700)  # that of the file, scaled
        refused = set_camera_info(listener, CameraInfo(width=640, height=480))
        assert not refused.success and 'distortion_model' in refused.status_message
        answer = set_camera_info(listener, sent)
        assert answer.success and f"saved in '{path}'" in answer.status_message
        assert ('rotated back by 90 degrees' in answer.status_message) == (rotate == 90)
        wait_for_calibration()
    with running('camera_node', *start):
        wait_for_calibration()


def test_gaze_node_follows_camera_info_beside_images_in_shared_memory(listener, tmp_path):
    """There it takes camera_info now and then only."""
    gazes = listener.subscribe(GazeArray, '/gaze', lambda m: m.calibrated)
    with running('gaze_node', 'image_transport:=shared'), \
            running('camera_node', 'source:=sample', env={'ROS_HOME': str(tmp_path)}):
        wait_until(lambda: len(gazes) > 20, 60, 'gazes')
        assert not any(gazes)
        assert set_camera_info(listener, info_of()).success
        wait_until(lambda: gazes[-1], 20, 'calibrated gazes')


def test_calibration_without_a_url_is_saved_where_camera_info_manager_does(listener, tmp_path):
    listener.subscribe(Image, '/camera/image_raw')
    with running('camera_node', 'source:=sample', env={'ROS_HOME': str(tmp_path)}):
        answer = set_camera_info(listener, info_of())
    path = tmp_path / 'camera_info' / 'camera.yaml'
    assert answer.success and f'next start with camera_info_url:={path}' in answer.status_message
    assert load_camera_info(str(path)).k.tolist() == K


def test_node_that_is_not_configured_refuses_a_calibration(listener):
    with running('camera_node', 'source:=sample', 'autostart:=false'):
        answer = set_camera_info(listener, info_of())
    assert not answer.success and 'not configured' in answer.status_message


def set_camera_info(listener, info):
    return call_service(listener.node, SetCameraInfo, '/camera/set_camera_info',
                        SetCameraInfo.Request(camera_info=info), again=5.0)
