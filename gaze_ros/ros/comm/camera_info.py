"""Camera calibration: from the YAML of camera_calibration to CameraInfo to Calibration."""
from collections.abc import Callable
from copy import copy, deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Optional
from urllib.parse import unquote, urlsplit

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.errors import SourceError
from gaze_ros.core.geometry.camera_model import Calibration
from gaze_ros.core.system.safe_files import parse_yaml, read_text
import numpy as np
from sensor_msgs.msg import CameraInfo

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


def calibration_from_camera_info(info: CameraInfo) -> tuple[Optional[Calibration], str]:
    """Return the calibration in a CameraInfo, and why it cannot be used.

    The calibration is None, with a reason, if it cannot be used; None and '' if the camera is not
    calibrated. Messages of the same content give the same object.
    """
    roi = info.roi
    return _calibration(
        info.width, info.height, info.distortion_model, info.d.tobytes(), info.k.tobytes(),
        (info.binning_x or 1, info.binning_y or 1),
        (roi.x_offset, roi.y_offset, roi.width, roi.height))


@lru_cache(maxsize=8)
def _calibration(
        width: int, height: int, model: str, d: bytes, k: bytes, binning: tuple[int, int],
        roi: tuple[int, int, int, int]) -> tuple[Optional[Calibration], str]:
    coefficients, matrix = np.frombuffer(d), np.frombuffer(k).reshape(3, 3)
    if not matrix.any():
        return None, ''  # REP-104: not calibrated
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
        return Calibration(matrix, distortion, width, height, model in _FISHEYE, binning, roi), ''
    except ValueError as e:
        return None, str(e)


def _path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme == 'package':
        try:
            share = Path(get_package_share_directory(parts.netloc))
            return share / unquote(parts.path).lstrip('/')
        except (PackageNotFoundError, ValueError) as e:
            raise SourceError(
                f"camera_info_url '{url}': package '{parts.netloc}' is not installed") from e
    return Path(unquote(parts.path) if parts.scheme == 'file' else url).expanduser()


def _numbers(content: dict, name: str, count: int = 0) -> list[float]:
    values = [float(v) for v in content[name]['data']]
    if count and len(values) != count:
        raise ValueError(f'{name} has {len(values)} values; expected {count}')
    return values


#: Number of image sizes whose CameraInfo is cached.
_MAX_SIZES = 16


class CameraInfoManager:
    """Provides the CameraInfo of images of any size from one calibration file.

    For images of another size but the same aspect ratio as the calibrated one, K and P are scaled.
    Images of another aspect ratio have been cropped in an unknown way: their CameraInfo has no
    calibration (K all 0, as REP-104 defines).

    :param url: as in :func:`load_camera_info`.
    :raises SourceError: if it is not a calibration.
    """

    def __init__(self, url: str) -> None:
        self._calibrated = load_camera_info(url)
        self._by_size: dict[tuple[int, int], CameraInfo] = {}
        self._log_throttle = LogThrottle()

    def for_size(self, width: int, height: int, warn: Callable[[str], None]) -> CameraInfo:
        """Return the CameraInfo of an image of that size; the caller sets its header.

        :param warn: logs a line for a size that was not calibrated, throttled.
        """
        info = self._by_size.get((width, height))
        if info is None:
            if len(self._by_size) == _MAX_SIZES:
                self._by_size.clear()
            info = self._by_size[width, height] = self._create(width, height, warn)
        return copy(info)

    def _create(self, width: int, height: int, warn: Callable[[str], None]) -> CameraInfo:
        info = deepcopy(self._calibrated)
        calibrated = info.width, info.height
        if not info.k.any() or calibrated == (width, height):
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
        info.k, info.width, info.height = matrix.ravel(), width, height
        return info
