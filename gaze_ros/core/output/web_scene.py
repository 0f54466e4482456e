"""What the viewer's scene in 3-D is made of: people with their rays, and what they may look at.

Each object here changes what it has once created: creating costs a hundred times as much.
"""
from typing import Any, Optional

from gaze_ros.core.attention import targets
from gaze_ros.core.attention.attention import Attention, Target
from gaze_ros.core.geometry.incidence import Sphere
from gaze_ros.core.types import Gaze
import numpy as np
from scipy.spatial.transform import Rotation

#: Length of the ray of a gaze that meets no target, and radius of a head, meters.
_RAY, _HEAD = 2.0, 0.09
#: Radius of a target that is a point, and of the place at which a gaze meets a target, and
#: thickness of a plane, meters.
_POINT, _HIT, _THICKNESS = 0.02, 0.025, 0.01

#: RGB colours of what people look at.
COLOURS = {Target.CAMERA: (80, 220, 80), Target.PERSON: (90, 150, 255),
            Target.ELSEWHERE: (255, 170, 60), Target.OBJECT: (230, 110, 230),
            Target.UNKNOWN: (150, 150, 150)}


def colour_of(attention: Optional[Attention]) -> tuple[int, int, int]:
    """Return the RGB colour of what a person looks at."""
    return COLOURS[Target.UNKNOWN if attention is None else attention.target]


class Person:
    """A head, its gaze and a label in the scene.

    :param scene: of viser.
    """

    def __init__(self, scene: Any, name: str, gaze: Gaze) -> None:
        # viser never shows a label that began empty.
        self._head = scene.add_icosphere(
            f'{name}/head', _HEAD, opacity=0.8, position=gaze.origin)
        self._label = scene.add_label(f'{name}/label', gaze.track_id, position=gaze.origin)
        self._ray = scene.add_line_segments(
            f'{name}/ray', np.zeros((1, 2, 3), np.float32), (0, 0, 0), thickness=0.015)
        self._hit = scene.add_icosphere(f'{name}/hit', _HIT, visible=False)

    def show(self, gaze: Gaze, attention: Optional[Attention], hit: Optional[np.ndarray]) -> None:
        """Move it to a gaze.

        :param hit: (3,) where the gaze meets a target; None if it is at none.
        """
        colour = colour_of(attention)
        self._head.position, self._head.color = gaze.origin, colour
        self._label.position = gaze.origin - [0.0, 0.2, 0.0]
        self._label.text = gaze.track_id if attention is None else (
            f'{gaze.track_id}: {attention.words}')
        self._ray.visible = bool(np.isfinite(gaze.direction).all())
        if self._ray.visible:
            end = gaze.origin + _RAY * gaze.direction if hit is None else hit
            self._ray.points = np.array([[gaze.origin, end]], np.float32)
            self._ray.colors = np.full((1, 2, 3), colour, np.uint8)
        self._hit.visible = hit is not None
        if hit is not None:
            self._hit.position, self._hit.color = hit, colour

    def remove(self) -> None:
        """Remove it from the scene."""
        for handle in (self._head, self._label, self._ray, self._hit):
            handle.remove()


class Object:
    """A target with its name in the scene.

    :param scene: of viser.
    :param target: in the optical frame.
    """

    def __init__(self, scene: Any, name: str, target: targets.Target) -> None:
        shape = target.shape
        how = {'color': COLOURS[Target.OBJECT], 'opacity': 0.45}
        if isinstance(shape, Sphere):
            self._body = scene.add_icosphere(f'{name}/body', max(shape.radius, _POINT), **how)
        else:
            self._body = scene.add_box(
                f'{name}/body', dimensions=(*shape.size, _THICKNESS), **how)
        self._label = scene.add_label(f'{name}/label', target.name)
        self._shape, self._center = shape_key(target), None
        self.show(target)

    def fits(self, target: targets.Target) -> bool:
        """Return whether it shows a target of this name and shape; it may be elsewhere."""
        return self._shape == shape_key(target)

    def show(self, target: targets.Target) -> None:
        """Move it to where the target is now."""
        shape = target.shape
        pose = (*shape.center, *getattr(shape, 'axes', np.zeros(0)).ravel())
        if pose == self._center:
            return
        self._center = pose
        self._body.position = self._label.position = shape.center
        if not isinstance(shape, Sphere):
            x, y, z, w = Rotation.from_matrix(shape.axes).as_quat()
            self._body.wxyz = (w, x, y, z)

    def remove(self) -> None:
        """Remove it from the scene."""
        self._body.remove()
        self._label.remove()


def shape_key(target: targets.Target) -> tuple:
    """Return what distinguishes targets of a scene, without their place."""
    shape = target.shape
    return target.name, shape.radius if isinstance(shape, Sphere) else shape.size
