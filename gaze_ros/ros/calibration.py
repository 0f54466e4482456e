"""Camera calibration: the YAML that camera_calibration writes, as CameraInfo."""
from pathlib import Path
from typing import Optional
from urllib.parse import unquote, urlsplit

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from gaze_ros.core.errors import SourceError
from gaze_ros.core.geometry import Calibration
import numpy as np
from sensor_msgs.msg import CameraInfo
import yaml


def load_camera_info(url: str) -> CameraInfo:
    """Return the CameraInfo of a calibration file; an empty one (K all 0) for no URL.

    :param url: a path, file:///path or package://package/path.
    :raises SourceError: if the file is missing or is no calibration.
    """
    if not url:
        return CameraInfo()
    try:
        with open(_path(url), encoding='utf-8') as file:
            content = yaml.safe_load(file)
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
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError,
            AssertionError) as e:
        reason = ' '.join(f'{type(e).__name__}: {e}'.split())
        raise SourceError(
            f"camera_info_url '{url}' is no calibration YAML as camera_calibration writes it "
            f'(image_width, image_height, distortion_model, camera_matrix ...): {reason}') from e


def calibration_of(info: CameraInfo) -> Optional[Calibration]:
    """Return the calibration in a CameraInfo; None where it has none that can be used."""
    count = next((n for n in (0, 4, 5, 8, 12, 14) if n >= len(info.d)), None)
    known = info.distortion_model in ('plumb_bob', 'rational_polynomial') or not len(info.d)
    if not info.k[0] or not info.k[4] or not known or count is None:
        return None
    distortion = np.zeros(count)
    distortion[:len(info.d)] = info.d
    return Calibration(np.array(info.k).reshape(3, 3), distortion, info.width, info.height)


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
