"""MediaPipe's face mesh and blendshapes in OpenVINO: 478 points and 52 shapes per face.

The networks are those of face_landmarker.task (Apache-2.0); the package mediapipe is not needed.
The landmark network takes an upright crop. Its position comes from a detector's box or, faster and
more accurate, from the mesh of the same face in the previous image.
"""
from dataclasses import dataclass
from functools import partial
import math
from pathlib import Path
import tempfile
from typing import Optional
from zipfile import BadZipFile, ZipFile
import zlib

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.face_mesh.canonical_face import read_canonical_face
from gaze_ros.core.geometry.crops import crop, square_transform
from gaze_ros.core.runtimes.openvino_runtime import OpenVINONetwork
import numpy as np
import openvino

#: Number of points of a mesh, the last ten of which are the irises, and of blendshapes.
POINTS, SHAPES = 478, 52

#: Side of the landmark network's input, pixels, and the batches it is compiled for beside 1.
CROP_SIZE, BATCHES = 256, (4, 2)

#: Ratio of the crop's side to the longer side of the box of the detector or of the mesh: the one
#: of MediaPipe, then those tried if the network finds no face.
CROP_SCALES = (1.5, 1.25, 1.8)

#: Presence logit below which more crops are tried. Median error of the head by presence, degrees:
#: above 20: 3.6; 10 to 20: 4.8; 5 to 10: 8; 0 to 5: 16; below 0: 21.
UNSURE = 5.0

#: Presence logit above which a face in a rotated crop is accepted. In rotated crops of upright
#: faces the network found faces of up to 12.8 in YuNet's boxes, and one of 14.4 (a mask) in
#: BlazeFace's; rotated frontal faces have 13.0 and more, so the two cannot be separated fully.
MIN_ROTATED = 13.0

#: Presence logit of a new face below which rotated crops are tried (an upside-down face had 14),
#: and by how much a rotated one has to exceed it. The network finds faces that are rotated by up
#: to 30 degrees as well as upright ones, so steps of 45 degrees are enough.
CLEAR, _ROTATED_MARGIN = 15.0, 1.0
#: Of the rotated crops the best are cut again: their number, and the presence logit they need.
_CANDIDATES, _MIN_CANDIDATE = 5, -7.0
#: Rotation relative to the face found first, radians, below which it is the same face, cut again.
_MIN_ROTATION = math.radians(20)
_ROTATIONS = tuple(math.radians(degrees) for degrees in (45, -45, 90, -90, 135, -135, 180))

#: If the crop was rotated by more than this relative to the face, radians, it is cut again.
_MAX_CROP_ROLL = math.radians(10)

#: Names of the blendshapes (ARKit's), in the order of the network's outputs; left and right are
#: the subject's.
SHAPE_NAMES = (
    '_neutral', 'browDownLeft', 'browDownRight', 'browInnerUp', 'browOuterUpLeft',
    'browOuterUpRight', 'cheekPuff', 'cheekSquintLeft', 'cheekSquintRight', 'eyeBlinkLeft',
    'eyeBlinkRight', 'eyeLookDownLeft', 'eyeLookDownRight', 'eyeLookInLeft', 'eyeLookInRight',
    'eyeLookOutLeft', 'eyeLookOutRight', 'eyeLookUpLeft', 'eyeLookUpRight', 'eyeSquintLeft',
    'eyeSquintRight', 'eyeWideLeft', 'eyeWideRight', 'jawForward', 'jawLeft', 'jawOpen',
    'jawRight', 'mouthClose', 'mouthDimpleLeft', 'mouthDimpleRight', 'mouthFrownLeft',
    'mouthFrownRight', 'mouthFunnel', 'mouthLeft', 'mouthLowerDownLeft', 'mouthLowerDownRight',
    'mouthPressLeft', 'mouthPressRight', 'mouthPucker', 'mouthRight', 'mouthRollLower',
    'mouthRollUpper', 'mouthShrugLower', 'mouthShrugUpper', 'mouthSmileLeft', 'mouthSmileRight',
    'mouthStretchLeft', 'mouthStretchRight', 'mouthUpperUpLeft', 'mouthUpperUpRight',
    'noseSneerLeft', 'noseSneerRight')

