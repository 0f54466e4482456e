"""Camera calibration: the YAML that camera_calibration writes, as CameraInfo."""
from functools import lru_cache
from pathlib import Path
from typing import Optional
from urllib.parse import unquote, urlsplit

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from gaze_ros.core.errors import SourceError
from gaze_ros.core.files import parse_yaml, read_text
from gaze_ros.core.geometry import Calibration
import numpy as np
from sensor_msgs.msg import CameraInfo

#: How many coefficients the models have, by their names in sensor_msgs/distortion_models.hpp and
#: in the files of calibrators that write 'fisheye'. Where some are left out they are 0.
_FISHEYE = ('equidistant', 'fisheye')
_COUNTS = {'plumb_bob': (0, 4, 5, 8, 12, 14), 'rational_polynomial': (0, 4, 5, 8, 12, 14),
           **dict.fromkeys(_FISHEYE, (4,))}


def load_camera_info(url: str) -> CameraInfo:
    """Return the CameraInfo of a calibration file; an empty one (K all 0) for no URL.

    :param url: a path, file:///path or package://package/path.
    :raises SourceError: if the file is missing or is no calibration.
    """
    if not url:
        return CameraInfo()
    try:
        content = parse_yaml(read_text(_path(url)))
        width, height = int(content['image_width']), int(content['image_height'])
        if width <= 0 or height <= 0:
            raise ValueError(f'image_width and image_height are {width} and {height}')
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
            RuntimeError) as e:  # ~nobody has no home
        reason = ' '.join(f'{type(e).__name__}: {e}'.split())
        raise SourceError(
            f"camera_info_url '{url}' is no calibration YAML as camera_calibration writes it "
            f'(image_width, image_height, distortion_model, camera_matrix ...): {reason}') from e


def read_calibration(info: CameraInfo) -> tuple[Optional[Calibration], str]:
    """Return the calibration in a CameraInfo, and why it cannot be used.

    The same calibration as before for a message that tells the same; None where there is none
    that can be used, with '' where the camera is not calibrated.
    """
    roi = info.roi
    return _made(
        info.width, info.height, info.distortion_model, info.d.tobytes(), info.k.tobytes(),
        (info.binning_x or 1, info.binning_y or 1),
        (roi.x_offset, roi.y_offset, roi.width, roi.height))


@lru_cache(maxsize=8)
def _made(width: int, height: int, model: str, d: bytes, k: bytes, binning: tuple[int, int],
          roi: tuple[int, int, int, int]) -> tuple[Optional[Calibration], str]:
    coefficients, matrix = np.frombuffer(d), np.frombuffer(k).reshape(3, 3)
    if not matrix.any():
        return None, ''  # as REP-104 marks a camera that is not calibrated
    if model not in _COUNTS and coefficients.any():
        return None, f"distortion_model '{model[:40]}' is not one of: {', '.join(_COUNTS)}"
    counts = _COUNTS.get(model, _COUNTS['plumb_bob'])
    count = next((n for n in counts if n >= len(coefficients)), None)
    if count is None:
        return None, f'D has {len(coefficients)} coefficients, at most {counts[-1]} were expected'
    if not width or not height:
        return None, f'the calibrated picture is {width}x{height}'
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
        raise ValueError(f'{name} has {len(values)} values, {count} were expected')
    return values
