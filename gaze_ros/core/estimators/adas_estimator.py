"""Intel's gaze-estimation-adas-0002 with its companion networks, in OpenVINO; all Apache-2.0.

From the Open Model Zoo: landmarks-regression-retail-0009 finds the eyes,
head-pose-estimation-adas-0001 estimates the head pose, open-closed-eye-0001 detects closed eyes.
All take BGR, 0..255, without normalisation.
"""
from dataclasses import replace
import math
from pathlib import Path

from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import Settings
from gaze_ros.core.estimators.adas_networks import (
    AdasEyes,
    AdasHead,
    EYE_SIZE,
    EyePair,
    FACES,
    open_checked,
    PAIRS,
)
from gaze_ros.core.face_mesh.head_rotation import rotate_in_image
from gaze_ros.core.geometry.camera_model import angles_to_unit, unit_to_angles
from gaze_ros.core.geometry.crops import crop, InputBatch, square_transform
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.runtimes.network_files import check_network_file
from gaze_ros.core.types import Estimate, Face
import numpy as np

#: Sides of the networks' inputs, pixels.
POINTS_SIZE, LID_SIZE = 48, 32

#: Side of an eye crop over the distance between the eyes in a frontal view.
EYE_SCALE = 0.65
#: Minimum factor by which a turned head shortens the distance between the eyes.
MIN_FORESHORTENING = 0.35

#: Side of a face box over the deviation of its five landmarks from their mean; average of five
#: detectors.
BOX_SIDE = 5.0

#: Probability of being open below which an eye counts as closed.
OPEN = 0.5