#: Points of the mesh that the blendshape network takes: kLandmarksSubsetIdxs of MediaPipe's
#: tasks/cc/vision/face_landmarker/face_blendshapes_graph.cc.
_SHAPE_POINTS = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65,
    66, 67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136,
    144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172,
    173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283,
    284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324,
    332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385,
    386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472,
    473, 474, 475, 476, 477)

#: Byte values as float32 in 0..1.
_UNIT = (np.arange(256) / 255).astype(np.float32)

#: Outer corners of the person's right and left eye: this line is level in an upright face.
_EYE_LINE = (33, 263)

#: Files in the bundle, and the maximum size of each, bytes: Google's have 2.6 and 1.0 MB.
_LANDMARKS, _BLENDSHAPES = 'face_landmarks_detector.tflite', 'face_blendshapes.tflite'
_GEOMETRY = 'geometry_pipeline_metadata_landmarks.binarypb'
_MAX_BYTES = 64 << 20


@dataclass(slots=True, eq=False)
class Mesh:
    """The mesh of one face.

    :ivar points: (478, 3) float32: x and y in pixels of the image; z in pixels, away from the
        camera, 0 near the middle of the head. 468 to 472 are the iris of the person's right eye,
        473 to 477 that of the left.
    :ivar presence: logit of the probability that the crop holds a face; above 20 for clear
        frontal faces.
    :ivar shapes: (52,) float32 0..1 in the order of :data:`SHAPE_NAMES`.
    """

    points: np.ndarray
    presence: float
    shapes: np.ndarray

    @property
    def roll(self) -> float:
        """Clockwise rotation of the face in the image, radians."""
        return roll_of(self.points)

    @property
    def region(self) -> 'Region':
        """Region of the face, for the next image."""
        return region_of(self.points)


@dataclass(frozen=True, slots=True)
class Region:
    """Part of an image that holds a face.

    :ivar center: x, y in pixels.
    :ivar side: the longer side of the face's upright bounding box, pixels.
    :ivar roll: clockwise rotation of the face in the image, radians.
    :ivar from_mesh: whether it is from a mesh: one pass is enough then.
    :ivar search: whether other scales and rotated crops are tried if the face is unclear: 8 to 27
        more passes, worth it when a track begins.
    """

    center: tuple[float, float]
    side: float
    roll: float = 0.0
    from_mesh: bool = False
    search: bool = True


