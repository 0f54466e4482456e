"""A page for the browser: the image with its overlays, the scene in 3-D, curves and attention.

The page is viser's (extra ``viewer``); it needs no network beside the connection to this process.
"""
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from html import escape
import logging
import math
import socket
import time
from types import MappingProxyType
from typing import Optional

import cv2
from gaze_ros.core.attention.attention import Attention
from gaze_ros.core.attention.targets import Target as Object
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import web_scene
from gaze_ros.core.output.drawing import draw
from gaze_ros.core.types import FrameGaze
import numpy as np

#: Seconds of the curves and of the timeline.
HISTORY = 30.0
#: Updates per second of image and scene, and of the curves, at most.
_SCENE_RATE, _CURVES_RATE = 15.0, 2.0
#: Long side of the image on the page, pixels.
_LONG_SIDE = 960
#: Seconds by which a stamp must step back to begin a new history.
_RESTART = 1.0


class History:
    """What the curves and the timeline show: the last :data:`HISTORY` seconds of a stream."""

    def __init__(self) -> None:
        self._images: deque[tuple[float, float, dict[str, tuple[float, float, float]],
                                  dict[str, Attention]]] = deque()

    def add(self, frame: FrameGaze, attentions: Iterable[Attention], stamp: float, latency: float
            ) -> None:
        """Add an image; see :meth:`WebViewer.show`."""
        images = self._images
        if images and stamp < images[-1][0] - _RESTART:
            images.clear()
        images.append((
            stamp, latency, {g.track_id: (g.pitch, g.yaw, g.stddev) for g in frame.gazes},
            {attention.track_id: attention for attention in attentions}))
        while images[0][0] < stamp - HISTORY:
            images.popleft()

    @property
    def track_ids(self) -> list[str]:
        """All persons, those seen last first."""
        return [*dict.fromkeys(
            track_id for image in reversed(self._images) for track_id in image[2])]

    def angles(self, track_id: str) -> np.ndarray:
        """Return rows of seconds before the last image, pitch, yaw and sigma, degrees; (4, N)."""
        unknown = (math.nan,) * 3
        rows = [(image[0] - self._images[-1][0], *map(math.degrees, image[2].get(
            track_id, unknown))) for image in self._images]
        return np.array(rows, float).reshape(-1, 4).T

    def speed(self) -> np.ndarray:
        """Return rows of seconds before the last image, images/s and latency in ms; (3, N)."""
        if not self._images:
            return np.zeros((3, 0))
        stamps = np.array([image[0] for image in self._images])
        # Images of the second before each.
        rates = np.arange(1, len(stamps) + 1) - np.searchsorted(stamps, stamps - 1, side='right')
        return np.stack([stamps - stamps[-1], rates.astype(float),
                         1e3 * np.array([image[1] for image in self._images])])

    def timeline(self) -> str:
        """Return an SVG with a row for each person, coloured by what the person looks at."""
        if not self._images:
            return ''
        end, row = self._images[-1][0], 22
        parts = []
        for number, track_id in enumerate(self.track_ids):
            y = number * row
            parts.append(f'<text x="0" y="{y + 15}" fill="currentColor" font-size="12">'
                         f'{escape(track_id[:8])}</text>')
            for start, stop, attention in self._spans(track_id):
                x, width = 56 + 300 * (1 + (start - end) / HISTORY), 300 * (stop - start) / HISTORY
                parts.append(
                    f'<rect x="{x:.1f}" y="{y + 2}" width="{width + 0.5:.1f}" height="18" '
                    f'fill="rgb{web_scene.colour_of(attention)}">'
                    f'<title>{escape(attention.words)}</title></rect>')
        height = row * len(self.track_ids)
        legend = ' '.join(f'<span style="color:rgb{colour}">&#9632; {target.name.lower()}</span>'
                          for target, colour in web_scene.COLOURS.items())
        return (f'<div style="padding:0 1em;font-size:12px">{legend}'
                f'<svg viewBox="0 0 360 {height}" width="100%">{"".join(parts)}</svg></div>')

    def _spans(self, track_id: str) -> list[tuple[float, float, Attention]]:
        """Return start, end and attention of the time in which a person's attention is known."""
        spans: list[tuple[float, float, Attention]] = []
        for stamp, _, _, attentions in self._images:
            attention = attentions.get(track_id)
            if attention is None:
                continue
            if spans and spans[-1][2] == attention:
                spans[-1] = (spans[-1][0], stamp, attention)
            else:
                spans.append((stamp, stamp, attention))
        return spans