class AdasEstimator:
    """Gaze from eye crops and head pose; see :mod:`.adas_networks`.

    :raises ModelError: if openvino or a file is missing, a file holds another network, or the
        runtime or device is not supported.
    """

    def __init__(self, entry: registry.Model, settings: Settings) -> None:
        self.name = entry.name
        if settings.runtime not in ('auto', 'openvino'):
            raise ModelError(
                f"model '{entry.name}' comes for OpenVINO only: set runtime to auto or openvino, "
                f"not '{settings.runtime}'")
        if settings.device not in ('auto', 'cpu'):
            raise ModelError(
                f"model '{entry.name}' runs on the CPU only: set device to auto or cpu, not "
                f"'{settings.device}'")
        path = Path(settings.weight) if settings.weight else store.find(entry.name)
        check_network_file(path, 'weight')

        head, points, lids = (_part_file(name, path.parent) for name in entry.parts)
        self._eyes = AdasEyes(path, settings)
        self._head = AdasHead(head, settings)
        self._points = open_checked(
            points, [(1, 3, POINTS_SIZE, POINTS_SIZE)], settings, FACES)
        self._lids = open_checked(lids, [(1, 3, LID_SIZE, LID_SIZE)], settings, PAIRS)
        self.running = f'openvino, cpu, {self._eyes.precision}'
        self._batches = {'points': InputBatch()}
        # Intel's IR of open-closed-eye-0001 normalises its input, the ONNX file does not.
        self._batches['lids'] = InputBatch() if lids.suffix == '.xml' else InputBatch(
            (127.0,) * 3, (255.0,) * 3)

    def estimate(self, image: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face; NaN for closed eyes and boxes outside the image.

        An estimate holds five landmarks, for detectors that return none.
        """
        estimates = [Estimate() for _ in faces]
        height, width = image.shape[:2]
        inside = [i for i, face in enumerate(faces) if min(face.clipped(width, height)[2:]) > 0]
        if not inside:
            return estimates
        points = self._landmarks(image, [square_transform(
            faces[i].center, max(faces[i].box[2:]), POINTS_SIZE) for i in inside])
        # Second pass on an upright crop of a standard size: detectors' boxes differ.
        points = self._landmarks(image, [_upright(five, POINTS_SIZE) for five in points])
        heads = self._head(
            image, [(faces[i].center, max(faces[i].box[2:]), 0.0) for i in inside])
        people = []
        for five, head in zip(points, heads):
            eye_line = five[1] - five[0]
            roll = math.atan2(eye_line[1], eye_line[0])
            foreshortening = max(math.cos(head[1]), MIN_FORESHORTENING)
            side = max(EYE_SCALE * math.hypot(*eye_line) / foreshortening, 1.0)
            left, right = (crop(image, square_transform(point, side, EYE_SIZE, roll), EYE_SIZE)
                           for point in (five[1], five[0]))
            people.append((left, right, angles_to_unit(*head), roll))
        for i, five, estimate in zip(inside, points, self._gazes_of_eyes(people)):
            estimates[i] = replace(estimate, landmarks=five)
        return estimates

    def estimate_eyes(
            self, left: np.ndarray, right: np.ndarray,
            head: tuple[float, float, float]) -> Estimate:
        """Return the estimate for a pair of eyes with a known head pose.

        :param left: (S, S, 3) uint8 BGR image of the subject's left eye.
        :param right: (S, S, 3) uint8 BGR image of the subject's right eye.
        :param head: yaw, pitch, roll in degrees, as head-pose-estimation-adas-0001 defines them:
            yaw > 0 is turned toward the right of the image, pitch > 0 is down, roll > 0 is
            clockwise in the image.
        """
        lefts, rights = (
            crop(eye, square_transform((eye.shape[1] / 2, eye.shape[0] / 2), eye.shape[0],
                                       EYE_SIZE), EYE_SIZE) for eye in (left, right))
        yaw, pitch, roll = np.radians(head).tolist()
        # The crops are upright, and so is the head that belongs to them.
        direction = rotate_in_image(angles_to_unit(-pitch, yaw), roll)
        return self._gazes_of_eyes([(lefts, rights, direction, roll)])[0]

    def close(self) -> None:
        """Free the networks."""
        self._eyes = self._head = self._points = self._lids = None

    def _run(self, name, network, image, transforms, size):
        return network(self._batches[name].fill([crop(image, t, size) for t in transforms]))

    def _landmarks(self, image: np.ndarray, transforms: list[np.ndarray]) -> np.ndarray:
        """Return (N, 5, 2) pixels in the order of types.LANDMARK_NAMES."""
        in_crops = self._run('points', self._points, image, transforms, POINTS_SIZE)[0]
        in_crops = in_crops.reshape(-1, 5, 2) * POINTS_SIZE
        return np.stack([(five - t[:, 2]) @ np.linalg.inv(t[:, :2]).T
                         for five, t in zip(in_crops, transforms)])

    def _gazes_of_eyes(self, people: list[EyePair]) -> list[Estimate]:
        """Return the gaze of each pair of eyes."""
        lids = [crop(eye, square_transform((EYE_SIZE / 2,) * 2, EYE_SIZE, LID_SIZE), LID_SIZE)
                for left, right, *_ in people for eye in (left, right)]
        # Each row: closed, open. One open eye is enough.
        rows = self._lids(self._batches['lids'].fill(lids))[0].reshape(-1, 2, 2)
        probabilities = rows[:, :, 1].max(axis=1).tolist()
        looking = [i for i, probability in enumerate(probabilities) if probability >= OPEN]
        estimates = [Estimate() for _ in people]
        for i, gaze in zip(looking, self._eyes([people[i] for i in looking])):
            if np.isfinite(gaze).all() and gaze.any():
                estimates[i] = Estimate(*unit_to_angles(gaze), probabilities[i])
        return estimates


def _part_file(name: str, folder: Path) -> Path:
    """Return a companion network's file from the store, else from the model's own folder."""
    path = store.locate(name, 'part', ('.xml', '.onnx'))
    if path is None and (folder / f'{name}.xml').is_file():
        path = folder / f'{name}.xml'
    return path or store.find(name, 'part', ('.xml', '.onnx'))


def _upright(five: np.ndarray, size: int) -> np.ndarray:
    """Return the transform from five landmarks' face, of a standard box size, to upright."""
    middle = five.mean(axis=0)
    side = max(BOX_SIDE * math.sqrt(((five - middle) ** 2).sum(axis=1).mean()), 1.0)
    eye_line = five[1] - five[0]
    return square_transform(middle, side, size, math.atan2(eye_line[1], eye_line[0]))