class FaceMesh:
    """The landmark and the blendshape network.

    :param path: a face_landmarker.task.
    :param threads: CPU threads; 0 for one per core.
    :param precision: auto, fp32 or bf16.
    :ivar canonical: the mean face in the bundle.
    :ivar precision: used by the networks.
    :raises ModelError: if the file is not such a bundle, or OpenVINO does not run its networks.
    """

    def __init__(self, path: Path, *, threads: int = 0, precision: str = 'auto') -> None:
        with tempfile.TemporaryDirectory() as folder:  # OpenVINO reads tflite from files only
            try:
                with ZipFile(path) as bundle:
                    for name in (_LANDMARKS, _BLENDSHAPES, _GEOMETRY):
                        if bundle.getinfo(name).file_size > _MAX_BYTES:
                            raise ValueError(f'its {name} has more than {_MAX_BYTES} bytes')
                    for name in (_LANDMARKS, _BLENDSHAPES):
                        Path(folder, name).write_bytes(bundle.read(name))
                    self.canonical = read_canonical_face(bundle.read(_GEOMETRY))
            except (BadZipFile, KeyError, OSError, ValueError, RuntimeError, zlib.error) as e:
                raise ModelError(f"weight '{path}' is not a face_landmarker.task: {e}") from e
            self._landmarks, self._shapes = (
                OpenVINONetwork(
                    Path(folder, name), device='cpu', precision=precision, threads=threads,
                    batches=batches, prepare=partial(_checked, path=path, name=name, shape=shape))
                for name, batches, shape in (
                    (_LANDMARKS, BATCHES, (1, CROP_SIZE, CROP_SIZE, 3)),
                    (_BLENDSHAPES, (), (1, len(_SHAPE_POINTS), 2))))
        self.precision = self._landmarks.precision
        self._inputs = np.empty((1, CROP_SIZE, CROP_SIZE, 3), np.float32)

    def find(self, image: np.ndarray, regions: list[Region]) -> list[Optional[Mesh]]:
        """Return the mesh of the face in each region; None for a region without extent.

        A region from a mesh takes one pass of the landmark network, all regions in one batch. A
        region from a detector takes a second one in the box of the points that the first found:
        the pitch of the eyes in the blendshapes depends on the scale of the crop (by 8 degrees
        each way for scales of 1.2 to 1.8), so the scale has to be the same every time. An unclear
        face takes up to 28 passes with :attr:`Region.search` and one without. Every face gets a
        mesh: see :attr:`Mesh.presence`.

        :param image: (H, W, 3) uint8 BGR.
        """
        meshes: list[Optional[Mesh]] = [None] * len(regions)
        valid = [i for i, r in enumerate(regions) if r.side > 0
                 and np.isfinite((*r.center, r.side, r.roll)).all()]
        for i, found in zip(valid, self._run_batch(image, [regions[i] for i in valid])):
            points, presence = self._refine(image, regions[i], *found)
            meshes[i] = Mesh(points, presence, self._blendshapes(points))
        return meshes

    def _refine(self, image: np.ndarray, region: Region, points: np.ndarray, presence: float
                ) -> tuple[np.ndarray, float]:
        """Return the mesh after the further passes that a region needs."""
        unsure = presence < UNSURE
        if region.from_mesh or unsure and not region.search:
            return points, presence
        if unsure:
            for scale in CROP_SCALES[1:]:
                again = self._run(image, region, scale)
                if again[1] > presence:
                    points, presence = again
        points, presence = self._recut(
            image, points, presence, region.roll, 3 if region.search else 1)
        # At another scale, an upside-down face had 16: it counts as unclear, too.
        if region.search and (unsure or presence < CLEAR):
            points, presence = self._search_rotated(image, region, points, presence)
        return points, presence

    def _recut(self, image: np.ndarray, points: np.ndarray, presence: float, roll: float,
               max_passes: int = 3) -> tuple[np.ndarray, float]:
        """Return the mesh in the crop around a mesh; repeated while that crop was rotated."""
        for _ in range(max_passes):
            upright = region_of(points)
            if not upright.side > 0:
                break
            again = self._run(image, upright, CROP_SCALES[0])
            if again[1] < min(presence, CLEAR) - UNSURE:
                break
            points, presence = again
            if abs(_difference(upright.roll, roll)) < _MAX_CROP_ROLL:
                break
            roll = upright.roll
        return points, presence

    def _search_rotated(self, image: np.ndarray, region: Region, points: np.ndarray,
                        presence: float) -> tuple[np.ndarray, float]:
        """Return the mesh of a face that is not upright; the given one if none is clearer.

        In a profile the network finds faces that lie on their side, with a presence of up to 10.
        """
        found = []
        for rotation in _ROTATIONS:
            rotated = Region(region.center, region.side, region.roll + rotation)
            found.append((*self._run(image, rotated, CROP_SCALES[0]), rotated.roll))
        for candidate in sorted(found, key=lambda f: -f[1])[:_CANDIDATES]:
            if candidate[1] < _MIN_CANDIDATE:
                break
            again = self._recut(image, *candidate)
            is_rotated = abs(_difference(roll_of(again[0]), roll_of(points))) > _MIN_ROTATION
            if is_rotated and again[1] > max(presence + _ROTATED_MARGIN, MIN_ROTATED):
                points, presence = again
        return points, presence

    def _run(self, image: np.ndarray, region: Region, scale: float) -> tuple[np.ndarray, float]:
        return self._run_batch(image, [region], scale)[0]

    def _run_batch(self, image: np.ndarray, regions: list[Region],
                   scale: float = CROP_SCALES[0]) -> list[tuple[np.ndarray, float]]:
        """Return (478, 3) points and presence logit for each region."""
        count = len(regions)
        if not count:
            return []
        if count > len(self._inputs):
            self._inputs = np.empty((count, *self._inputs.shape[1:]), np.float32)
        transforms = [square_transform(r.center, scale * r.side, CROP_SIZE, r.roll)
                      for r in regions]
        for transform, row in zip(transforms, self._inputs):
            face = cv2.cvtColor(crop(image, transform, CROP_SIZE), cv2.COLOR_BGR2RGB)
            cv2.LUT(face, _UNIT, row)  # a third of the time of a division
        outputs = self._landmarks(self._inputs[:count])
        found = outputs[0].reshape(count, POINTS, 3).astype(np.float32)
        for points, transform, region in zip(found, transforms, regions):
            k = scale * region.side / CROP_SIZE
            # The inverse of a similarity: its transpose over the square of its scale.
            points[:, :2] = (points[:, :2] - transform[:, 2]) @ (transform[:, :2] * k * k)
            points[:, 2] *= k
        return list(zip(found, outputs[1].reshape(count).tolist()))

    def _blendshapes(self, points: np.ndarray) -> np.ndarray:
        """Return the (52,) shapes; they depend on roll, so the points are rotated upright."""
        roll = roll_of(points)
        c, s = math.cos(roll), math.sin(roll)
        upright = points[_SHAPE_POINTS, :2] @ np.array([[c, -s], [s, c]], points.dtype)
        # Copied: the next call overwrites the output. The network has no batch axis.
        return self._shapes(upright[None])[0].copy()

    def close(self) -> None:
        """Free the networks."""
        self._landmarks = self._shapes = None