class WebViewer:
    """Serves the page and shows images on it.

    :param port: TCP port; the next free one if it is in use.
    :param host: address to listen on; 127.0.0.1 for this machine only.
    :ivar url: of the page.
    :raises GazeRosError: if viser is not installed, or the address cannot be used.
    """

    def __init__(self, port: int = 8080, host: str = '127.0.0.1') -> None:
        try:
            import viser
        except ImportError as e:
            raise GazeRosError(
                "the viewer needs viser, which is not installed: pip install 'viser>=1.1,<2'"
                ) from e
        # Browsers open connections that they do not use; each would print a traceback.
        logging.getLogger('websockets.server').setLevel(logging.CRITICAL)
        try:
            # viser would try in a thread of its own and print a traceback.
            socket.create_server((host, 0)).close()
            if not 0 < port < 65536:
                raise OSError('expected a port of 1..65535')
        except OSError as e:
            raise GazeRosError(f'the viewer cannot listen on {host}:{port}: {e}') from e
        self._server = server = viser.ViserServer(host, port, label='gaze_ros', verbose=False)
        self.url = f'http://{host}:{server.get_port()}'
        # The share button would publish the page on the internet.
        server.gui.configure_theme(
            control_width='large', dark_mode=True, show_share_button=False, show_logo=False)
        server.gui.main_panel.dock_right()
        server.scene.set_up_direction('-y')  # the optical frame: x right, y down, z forward
        server.initial_camera.position, server.initial_camera.look_at = (
            (1.0, -1.0, -1.6), (0.0, 0.0, 1.2))
        server.scene.add_grid('/floor', 8, 8, plane='xz', position=(0.0, 1.2, 2.0))
        self._image = server.gui.add_image(np.zeros((9, 16, 3), np.uint8), label='image')
        self._timeline = server.gui.add_html('')
        self._person = server.gui.add_dropdown('person', ('-',))
        self._angles = self._chart(
            'degrees', ('pitch', 'orange'), ('yaw', 'deepskyblue'), ('sigma', 'gray'))
        self._speed = self._chart('images/s, age in ms', ('images/s', 'limegreen'),
                                  ('age', 'tomato'))
        self._people: dict[str, web_scene.Person] = {}
        self._objects: dict[int, web_scene.Object] = {}
        self._number = 0
        self._history = History()
        self._next_scene = self._next_curves = 0.0

    @property
    def watched(self) -> bool:
        """Whether the page is open somewhere."""
        return bool(self._server.get_clients())

    def show(self, image: Optional[np.ndarray], frame: FrameGaze, attentions: list[Attention],
             stamp: float, latency: float = math.nan, horizontal_fov: float = 1.05,
             objects: Sequence[Object] = (), hits: Mapping[str, np.ndarray] = MappingProxyType({})
             ) -> None:
        """Show an image, if the page is open and the last one is not shown too recently.

        :param image: (H, W, 3) uint8 BGR; None to leave the last one.
        :param attentions: of the persons who are present.
        :param stamp: seconds.
        :param latency: seconds from capture to result.
        :param horizontal_fov: of the camera, radians, for its frustum in the scene.
        :param objects: what people may look at, in the optical frame.
        :param hits: (3,) where the gaze of a person meets one of them, meters, by track id.
        """
        self._history.add(frame, attentions, stamp, latency)
        now = time.monotonic()
        if not self.watched or now < self._next_scene:
            return
        self._next_scene = now + 1 / _SCENE_RATE
        with self._server.atomic():
            if image is not None:
                self._show_image(image, frame, horizontal_fov)
            self._show_people(frame, {a.track_id: a for a in attentions}, hits)
            self._show_objects(objects)
            if now >= self._next_curves:
                self._next_curves = now + 1 / _CURVES_RATE
                self._show_curves()

    def close(self) -> None:
        """Stop serving the page."""
        self._server.stop()

    def _chart(self, title: str, *series: tuple[str, str]):
        return self._server.gui.add_uplot(
            tuple(np.zeros(1) for _ in range(len(series) + 1)),
            ({'label': 's'}, *({'label': label, 'stroke': colour} for label, colour in series)),
            title=title, scales={'x': {'time': False, 'range': (-HISTORY, 0)}},
            axes=({'stroke': 'gray'}, {'stroke': 'gray'}), height=190)

    def _show_image(self, image: np.ndarray, frame: FrameGaze, horizontal_fov: float) -> None:
        annotated = image.copy()
        draw(annotated, frame)
        height, width = annotated.shape[:2]
        scale = _LONG_SIDE / max(height, width)
        if scale < 1:
            annotated = cv2.resize(annotated, None, fx=scale, fy=scale,
                                   interpolation=cv2.INTER_AREA)
        rgb = cv2.cvtColor(annotated, cv2.COLOR_BGR2RGB)
        self._image.image = rgb
        aspect = width / height
        fov = 2 * math.atan(math.tan(min(horizontal_fov, 3.0) / 2) / aspect)  # viser's is vertical
        self._server.scene.add_camera_frustum(
            '/camera', fov, aspect, scale=0.25, color=(120, 200, 255), image=rgb[::2, ::2],
            format='jpeg')

    def _show_people(self, frame: FrameGaze, attentions: dict[str, Attention],
                     hits: Mapping[str, np.ndarray]) -> None:
        located = {gaze.track_id: gaze for gaze in frame.gazes if np.isfinite(gaze.origin).all()}
        for track_id in set(self._people) - set(located):
            self._people.pop(track_id).remove()
        for track_id, gaze in located.items():
            if track_id not in self._people:
                # Names in the scene are paths, and the id of a message may be anything.
                self._people[track_id] = web_scene.Person(
                    self._server.scene, f'/people/{self._number}', gaze)
                self._number += 1
            self._people[track_id].show(gaze, attentions.get(track_id), hits.get(track_id))

    def _show_objects(self, objects: Sequence[Object]) -> None:
        shown = self._objects
        for number in [n for n, one in shown.items()
                       if n >= len(objects) or not one.fits(objects[n])]:
            shown.pop(number).remove()
        for number, target in enumerate(objects):
            if number in shown:
                shown[number].show(target)
            else:
                shown[number] = web_scene.Object(
                    self._server.scene, f'/targets/{number}', target)

    def _show_curves(self) -> None:
        ids = self._history.track_ids or ['-']
        if tuple(self._person.options) != tuple(ids):
            chosen = self._person.value
            self._person.options = tuple(ids)
            self._person.value = chosen if chosen in ids else ids[0]
        self._angles.data = tuple(self._history.angles(self._person.value))
        self._speed.data = tuple(self._history.speed())
        self._timeline.content = self._history.timeline()
