"""The CameraInfo of each picture: of its size, whatever size was calibrated."""
from copy import copy, deepcopy
from typing import Optional

from gaze_ros.core.telling import Teller
from gaze_ros.ros.calibration import load_camera_info, read_calibration
from rclpy.impl.rcutils_logger import RcutilsLogger
from sensor_msgs.msg import CameraInfo

#: Sizes whose CameraInfo is kept.
_SIZES = 16


class CameraInfos:
    """Makes the CameraInfo of pictures from a calibration file.

    A picture of another size than the calibrated one, and the same shape, has been scaled: so are
    K and P. One of another shape has been cut in a way that is not known: it has no calibration
    (K all 0, as REP-104 has it).

    :param url: as :func:`load_camera_info` takes it.
    :raises SourceError: if it is no calibration.
    """

    def __init__(self, url: str) -> None:
        self._calibrated = load_camera_info(url)
        self._made: dict[tuple[int, int], CameraInfo] = {}
        self._teller = Teller()

    def of(self, width: int, height: int, log: RcutilsLogger) -> CameraInfo:
        """Return the CameraInfo of a picture of that size, to be given its header.

        :param log: is told of sizes that were not calibrated, a few times a minute at most.
        """
        made = self._made.get((width, height))
        if made is None:
            if len(self._made) == _SIZES:
                self._made.clear()
            made = self._made[width, height] = self._make(width, height, log)
        return copy(made)

    def _make(self, width: int, height: int, log: RcutilsLogger) -> CameraInfo:
        info = deepcopy(self._calibrated)
        calibrated = info.width, info.height
        if not info.k.any() or calibrated == (width, height):
            info.width, info.height = width, height
            return info
        scaled = self._scaled(info, width, height)
        words = (f'the calibration is for {calibrated[0]}x{calibrated[1]}, but pictures have '
                 f'{width}x{height}: ') + (
            'it is scaled' if scaled else
            'it does not fit that shape, and is left out; calibrate the camera in this size')
        if self._teller.due(words):
            log.warning(words)
        return scaled or CameraInfo(width=width, height=height)

    @staticmethod
    def _scaled(info: CameraInfo, width: int, height: int) -> Optional[CameraInfo]:
        calibration, _ = read_calibration(info)
        matrix = calibration and calibration.matrix_for(width, height)
        if matrix is None:
            return None
        x, y = width / info.width, height / info.height
        info.p = info.p * [x, x, x, x, y, y, y, y, 1.0, 1.0, 1.0, 1.0]
        info.k, info.width, info.height = matrix.ravel(), width, height
        return info