def _checked(graph: openvino.Model, path: Path, name: str, shape: tuple[int, ...]
             ) -> openvino.Model:
    """Return a network unchanged; raise ModelError if it has other inputs."""
    shapes = [i.partial_shape for i in graph.inputs]
    if len(shapes) != 1 or not shapes[0].compatible(openvino.PartialShape(list(shape))):
        raise ModelError(f"weight '{path}' has a {name} with inputs of "
                         f'{", ".join(map(str, shapes))}; {shape} was expected')
    return graph


def region_of_box(box: tuple[float, float, float, float], search: bool = True) -> Region:
    """Return the region of a detector's box: x, y, w, h in pixels.

    The roll is 0: detectors' landmarks show only a third to 60 % of the roll of a face.
    """
    x, y, w, h = box
    return Region((x + w / 2, y + h / 2), max(w, h), search=search)


def region_of(points: np.ndarray) -> Region:
    """Return the region of the points (N, 2 or more) of a mesh."""
    roll = roll_of(points)
    c, s = math.cos(roll), math.sin(roll)
    rotated = points[:, :2] @ np.array([[c, -s], [s, c]], points.dtype)
    low, high = rotated.min(axis=0), rotated.max(axis=0)
    u, v = ((low + high) / 2).tolist()
    return Region((c * u - s * v, s * u + c * v), float((high - low).max()), roll, True)


def roll_of(points: np.ndarray) -> float:
    """Return the clockwise rotation of a mesh in the image, radians."""
    x, y = (points[_EYE_LINE[1], :2] - points[_EYE_LINE[0], :2]).tolist()
    return math.atan2(y, x)


def _difference(a: float, b: float) -> float:
    """Return the angle a - b in -pi..pi."""
    return (a - b + math.pi) % (2 * math.pi) - math.pi
