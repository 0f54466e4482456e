"""Intel's networks head-pose-estimation-adas-0001 and gaze-estimation-adas-0002, in OpenVINO."""
from collections.abc import Sequence
import math
from pathlib import Path

from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import Settings
from gaze_ros.core.face_mesh.eyes import equalize_dark
from gaze_ros.core.face_mesh.head_rotation import rotate_in_image
from gaze_ros.core.geometry.camera_model import angles_to_unit, unit_to_angles
from gaze_ros.core.geometry.crops import crop, InputBatch, square_transform
from gaze_ros.core.runtimes import Network, open_network
import numpy as np

#: Sides of the networks' inputs, pixels.
HEAD_SIZE, EYE_SIZE = 60, 60
#: Ratio of the side of a head crop to the longer side of the detector's box.
HEAD_SCALE = 1.2


def open_checked(path: Path, inputs: Sequence[tuple[int, ...]], settings: Settings,
                 batches: Sequence[int] = ()) -> Network:
    """Return a network in OpenVINO on the CPU, with the inputs that are expected.

    :param inputs: shapes of its inputs for one sample.
    :param batches: sizes above 1 to compile beside it, largest first.
    :raises ModelError: if the file is not such a network, or is damaged.
    """
    network = open_network(path, runtime='openvino', device='cpu', precision=settings.precision,
                           threads=settings.threads, batches=batches)
    if network.shapes != list(inputs):
        raise ModelError(
            f"weight '{path}' has inputs of the shapes {network.shapes}, where {list(inputs)} "
            f'were expected: it is not {path.stem}')
    if not all(np.isfinite(o).all() for o in network(
            *(np.zeros(shape, np.float32) for shape in inputs))):
        raise ModelError(f"weight '{path}' returns numbers that are not finite: is it damaged?")
    return network


class AdasHead:
    """Pitch and yaw of a head from an upright square crop of 1.2 times the detector's box.

    That is how the network was trained: with crops sized by the spread of five landmarks, which
    shrinks as a head turns, true yaws of 75, 60 and 45 degrees come out as 23, 22 and 28.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._network = open_checked(path, [(1, 3, HEAD_SIZE, HEAD_SIZE)], settings)
        self._yaw, self._pitch = (
            next(i for i, output in enumerate(self._network.outputs) if output in names)
            for names in (('angle_y_fc', 'fc_y'), ('angle_p_fc', 'fc_p')))
        self._batch = InputBatch()

    def __call__(self, image: np.ndarray, center: tuple[float, float], side: float,
                 roll: float = 0.0) -> tuple[float, float]:
        """Return pitch (> 0 up) and yaw (> 0 toward the right of the image), radians.

        :param side: the longer side of the detector's box, pixels.
        :param roll: rotation of the crop, radians, for heads that are rotated by more than the
            network was trained for; else 0.
        """
        transform = square_transform(center, HEAD_SCALE * side, HEAD_SIZE, roll)
        outputs = self._network(self._batch.fill([crop(image, transform, HEAD_SIZE)]))
        # The network's pitch is positive down.
        yaw, pitch = (sign * math.radians(float(outputs[i].reshape(-1)[0]))
                      for i, sign in ((self._yaw, 1), (self._pitch, -1)))
        if not roll:
            return pitch, yaw
        return unit_to_angles(rotate_in_image(angles_to_unit(pitch, yaw), roll))


class AdasEyes:
    """Gaze of a pair of eyes: the mean of the crops as they are and of their mirror image.

    Mean error on 4,915 eye pairs of Columbia Gaze: 6.26 degrees, without the mirror image 6.79.
    Both in one batch take 2.1 ms, one by one 2.5 ms (bf16, one thread, among other networks).
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._network = open_checked(
            path, [(1, 3, EYE_SIZE, EYE_SIZE)] * 2 + [(1, 3)], settings, (2,))
        self.precision = self._network.precision
        self._batches = InputBatch(), InputBatch()

    def __call__(self, left: np.ndarray, right: np.ndarray, head: np.ndarray, roll: float
                 ) -> np.ndarray:
        """Return the gaze (3,), a unit vector in view axes.

        :param left: (60, 60, 3) uint8 BGR, upright crop of the person's left eye.
        :param right: (60, 60, 3) uint8 BGR, upright crop of the person's right eye.
        :param head: (3,) direction of the face in view axes.
        :param roll: rotation of the crops, radians; the head is rotated back by it, too.
        """
        pitch, yaw = (math.degrees(a) for a in unit_to_angles(rotate_in_image(head, -roll)))
        left, right = equalize_dark(left), equalize_dark(right)
        poses = np.array([[yaw, -pitch, 0.0], [-yaw, -pitch, 0.0]], np.float32)
        seen, mirrored = self._network(
            self._batches[0].fill([left, right[:, ::-1]]),
            self._batches[1].fill([right, left[:, ::-1]]), poses)[0].astype(np.float64)
        # The network's z points away from the lens.
        gazes = seen * [1, 1, -1], mirrored * [-1, 1, -1]
        gaze = sum(v / max(float(np.linalg.norm(v)), 1e-9) for v in gazes)
        return rotate_in_image(gaze / max(float(np.linalg.norm(gaze)), 1e-9), roll)
