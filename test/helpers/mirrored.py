"""Mirror images of face meshes and blendshapes."""
from gaze_ros.core.face_mesh.canonical_face import CanonicalFace
from gaze_ros.core.face_mesh.mesh import SHAPE_NAMES
import numpy as np

#: Iris points of the mesh and their mirror images: center, image right, up, left, down.
_IRISES = {468: 473, 469: 476, 470: 475, 471: 474, 472: 477}

#: For each blendshape, the index of that of the other side.
OTHER_SHAPES = [SHAPE_NAMES.index(
    name.replace('Left', '?').replace('Right', 'Left').replace('?', 'Right'))
    for name in SHAPE_NAMES]


def other_points(face: CanonicalFace) -> np.ndarray:
    """Return (478,) index of the mirror image of each point of the mesh."""
    other = face.vertices * [-1, 1, 1]
    nearest = np.linalg.norm(face.vertices[:, None] - other, axis=2).argmin(axis=0)
    mirror = np.concatenate([nearest, np.zeros(2 * len(_IRISES), int)])
    for one, two in _IRISES.items():
        mirror[one], mirror[two] = two, one
    return mirror
