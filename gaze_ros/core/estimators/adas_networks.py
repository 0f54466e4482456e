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
#: Sizes of batches that are compiled: of faces, and of the two runs for each pair of eyes.
FACES, PAIRS = (4, 2), (8, 4, 2)

#: A head in an image: center and longer side of its box, pixels; and the rotation of the crop,
#: radians, for heads that are rotated by more than the network was trained for, else 0.
HeadBox = tuple[tuple[float, float], float, float]

#: Eyes of a person: (60, 60, 3) uint8 BGR upright crops of the left and of the right eye; (3,)
#: direction of the face in view axes; and the rotation of the crops, radians, by which the head is
#: rotated back, too.
EyePair = tuple[np.ndarray, np.ndarray, np.ndarray, float]

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
        self._network = open_checked(path, [(1, 3, HEAD_SIZE, HEAD_SIZE)], settings, FACES)
        self._yaw, self._pitch = (
            next(i for i, output in enumerate(self._network.outputs) if output in names)
            for names in (('angle_y_fc', 'fc_y'), ('angle_p_fc', 'fc_p')))
        self._batch = InputBatch()

    def __call__(self, image: np.ndarray, boxes: Sequence[HeadBox]) -> list[tuple[float, float]]:
        """Return pitch (> 0 up) and yaw (> 0 toward the right of the image) of heads, radians."""
        if not boxes:
            return []
        outputs = self._network(self._batch.fill([
            crop(image, square_transform(center, HEAD_SCALE * side, HEAD_SIZE, roll), HEAD_SIZE)
            for center, side, roll in boxes]))
        # The network's pitch is positive down.
        pitches = -np.radians(outputs[self._pitch].reshape(-1).astype(np.float64))
        yaws = np.radians(outputs[self._yaw].reshape(-1).astype(np.float64))
        return [(pitch, yaw) if not roll else unit_to_angles(
            rotate_in_image(angles_to_unit(pitch, yaw), roll))
            for pitch, yaw, (_, _, roll) in zip(pitches.tolist(), yaws.tolist(), boxes)]


class AdasEyes:
    """Gaze of a pair of eyes: the mean of the crops as they are and of their mirror image.

    Mean error on 4,915 eye pairs of Columbia Gaze: 6.26 degrees, without the mirror image 6.79.
    Both in one batch take 2.1 ms, one by one 2.5 ms (bf16, one thread, among other networks). With
    seven faces, batches of all networks together take 4.0 ms per face for adas, face by face 5.5.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._network = open_checked(
            path, [(1, 3, EYE_SIZE, EYE_SIZE)] * 2 + [(1, 3)], settings, PAIRS)
        self.precision = self._network.precision
        self._batches = InputBatch(), InputBatch()

    def __call__(self, people: Sequence[EyePair]) -> list[np.ndarray]:
        """Return the gaze (3,) of each pair of eyes, a unit vector in view axes."""
        if not people:
            return []
        lefts, rights, poses = [], [], []
        for left, right, head, roll in people:
            pitch, yaw = (math.degrees(a) for a in unit_to_angles(rotate_in_image(head, -roll)))
            left, right = equalize_dark(left), equalize_dark(right)
            lefts += [left, right[:, ::-1]]
            rights += [right, left[:, ::-1]]
            poses += [[yaw, -pitch, 0.0], [-yaw, -pitch, 0.0]]
        found = self._network(
            self._batches[0].fill(lefts), self._batches[1].fill(rights),
            np.array(poses, np.float32))[0].astype(np.float64)
        gazes = []
        for seen, mirrored, (*_, roll) in zip(found[::2], found[1::2], people):
            # The network's z points away from the lens.
            gaze = sum(v / max(float(np.linalg.norm(v)), 1e-9)
                       for v in (seen * [1, 1, -1], mirrored * [-1, 1, -1]))
            gazes.append(rotate_in_image(gaze / max(float(np.linalg.norm(gaze)), 1e-9), roll))
        return gazes
