"""Camera calibration: from the YAML of camera_calibration to CameraInfo to Calibration."""
from collections.abc import Callable
from copy import copy, deepcopy
from functools import lru_cache
import os
from pathlib import Path
from typing import Any, Optional
from urllib.parse import unquote, urlsplit

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.errors import GazeRosError, SourceError
from gaze_ros.core.geometry.camera_model import Calibration
from gaze_ros.core.output import safe_paths
from gaze_ros.core.sources.rotation import axis_rotation, pixel_rotation, rotate_distortion
from gaze_ros.core.system.safe_files import parse_yaml, read_text
from gaze_ros.core.system.urls import local_path
import numpy as np
from sensor_msgs.msg import CameraInfo, RegionOfInterest
import yaml

#: Numbers of coefficients of the distortion models, by their names in
#: sensor_msgs/distortion_models.hpp, and 'fisheye', which some calibrators write. Missing
#: coefficients are 0.
_FISHEYE = ('equidistant', 'fisheye')
_COUNTS = {'plumb_bob': (0, 4, 5, 8, 12, 14), 'rational_polynomial': (0, 4, 5, 8, 12, 14),
           **dict.fromkeys(_FISHEYE, (4,))}


def load_camera_info(url: str) -> CameraInfo:
    """Return the CameraInfo of a calibration file; an empty one (K all 0) for an empty URL.

    :param url: a path, file:///path or package://package/path.
    :raises SourceError: if the file is missing or is not a calibration.
    """
    if not url:
        return CameraInfo()
    try:
        content = parse_yaml(read_text(_path(url)))
        width, height = int(content['image_width']), int(content['image_height'])
        if width <= 0 or height <= 0:
            raise ValueError(f'image_width is {width} and image_height is {height}')
        info = CameraInfo(
            width=width, height=height,
            distortion_model=str(content['distortion_model']),
            d=_numbers(content, 'distortion_coefficients'),
            k=_numbers(content, 'camera_matrix', 9))
        info.r = _numbers(content, 'rectification_matrix', 9) if (
            'rectification_matrix' in content) else [1., 0., 0., 0., 1., 0., 0., 0., 1.]
        if 'projection_matrix' in content:
            info.p = _numbers(content, 'projection_matrix', 12)
        return info
    except OSError as e:
        raise SourceError(f"camera_info_url '{url}' cannot be read: {e}") from e
    except (KeyError, TypeError, ValueError, OverflowError, AssertionError,
            RuntimeError) as e:  # RuntimeError: ~USER of an unknown user
        reason = ' '.join(f'{type(e).__name__}: {e}'.split())
        raise SourceError(
            f"camera_info_url '{url}' is not a calibration YAML as camera_calibration writes it "
            f'(image_width, image_height, distortion_model, camera_matrix ...): {reason}') from e


def save_camera_info(url: str, info: CameraInfo, name: str) -> Path:
    """Write a calibration file as camera_calibration_parsers does, and return its absolute path.

    :param url: as in :func:`load_camera_info`; '' for ``camera_info/NAME.yaml`` in $ROS_HOME or
        ~/.ros, where camera_info_manager keeps the calibrations of cameras without a URL.
    :param info: of the full image: the file has neither binning nor roi.
    :param name: of the camera, in the file.
    :raises GazeRosError: if it is not a usable calibration, or cannot be written.
    """
    if problem := _why_not_saved(info):
        raise GazeRosError(f'the calibration is not used and not saved: {problem}')
    text = yaml.safe_dump({
        'image_width': info.width, 'image_height': info.height, 'camera_name': name,
        'camera_matrix': _matrix(3, info.k), 'distortion_model': info.distortion_model,
        'distortion_coefficients': _matrix(1, info.d),
        'rectification_matrix': _matrix(3, info.r if info.r.any() else np.eye(3).ravel()),
        'projection_matrix': _matrix(3, info.p)}, sort_keys=False, default_flow_style=None)
    path = _path(url) if url else Path(
        os.environ.get('ROS_HOME') or '~/.ros') / 'camera_info' / f'{name}.yaml'
    try:
        with safe_paths.open_output(path) as file:
            file.write(text.encode())
        return safe_paths.resolved(path)
    except OSError as e:
        raise GazeRosError(f"the calibration cannot be written to '{path}': {e}") from e


