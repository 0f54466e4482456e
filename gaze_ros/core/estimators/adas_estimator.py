"""Intel's gaze-estimation-adas-0002 with its companion networks, in OpenVINO; all Apache-2.0.

From the Open Model Zoo: landmarks-regression-retail-0009 finds the eyes,
head-pose-estimation-adas-0001 estimates the head pose, open-closed-eye-0001 detects closed eyes.
All take BGR, 0..255, without normalisation.
"""
import math
from pathlib import Path

from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import Settings
from gaze_ros.core.geometry.camera_model import unit_to_angles
from gaze_ros.core.geometry.crops import crop, InputBatch, square_transform
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.runtimes import open_network
from gaze_ros.core.runtimes.network_files import check_network_file
from gaze_ros.core.types import Estimate, Face
import numpy as np

#: Sides of the networks' inputs, pixels.
EYE_SIZE, HEAD_SIZE, POINTS_SIZE, LID_SIZE = 60, 60, 48, 32

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
    """Runs all faces of an image in one batch per network.

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

        def open_checked(file: Path, inputs: list[tuple[int, ...]]):
            network = open_network(
                file, runtime='openvino', device='cpu', precision=settings.precision,
                threads=settings.threads)
            if network.shapes != inputs:
                raise ModelError(
                    f"weight '{file}' has inputs of the shapes {network.shapes}, where "
                    f'{inputs} were expected: it is not {file.stem}')
            if not all(np.isfinite(o).all() for o in network(
                    *(np.zeros(shape, np.float32) for shape in inputs))):
                raise ModelError(f"weight '{file}' returns numbers that are not finite: is it "
                                 'damaged?')
            return network

        head, points, lids = (_part_file(name, path.parent) for name in entry.parts)
        self._gaze = open_checked(path, [(1, 3, EYE_SIZE, EYE_SIZE)] * 2 + [(1, 3)])
        self._head = open_checked(head, [(1, 3, HEAD_SIZE, HEAD_SIZE)])
        self._points = open_checked(points, [(1, 3, POINTS_SIZE, POINTS_SIZE)])
        self._lids = open_checked(lids, [(1, 3, LID_SIZE, LID_SIZE)])
        self.running = f'openvino, cpu, {self._gaze.precision}'
        self._batches = {name: InputBatch() for name in ('points', 'head', 'left', 'right')}
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
        heads = self._head_angles(image, [_upright(five, HEAD_SIZE) for five in points])
        eyes = points[:, 1] - points[:, 0]
        rolls = np.arctan2(eyes[:, 1], eyes[:, 0])
        foreshortening = np.maximum(np.cos(np.radians(heads[:, 0])), MIN_FORESHORTENING)
        sides = np.maximum(EYE_SCALE * np.hypot(*eyes.T) / foreshortening, 1.0)
        left, right = (
            [square_transform(p, side, EYE_SIZE, roll)
             for p, side, roll in zip(points[:, eye], sides, rolls)] for eye in (1, 0))
        lefts, rights = ([crop(image, t, EYE_SIZE) for t in eye] for eye in (left, right))
        gazes = self._gaze_of_eyes(lefts, rights, heads, rolls)
        for i, five, (pitch, yaw, confidence) in zip(inside, points, gazes):
            estimates[i] = Estimate(pitch, yaw, confidence, five)
        return estimates

    def estimate_eyes(
            self, left: np.ndarray, right: np.ndarray,
            head: tuple[float, float, float]) -> Estimate:
        """Return the estimate for a pair of eyes with a known head pose.

        :param left: (S, S, 3) uint8 BGR image of the subject's left eye.
        :param right: (S, S, 3) uint8 BGR image of the subject's right eye.
        :param head: yaw, pitch, roll in degrees as head-pose-estimation-adas-0001 defines them:
            yaw > 0 is turned toward the left of the image, pitch > 0 is down.
        """
        eyes = [crop(p, square_transform((p.shape[1] / 2, p.shape[0] / 2), p.shape[0], EYE_SIZE),
                     EYE_SIZE) for p in (left, right)]
        (pitch, yaw, confidence), = self._gaze_of_eyes(
            [eyes[0]], [eyes[1]], np.array([head[:2]]), np.radians([head[2]]))
        return Estimate(pitch, yaw, confidence)

    def close(self) -> None:
        """Free the networks."""
        self._gaze = self._head = self._points = self._lids = None

    def _run(self, name, network, image, transforms, size):
        return network(self._batches[name].fill([crop(image, t, size) for t in transforms]))

    def _landmarks(self, image: np.ndarray, transforms: list[np.ndarray]) -> np.ndarray:
        """Return (N, 5, 2) pixels in the order of types.LANDMARK_NAMES."""
        in_crops = self._run('points', self._points, image, transforms, POINTS_SIZE)[0]
        in_crops = in_crops.reshape(-1, 5, 2) * POINTS_SIZE
        return np.stack([(five - t[:, 2]) @ np.linalg.inv(t[:, :2]).T
                         for five, t in zip(in_crops, transforms)])

    def _head_angles(self, image: np.ndarray, transforms: list[np.ndarray]) -> np.ndarray:
        """Return (N, 2) yaw and pitch of the heads, degrees."""
        by_name = dict(zip(self._head.outputs, self._run(
            'head', self._head, image, transforms, HEAD_SIZE)))
        return np.hstack([by_name['angle_y_fc'], by_name['angle_p_fc']])

    def _gaze_of_eyes(self, lefts: list[np.ndarray], rights: list[np.ndarray], heads: np.ndarray,
                      rolls: np.ndarray) -> list[tuple[float, float, float]]:
        """Return pitch, yaw and confidence for pairs of upright eye crops.

        :param rolls: roll of each head, radians, by which its crops were turned upright.
        """
        lids = [crop(eye, square_transform((EYE_SIZE / 2,) * 2, EYE_SIZE, LID_SIZE), LID_SIZE)
                for pair in zip(lefts, rights) for eye in pair]
        # Each row: closed, open. One open eye is enough.
        probabilities = self._lids(self._batches['lids'].fill(lids))[0]
        open_eyes = probabilities.reshape(-1, 2, 2)[:, :, 1].max(1)
        # The crops are upright, so the roll in the head pose is 0.
        pose = np.hstack([heads, np.zeros((len(heads), 1))]).astype(np.float32)
        vectors = self._gaze(self._batches['left'].fill(lefts),
                             self._batches['right'].fill(rights), pose)[0]
        gazes = []
        for (x, y, z), roll, probability in zip(vectors.tolist(), rolls, open_eyes.tolist()):
            # x right, y up, z away from the camera. A roll > 0 is clockwise in the image.
            c, s = math.cos(roll), math.sin(roll)
            vector = np.array([x * c + y * s, y * c - x * s, -z])
            if probability < OPEN or not np.isfinite(vector).all() or not vector.any():
                gazes.append((math.nan, math.nan, 0.0))
            else:
                gazes.append((*unit_to_angles(vector), probability))
        return gazes


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
