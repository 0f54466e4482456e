"""The default gaze model: face mesh, Intel's gaze networks if installed, and head, fused."""
import math
from pathlib import Path
from typing import Optional

from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import Settings
from gaze_ros.core.estimators.adas_networks import AdasEyes, AdasHead, HeadBox
from gaze_ros.core.estimators.fusion import fuse
from gaze_ros.core.face_mesh.eyes import Eyes, read_eyes
from gaze_ros.core.face_mesh.head_rotation import (
    estimate_head_rotation,
    HeadRotation,
    straighten,
)
from gaze_ros.core.face_mesh.mesh import FaceMesh, Mesh, region_of_box, UNSURE
from gaze_ros.core.geometry.angular_error import confidence
from gaze_ros.core.geometry.camera_model import Lens
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.system.safe_files import weights_problem
from gaze_ros.core.types import Estimate, Face
import numpy as np

#: Side of YuNet's boxes, for which AdasHead's crop was chosen, in sides of the mesh, and height of
#: their centers above that of the mesh: means over 144 faces.
_BOX_SIDE, _BOX_HEIGHT = 1.13, 0.04

#: Roll of a head, radians, above which head-pose-estimation-adas-0001 gets a rotated crop.
_MAX_UPRIGHT_ROLL = math.radians(40)

#: Mesh points, averaged, for types.LANDMARK_NAMES; right is the person's right.
_FIVE = ((33, 133), (263, 362), (1, 1), (61, 61), (291, 291))
#: Presence logit above which these landmarks replace those of the detector.
_MIN_LANDMARK_PRESENCE = UNSURE

#: Companions that make it more accurate; both or none.
_HEAD_PART, _EYES_MODEL = 'head-pose-estimation-adas-0001', 'adas'


class FusedEstimator:
    """Gaze and head of each face with standard deviations; see :mod:`.fusion`.

    The mesh of a track in the previous image tells where its face is in this one.

    :raises ModelError: if openvino or the mesh file is missing, a file holds another network, or
        the runtime or device is not supported.
    """

    def __init__(self, entry: registry.Model, settings: Settings) -> None:
        self.name = entry.name
        for name, values in (('runtime', ('auto', 'openvino')), ('device', ('auto', 'cpu'))):
            if (value := getattr(settings, name)) not in values:
                raise ModelError(
                    f"model '{entry.name}' runs in OpenVINO on the CPU only: set {name} to "
                    f"{' or '.join(values)}, not '{value}'")
        path = Path(settings.weight) if settings.weight else store.find(entry.name)
        if problem := weights_problem(path):
            raise ModelError(f"weight '{path}' is not a face_landmarker.task: {problem}")
        self._mesh = FaceMesh(path, threads=settings.threads, precision=settings.precision)
        head = store.locate(_HEAD_PART, 'part', ('.xml', '.onnx'))
        eyes = store.locate(_EYES_MODEL, 'gaze', ('.xml',))
        with_adas = head is not None and eyes is not None
        self._head = AdasHead(head, settings) if with_adas else None
        self._eyes = AdasEyes(eyes, settings) if with_adas else None
        self.running = f'openvino, cpu, {self._mesh.precision}'
        #: The mesh of each track in the previous image.
        self.tracks: dict[str, Mesh] = {}

    @property
    def uses_adas(self) -> bool:
        """Whether Intel's networks take part."""
        return self._eyes is not None

    def estimate(self, image: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face, without what is known from previous images."""
        meshes = self._mesh.find(image, [region_of_box(face.box) for face in faces])
        return self.estimate_located(image, faces, meshes, None)

    def locate(self, image: np.ndarray, faces: list[Face], track_ids: list[str]
               ) -> list[Optional[Mesh]]:
        """Return the mesh of each face; None for a box without extent.

        :param track_ids: of the faces, in their order.
        """
        regions = []
        for face, track_id in zip(faces, track_ids):
            mesh = self.tracks.get(track_id)
            if mesh is not None and mesh.presence >= UNSURE and _is_in_box(mesh, face):
                regions.append(mesh.region)
            else:
                regions.append(region_of_box(face.box, search=mesh is None))
        meshes = self._mesh.find(image, regions)
        self.tracks.clear()
        self.tracks.update(
            (track_id, mesh) for track_id, mesh in zip(track_ids, meshes) if mesh is not None)
        return meshes

    def estimate_located(self, image: np.ndarray, faces: list[Face],
                         located: list[Optional[Mesh]], lens: Optional[Lens]) -> list[Estimate]:
        """Return an estimate for each face.

        :param located: the mesh of each.
        :param lens: of the image, if the camera is calibrated.
        """
        found = [i for i, mesh in enumerate(located) if mesh is not None]
        meshes = [located[i] for i in found]
        seen = [self._look(image, mesh, network, lens) for mesh, network in zip(
            meshes, [None] * len(found) if self._head is None else self._head(
                image, [_head_box(mesh, faces[i]) for i, mesh in zip(found, meshes)]))]
        gazes = [None] * len(found) if self._eyes is None else self._eyes([
            (*eyes.crops, head.rotation[:, 2], mesh.roll)
            for mesh, (_, head, eyes) in zip(meshes, seen)])
        estimates = [Estimate() for _ in faces]
        for i, mesh, one, gaze in zip(found, meshes, seen, gazes):
            estimates[i] = _estimate(mesh, *one, gaze)
        return estimates

    def close(self) -> None:
        """Free the networks."""
        self._mesh.close()
        self._head = self._eyes = None

    def _look(self, image: np.ndarray, mesh: Mesh, network: Optional[tuple[float, float]],
              lens: Optional[Lens]) -> tuple[np.ndarray, HeadRotation, Eyes]:
        """Return the points of a mesh as its camera sees them, and the head and eyes."""
        points = mesh.points if lens is None else straighten(mesh.points, lens)
        canonical = self._mesh.canonical
        head = estimate_head_rotation(points, mesh.presence, canonical, network)
        return points, head, read_eyes(image, mesh, head.scale, canonical)


def _estimate(mesh: Mesh, points: np.ndarray, head: HeadRotation, eyes: Eyes,
              adas: Optional[np.ndarray]) -> Estimate:
    gaze = fuse(mesh, points, head, eyes, adas)
    five = np.array([mesh.points[list(pair), :2].mean(axis=0) for pair in _FIVE], np.float64)
    return Estimate(
        gaze.pitch, gaze.yaw, confidence(gaze.stddev),
        five if mesh.presence >= _MIN_LANDMARK_PRESENCE else None, gaze.stddev,
        head.rotation, head.stddev, eyes.openness)


def _head_box(mesh: Mesh, face: Face) -> HeadBox:
    """Return center, side and roll of the head for AdasHead; detectors' boxes differ too much."""
    roll = mesh.roll if abs(mesh.roll) > _MAX_UPRIGHT_ROLL else 0.0
    if mesh.presence < UNSURE:
        return face.center, max(face.box[2:]), roll
    (x, y), side, up = mesh.region.center, mesh.region.side, _BOX_HEIGHT * mesh.region.side
    return (x + up * math.sin(mesh.roll), y - up * math.cos(mesh.roll)), _BOX_SIDE * side, roll


def _is_in_box(mesh: Mesh, face: Face) -> bool:
    """Return whether the center of a mesh is in the face's box: else the track has jumped."""
    x, y, w, h = face.box
    u, v = mesh.region.center
    return x <= u <= x + w and y <= v <= y + h
