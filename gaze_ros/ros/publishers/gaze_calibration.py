"""The service gaze/calibrate: measures and corrects how far the gaze of one person is off."""
import math
import time

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.geometry.rotations import cross
from gaze_ros.core.output import safe_paths
from gaze_ros.core.tracking.gaze_calibration import GazeCorrection, LENS, save_correction
from gaze_ros.ros.process.error_text import format_error
from gaze_ros.srv import CalibrateGaze
from geometry_msgs.msg import PointStamped
import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.time import Time

#: Seconds to collect by default, and at most.
DEFAULT_DURATION, MAX_DURATION = 5.0, 60.0
#: Seconds to wait for a transform.
_TRANSFORM_TIMEOUT = 2.0
#: Seconds between two checks whether the node is still active.
_POLL_PERIOD = 0.1


class GazeCalibrationService:
    """Collects the gaze of one person on request and starts to correct it.

    A request lasts as long as it collects; further ones wait for it.

    :param node: a ManagedNode with ``gaze_calibrations``, ``image_frame`` and the parameter
        gaze_calibration_file.
    """

    def __init__(self, node) -> None:
        self._node = node
        node.create_service(CalibrateGaze, '~/calibrate', self._on_request,
                            callback_group=MutuallyExclusiveCallbackGroup())

    def _on_request(self, request: CalibrateGaze.Request, response: CalibrateGaze.Response
                    ) -> CalibrateGaze.Response:
        try:
            response.track_id, correction = self._measure(request)
            response.samples = correction.samples
            response.residual_before = correction.residual_before
            response.residual_after = correction.residual_after
            response.message = summary(correction)
            self._node.get_logger().info(f'gaze of {response.track_id}: {response.message}')
            if request.save:
                path = save_correction(self._node.values['gaze_calibration_file'], correction)
                self._node.gaze_calibrations.default = correction
                response.message += f"; saved in '{path}'"
            response.success = True
        except Exception as e:
            in_use = f'{response.message}; in use, but not saved: ' if response.message else ''
            response.message = in_use + format_error(e)
        return response

    def _measure(self, request: CalibrateGaze.Request) -> tuple[str, GazeCorrection]:
        """Return the track and its correction, which is in use."""
        node = self._node
        if not node.active:
            raise GazeRosError('the node is not active: it estimates no gaze')
        duration = request.duration or DEFAULT_DURATION
        if not 0 < duration <= MAX_DURATION:
            raise GazeRosError(f'duration is {duration:g} s; expected more than 0, at most '
                               f'{MAX_DURATION:g}, or 0 for {DEFAULT_DURATION:g}')
        if request.save:
            path = node.values['gaze_calibration_file']
            if not path:
                raise GazeRosError('save needs a file: set the parameter gaze_calibration_file')
            safe_paths.safe_path(path)
        target = self._target(request.target)
        calibrations = node.gaze_calibrations
        calibrations.start(request.track_id, target)
        try:
            end = time.monotonic() + duration
            while (left := end - time.monotonic()) > 0:
                if node.shutdown.event.wait(min(left, _POLL_PERIOD)) or not node.active:
                    raise GazeRosError('the node was deactivated meanwhile; nothing has changed')
            return calibrations.finish()
        finally:
            calibrations.cancel()

    def _target(self, target: PointStamped) -> np.ndarray:
        """Return the target (3,) in the optical frame of the images, meters."""
        frame = target.header.frame_id
        if not frame:
            return LENS
        point = np.array([target.point.x, target.point.y, target.point.z])
        if not np.isfinite(point).all():
            raise GazeRosError('the point of the target is not finite')
        image_frame = self._node.image_frame
        if not image_frame:
            raise GazeRosError(
                f"the target is in frame '{frame}', but no image with a frame_id was processed "
                'yet; an empty frame_id means the lens')
        return point if frame == image_frame else self._transform(point, frame, image_frame)

    def _transform(self, point: np.ndarray, frame: str, image_frame: str) -> np.ndarray:
        """Return a point (3,) of another TF frame in the optical frame."""
        try:
            from tf2_ros import Buffer, TransformException, TransformListener
        except ImportError:
            raise GazeRosError(
                f"the target is in frame '{frame}', and tf2_ros is not installed: give it in the "
                f"frame of the images, '{image_frame}', or leave frame_id empty for the lens"
            ) from None
        buffer = Buffer()
        listener = TransformListener(buffer, self._node)
        try:
            end = time.monotonic() + _TRANSFORM_TIMEOUT
            while True:
                try:
                    transform = buffer.lookup_transform(image_frame, frame, Time()).transform
                    break
                except TransformException as e:
                    if time.monotonic() > end or self._node.shutdown.event.wait(_POLL_PERIOD):
                        raise GazeRosError(
                            f"TF does not connect the target's frame '{frame}' with "
                            f"'{image_frame}': {e}") from e
        finally:
            listener.unregister()
        return transformed(point, transform)


def transformed(point: np.ndarray, transform) -> np.ndarray:
    """Return a point (3,) transformed by a geometry_msgs Transform.

    :raises GazeRosError: if its rotation has no length.
    """
    r, t = transform.rotation, transform.translation
    axis, norm = np.array([r.x, r.y, r.z]), math.hypot(r.x, r.y, r.z, r.w)
    if not 0 < norm < math.inf:
        raise GazeRosError('the rotation of the transform has no length')
    axis, w = axis / norm, r.w / norm
    across = 2 * cross(axis, point)
    return point + w * across + cross(axis, across) + [t.x, t.y, t.z]


def summary(correction: GazeCorrection) -> str:
    """Return a correction in words."""
    before, after, pitch, yaw = (math.degrees(v) for v in (
        correction.residual_before, correction.residual_after, correction.offset_pitch,
        correction.offset_yaw))
    targets = '1 target' if correction.targets == 1 else f'{correction.targets} targets'
    gains = '' if correction.gain_pitch == correction.gain_yaw == 1 else (
        f', gains {correction.gain_pitch:.2f}, {correction.gain_yaw:.2f}')
    hint = '; turn the head or look at other targets to gain more' if (
        correction.targets < 3 and correction.stddev_factor > 0.8) else ''
    return (f'{before:.1f} deg from the target before, {after:.1f} after; offset pitch '
            f'{pitch:.1f}, yaw {yaw:.1f} deg{gains} from {correction.samples} samples of '
            f'{targets}; stddev x {correction.stddev_factor:.2f}{hint}')
