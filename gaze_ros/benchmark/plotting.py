"""Curves over time in one picture, drawn with OpenCV: no other library is needed for them."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import math
from pathlib import Path

import cv2
from gaze_ros.core.errors import GazeRosError
import numpy as np

#: BGR, told apart also by who does not see red or green (Okabe and Ito).
_COLOURS = ((178, 114, 0), (0, 94, 213), (115, 158, 0), (167, 121, 204), (66, 159, 230),
            (233, 180, 86))
_INK, _GRID, _PAPER = (40, 40, 40), (225, 225, 225), 255

#: Pixels of a panel, and of its borders: left, top, right, bottom.
_PANEL, _BORDERS = (760, 300), (84, 46, 24, 40)

_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Panel:
    """Curves with one axis.

    :ivar title: with the unit.
    :ivar curves: (N,) values by name; NaN leaves a gap.
    :ivar from_zero: whether the axis begins at 0.
    """

    title: str
    curves: Mapping[str, np.ndarray]
    from_zero: bool = True


def plot(path: Path, title: str, seconds: np.ndarray, panels: Sequence[Panel],
         shaded: float = 0.0) -> None:
    """Save the panels, two a row, as a PNG.

    :param seconds: (N,) of all curves.
    :param shaded: seconds at the beginning that are shaded: they do not count.
    :raises GazeRosError: if it cannot be written.
    """
    width, height = _PANEL
    rows = -(-len(panels) // 2)
    picture = np.full((rows * height + 50, 2 * width, 3), _PAPER, np.uint8)
    _text(picture, title, (24, 34), 0.8)
    hours = float(seconds[-1]) >= 7200 if len(seconds) else False
    times = np.asarray(seconds) / (3600 if hours else 60)
    for index, panel in enumerate(panels):
        y, x = 50 + index // 2 * height, index % 2 * width
        _draw(picture[y:y + height, x:x + width], panel, times, 'h' if hours else 'min',
              shaded / (3600 if hours else 60))
    if not cv2.imwrite(str(path), picture):
        raise GazeRosError(f"'{path}' cannot be written: is there room on the disk?")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers from low or below to high or above, about so many."""
    span = high - low or 1.0
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, max(last, first + 1) + 1)]


def _draw(part: np.ndarray, panel: Panel, times: np.ndarray, unit: str, shaded: float) -> None:
    left, top, right, bottom = _BORDERS
    height, width = part.shape[:2]
    right, bottom = width - right, height - bottom
    known = [v[np.isfinite(v)] for v in panel.curves.values()]
    every = np.concatenate([*known, [0.0]] if panel.from_zero else known or [[0.0]])
    rows = ticks(float(every.min()), float(every.max())) if every.size else [0.0, 1.0]
    columns = ticks(0.0, float(times[-1]) if len(times) else 1.0, 8)
    end = max(float(times[-1]) if len(times) else 1.0, 1e-9)

    def at(t: np.ndarray, v: np.ndarray) -> np.ndarray:
        x = left + (right - left) * t / end
        y = bottom - (bottom - top) * (v - rows[0]) / (rows[-1] - rows[0])
        return np.stack([x, y], -1)

    if shaded > 0:
        edge = round(float(at(np.array(min(shaded, end)), np.array(rows[0]))[0]))
        part[top:bottom, left:edge] = 244
    for row in rows:
        y = round(float(at(np.array(0.0), np.array(row))[1]))
        cv2.line(part, (left, y), (right, y), _GRID, 1)
        text = f'{row:g}'
        _text(part, text, (left - 8 - 9 * len(text), y + 5), 0.45)
    for column in columns:
        if column <= end:
            x = round(float(at(np.array(column), np.array(rows[0]))[0]))
            cv2.line(part, (x, bottom), (x, bottom + 5), _INK, 1)
            _text(part, f'{column:g}', (x - 8, bottom + 20), 0.45)
    _text(part, unit, (right - 14, bottom + 35), 0.45)
    cv2.line(part, (left, top), (left, bottom), _INK, 1)
    cv2.line(part, (left, bottom), (right, bottom), _INK, 1)
    _text(part, panel.title, (left, 18), 0.55)
    x = left
    for (name, values), colour in zip(panel.curves.items(), _COLOURS * len(panel.curves)):
        points = at(times, values)
        for run in np.split(points, np.flatnonzero(~np.isfinite(values))):
            run = run[np.isfinite(run[:, 1])]
            cv2.polylines(
                part, [np.round(run * 16).astype(np.int32)], False, colour, 2, cv2.LINE_AA, 4)
        if len(panel.curves) > 1:
            cv2.line(part, (x, 34), (x + 18, 34), colour, 3)
            _text(part, name, (x + 24, 39), 0.45)
            x += 40 + 9 * len(name)


def _text(picture: np.ndarray, text: str, where: tuple[int, int], size: float) -> None:
    cv2.putText(picture, text, where, _FONT, size, _INK, 1, cv2.LINE_AA)