def _why_not_saved(info: CameraInfo) -> str:
    """Return why a CameraInfo is not a calibration that a file can hold, or ''."""
    for name in ('k', 'd', 'r', 'p'):
        if not np.isfinite(getattr(info, name)).all():
            return f'{name.upper()} has a value that is not finite'
    if info.distortion_model not in _COUNTS:
        return f"distortion_model '{info.distortion_model[:40]}' is not one of: " + ', '.join(
            _COUNTS)
    roi = info.roi
    if max(info.binning_x, info.binning_y) > 1 or roi.width or roi.height:
        return 'it is of a binned image or a region (binning, roi); expected the full image'
    calibration, reason = calibration_from_camera_info(info)
    return reason if calibration or reason else 'K and P have no focal length'


def _matrix(rows: int, values: np.ndarray) -> dict[str, Any]:
    return {'rows': rows, 'cols': len(values) // rows, 'data': np.asarray(values).tolist()}


def calibration_from_camera_info(info: CameraInfo) -> tuple[Optional[Calibration], str]:
    """Return the calibration in a CameraInfo, and why it cannot be used.

    If K has no focal length, but P has, P is taken, without distortion: some drivers publish
    rectified images this way.

    The calibration is None, with a reason, if it cannot be used; None and '' if the camera is not
    calibrated. Messages of the same content give the same object.
    """
    roi = info.roi
    return _calibration(
        info.width, info.height, info.distortion_model, info.d.tobytes(), info.k.tobytes(),
        info.p.tobytes(),
        (info.binning_x or 1, info.binning_y or 1),
        (roi.x_offset, roi.y_offset, roi.width, roi.height))


@lru_cache(maxsize=8)
def _calibration(
        width: int, height: int, model: str, d: bytes, k: bytes, p: bytes,
        binning: tuple[int, int], roi: tuple[int, int, int, int]
        ) -> tuple[Optional[Calibration], str]:
    coefficients, matrix = np.frombuffer(d), np.frombuffer(k).reshape(3, 3)
    if from_projection := not matrix[[0, 1], [0, 1]].any():
        matrix = np.frombuffer(p).reshape(3, 4)[:, :3]
        if not matrix[[0, 1], [0, 1]].any():
            return None, ''  # REP-104: not calibrated
        model, coefficients = 'plumb_bob', np.zeros(0)
    if model not in _COUNTS and coefficients.any():
        return None, f"distortion_model '{model[:40]}' is not one of: {', '.join(_COUNTS)}"
    counts = _COUNTS.get(model, _COUNTS['plumb_bob'])
    count = next((n for n in counts if n >= len(coefficients)), None)
    if count is None:
        return None, f'D has {len(coefficients)} coefficients; expected at most {counts[-1]}'
    if not width or not height:
        return None, f'the calibrated image size is {width}x{height}'
    distortion = np.zeros(count)
    distortion[:len(coefficients)] = coefficients
    try:
        return Calibration(
            matrix, distortion, width, height, model in _FISHEYE, binning, roi,
            from_projection), ''
    except ValueError as e:
        return None, str(e)


def rotated_camera_info(info: CameraInfo, degrees: int) -> CameraInfo:
    """Return the CameraInfo of an image after a clockwise rotation.

    The optical frame turns with the image: x stays right and y stays down in the image.

    :param info: of the image before the rotation.
    :param degrees: 0, 90, 180 or 270.
    """
    if not degrees:
        return info
    result = deepcopy(info)
    sideways = degrees % 180 != 0
    size, binning, roi = (info.width, info.height), (info.binning_x, info.binning_y), info.roi
    bx, by = binning[0] or 1, binning[1] or 1
    rotation = axis_rotation(degrees)
    # The binned pixel that was last becomes the first: its sensor pixel is where its block starts.
    pixels = pixel_rotation(degrees, size[0] - bx + 1, size[1] - by + 1)
    result.k = (pixels @ info.k.reshape(3, 3) @ rotation.T + 0.0).ravel()
    result.r = (rotation @ info.r.reshape(3, 3) @ rotation.T + 0.0).ravel()
    projection = pixels @ info.p.reshape(3, 4)
    projection[:, :3] = projection[:, :3] @ rotation.T
    result.p = (projection + 0.0).ravel()
    if info.distortion_model not in _FISHEYE and len(info.d) <= max(_COUNTS['plumb_bob']):
        result.d = rotate_distortion(np.array(info.d), degrees).tolist()
    result.width, result.height = size[::-1] if sideways else size
    result.binning_x, result.binning_y = binning[::-1] if sideways else binning
    # The region in whole blocks: what is left over at its end does not become its start.
    w = (roi.width or max(size[0] - roi.x_offset, 0)) // bx * bx
    h = (roi.height or max(size[1] - roi.y_offset, 0)) // by * by
    corners = np.array([[roi.x_offset, roi.x_offset + w - 1], [roi.y_offset, roi.y_offset + h - 1],
                        [1, 1]])
    first = (pixel_rotation(degrees, *size) @ corners)[:2].min(axis=1)
    x, y = np.maximum(first, 0).astype(int).tolist()
    w, h = (h, w) if sideways else (w, h)
    result.roi = RegionOfInterest(do_rectify=roi.do_rectify) if (
        (x, y, w, h) == (0, 0, result.width, result.height)) else RegionOfInterest(
            x_offset=x, y_offset=y, width=w, height=h, do_rectify=roi.do_rectify)
    return result


def _path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme == 'package':
        try:
            share = Path(get_package_share_directory(parts.netloc))
            return share / unquote(parts.path).lstrip('/')
        except (PackageNotFoundError, ValueError) as e:
            raise SourceError(
                f"camera_info_url '{url}': package '{parts.netloc}' is not installed") from e
    return local_path(url)


def _numbers(content: dict, name: str, count: int = 0) -> list[float]:
    values = [float(v) for v in content[name]['data']]
    if count and len(values) != count:
        raise ValueError(f'{name} has {len(values)} values; expected {count}')
    return values


#: Number of image sizes and rotations whose CameraInfo is cached.
_MAX_SIZES = 16


class CameraInfoManager:
    """Provides the CameraInfo of images of any size from one calibration file.

    For images of another size but the same aspect ratio as the calibrated one, K and P are scaled.
    Images of another aspect ratio have been cropped in an unknown way: their CameraInfo has no
    calibration (K all 0, as REP-104 defines). For rotated images the calibration is rotated.

    :param url: as in :func:`load_camera_info`.
    :raises SourceError: if it is not a calibration.
    """

    def __init__(self, url: str) -> None:
        self._calibrated = load_camera_info(url)
        self._cache: dict[tuple[int, int, int], CameraInfo] = {}
        self._log_throttle = LogThrottle()

    def for_size(self, width: int, height: int, warn: Callable[[str], None],
                 rotation: int = 0) -> CameraInfo:
        """Return the CameraInfo of an image of that size; the caller sets its header.

        :param width: of the image as captured, before the rotation, pixels.
        :param height: of the image as captured, before the rotation, pixels.
        :param warn: logs a line for a size that was not calibrated, throttled.
        :param rotation: degrees by which the image was rotated clockwise: 0, 90, 180 or 270.
        """
        key = width, height, rotation
        info = self._cache.get(key)
        if info is None:
            if len(self._cache) == _MAX_SIZES:
                self._cache.clear()
            info = self._cache[key] = rotated_camera_info(
                self._create(width, height, warn), rotation)
        return copy(info)

    def _create(self, width: int, height: int, warn: Callable[[str], None]) -> CameraInfo:
        info = deepcopy(self._calibrated)
        calibrated = info.width, info.height
        if calibrated == (width, height) or not (info.k[0] or info.p[0]):
            info.width, info.height = width, height
            return info
        scaled = self._scaled(info, width, height)
        text = (f'the calibration is for {calibrated[0]}x{calibrated[1]}, but images have '
                f'{width}x{height}: ') + (
            'it is scaled' if scaled else
            'the aspect ratio differs, so it is not used; calibrate the camera at this size')
        if self._log_throttle.should_log(text):
            warn(text)
        return scaled or CameraInfo(width=width, height=height)

    @staticmethod
    def _scaled(info: CameraInfo, width: int, height: int) -> Optional[CameraInfo]:
        calibration, _ = calibration_from_camera_info(info)
        matrix = calibration and calibration.matrix_for(width, height)
        if matrix is None:
            return None
        x, y = width / info.width, height / info.height
        info.p = info.p * [x, x, x, x, y, y, y, y, 1.0, 1.0, 1.0, 1.0]
        if info.k[0]:
            info.k = matrix.ravel()
        info.width, info.height = width, height
        return info
