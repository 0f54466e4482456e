"""Intel's gaze-estimation-adas-0002 with head pose, in OpenVINO; all Apache-2.0.

Open Model Zoo: landmarks-regression-retail-0009 finds the eyes, head-pose-estimation-adas-0001
turns the head, open-closed-eye-0001 says whether they are open. All take BGR, 0..255, as it is.
"""
import math
from pathlib import Path

from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import Settings
from gaze_ros.core.geometry.camera_model import unit_to_angles
from gaze_ros.core.geometry.crops import crop, InputBatch, square_transform
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.runtimes import open_network
from gaze_ros.core.runtimes.network_files import refuse
from gaze_ros.core.types import Estimate, Face
import numpy as np

#: Sides in pixels of what the networks take.
EYE_SIZE, HEAD_SIZE, POINTS_SIZE, LID_SIZE = 60, 60, 48, 32

#: Side of an eye's crop over the distance of the eyes, as seen from in front.
EYE_SCALE = 0.65
#: The eyes come nearer to one another as the head turns; not below this part.
NARROWEST = 0.35

#: Side of a detector's box over the deviation of the five points from their middle: the mean over
#: five detectors.
BOX_SIDE = 5.0

#: Probability of being open below which an eye counts as shut.
OPEN = 0.5


class AdasEstimator:
    """All faces of a picture in one batch for each network.

    Its landmarks are the detector's where that has none.

    :raises ModelError: if openvino or a file is missing, a file is none of these networks, or a
        runtime or device is asked for that they do not have.
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
        refuse(path, 'weight')

        def opened(file: Path, inputs: list[tuple[int, ...]]):
            network = open_network(
                file, runtime='openvino', device='cpu', precision=settings.precision,
                threads=settings.threads)
            if network.shapes != inputs:
                raise ModelError(
                    f"weight '{file}' takes inputs of the shapes {network.shapes}, where "
                    f'{inputs} were expected: it is not {file.stem}')
            if not all(np.isfinite(o).all() for o in network(
                    *(np.zeros(shape, np.float32) for shape in inputs))):
                raise ModelError(f"weight '{file}' gives numbers that are not finite: is it "
                                 'damaged?')
            return network

        head, points, lids = (_part(name, path.parent) for name in entry.parts)
        self._gaze = opened(path, [(1, 3, EYE_SIZE, EYE_SIZE)] * 2 + [(1, 3)])
        self._head = opened(head, [(1, 3, HEAD_SIZE, HEAD_SIZE)])
        self._points = opened(points, [(1, 3, POINTS_SIZE, POINTS_SIZE)])
        self._lids = opened(lids, [(1, 3, LID_SIZE, LID_SIZE)])
        self.running = f'openvino, cpu, {self._gaze.precision}'
        self._batches = {name: InputBatch() for name in ('points', 'head', 'left', 'right')}
        # Intel's IR of this one subtracts and divides by itself, the ONNX file does not.
        self._batches['lids'] = InputBatch() if lids.suffix == '.xml' else InputBatch(
            (127.0,) * 3, (255.0,) * 3)

    def estimate(self, bgr: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face; NaN for shut eyes and boxes not in the picture."""
        estimates = [Estimate() for _ in faces]
        height, width = bgr.shape[:2]
        places = [i for i, face in enumerate(faces) if min(face.clipped(width, height)[2:]) > 0]
        if not places:
            return estimates
        points = self._landmarks(bgr, [square_transform(
            faces[i].center, max(faces[i].box[2:]), POINTS_SIZE) for i in places])
        # Once more, upright and as large as a box is: detectors differ in what they call a face.
        points = self._landmarks(bgr, [_upright(five, POINTS_SIZE) for five in points])
        heads = self._heads(bgr, [_upright(five, HEAD_SIZE) for five in points])
        eyes = points[:, 1] - points[:, 0]
        rolls = np.arctan2(eyes[:, 1], eyes[:, 0])
        narrow = np.maximum(np.cos(np.radians(heads[:, 0])), NARROWEST)
        spans = np.maximum(EYE_SCALE * np.hypot(*eyes.T) / narrow, 1.0)
        left, right = (
            [square_transform(p, span, EYE_SIZE, roll)
             for p, span, roll in zip(points[:, eye], spans, rolls)] for eye in (1, 0))
        lefts, rights = ([crop(bgr, t, EYE_SIZE) for t in side] for side in (left, right))
        found = self._eyes(lefts, rights, heads, rolls)
        for i, five, (pitch, yaw, confidence) in zip(places, points, found):
            estimates[i] = Estimate(pitch, yaw, confidence, five)
        return estimates

    def estimate_eyes(
            self, left: np.ndarray, right: np.ndarray,
            head: tuple[float, float, float]) -> Estimate:
        """Return the estimate for a pair of eyes whose head pose is known.

        :param left: (H, W, 3) uint8 BGR, square, of the subject's left eye; right likewise.
        :param head: yaw, pitch, roll in degrees as head-pose-estimation-adas-0001 tells them:
            yaw > 0 turned toward the left of the picture, pitch > 0 down.
        """
        eyes = [crop(p, square_transform((p.shape[1] / 2, p.shape[0] / 2), p.shape[0], EYE_SIZE),
                     EYE_SIZE) for p in (left, right)]
        (pitch, yaw, confidence), = self._eyes(
            [eyes[0]], [eyes[1]], np.array([head[:2]]), np.radians([head[2]]))
        return Estimate(pitch, yaw, confidence)

    def close(self) -> None:
        """Free the networks."""
        self._gaze = self._head = self._points = self._lids = None

    def _run(self, name, network, bgr, transforms, size):
        return network(self._batches[name].fill([crop(bgr, t, size) for t in transforms]))

    def _landmarks(self, bgr: np.ndarray, transforms: list[np.ndarray]) -> np.ndarray:
        """Return (N, 5, 2) pixels in the order of faces.LANDMARK_NAMES."""
        inside = self._run('points', self._points, bgr, transforms, POINTS_SIZE)[0]
        inside = inside.reshape(-1, 5, 2) * POINTS_SIZE
        return np.stack([(five - t[:, 2]) @ np.linalg.inv(t[:, :2]).T
                         for five, t in zip(inside, transforms)])

    def _heads(self, bgr: np.ndarray, transforms: list[np.ndarray]) -> np.ndarray:
        """Return (N, 2) yaw and pitch of the heads, degrees."""
        by_name = dict(zip(self._head.outputs, self._run(
            'head', self._head, bgr, transforms, HEAD_SIZE)))
        return np.hstack([by_name['angle_y_fc'], by_name['angle_p_fc']])

    def _eyes(self, lefts: list[np.ndarray], rights: list[np.ndarray], heads: np.ndarray,
              rolls: np.ndarray) -> list[tuple[float, float, float]]:
        """Return pitch, yaw and confidence of pairs of eyes cut out upright.

        :param rolls: by which the crops were turned, radians.
        """
        lids = [crop(eye, square_transform((EYE_SIZE / 2,) * 2, EYE_SIZE, LID_SIZE), LID_SIZE)
                for pair in zip(lefts, rights) for eye in pair]
        # (N eyes, 2): shut, open. One open eye is enough to look with.
        seen = self._lids(self._batches['lids'].fill(lids))[0].reshape(-1, 2, 2)[:, :, 1].max(1)
        # The crops are upright, so the head's roll is taken out of its pose, too.
        pose = np.hstack([heads, np.zeros((len(heads), 1))]).astype(np.float32)
        vectors = self._gaze(self._batches['left'].fill(lefts),
                             self._batches['right'].fill(rights), pose)[0]
        found = []
        for (x, y, z), roll, probability in zip(vectors.tolist(), rolls, seen.tolist()):
            # x right, y up, z away from the camera. A roll > 0 is clockwise in the picture.
            c, s = math.cos(roll), math.sin(roll)
            vector = np.array([x * c + y * s, y * c - x * s, -z])
            if probability < OPEN or not np.isfinite(vector).all() or not vector.any():
                found.append((math.nan, math.nan, 0.0))
            else:
                found.append((*unit_to_angles(vector), probability))
        return found


def _part(name: str, beside: Path) -> Path:
    """Return a network's file: one the store knows, else that beside the model's."""
    path = store.locate(name, 'part', ('.xml', '.onnx'))
    if path is None and (beside / f'{name}.xml').is_file():
        path = beside / f'{name}.xml'
    return path or store.find(name, 'part', ('.xml', '.onnx'))


def _upright(five: np.ndarray, size: int) -> np.ndarray:
    """Return the transform to the square a detector would have found, turned upright."""
    middle = five.mean(axis=0)
    side = max(BOX_SIDE * math.sqrt(((five - middle) ** 2).sum(axis=1).mean()), 1.0)
    across = five[1] - five[0]
    return square_transform(middle, side, size, math.atan2(across[1], across[0]))
