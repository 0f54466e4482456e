"""Reads label files: CSV with a header and one true gaze per row."""
from collections.abc import Sequence
import csv
from dataclasses import dataclass
from io import StringIO
import math
from pathlib import Path
from typing import Optional

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system.safe_files import read_problem

#: Accepted names of each column, the first one found is used; case is ignored.
FRAME = ('frame',)
IMAGE = ('image', 'file', 'filename')
PITCH = ('pitch_up_deg', 'pitch_deg', 'pitch_up_v_deg', 'pitch')
YAW = ('yaw_image_right_deg', 'yaw_deg', 'yaw_h_deg_image_right', 'yaw')
HEAD_YAW = ('head_yaw_p_deg', 'head_yaw_deg')

#: Columns in radians, as in the ROS messages; all other angles are in degrees.
_RADIANS = ('pitch', 'yaw')

#: Maximum bytes of a file; a hundred thousand rows have a tenth of that.
_MAX_BYTES = 64 << 20

_TRUE, _FALSE = ('1', 'true', 'yes', '1.0'), ('0', 'false', 'no', '0.0', '')


@dataclass(frozen=True)
class Label:
    """The true gaze of one face in one image.

    :ivar pitch: radians, > 0 up.
    :ivar yaw: radians, > 0 toward the right of the image.
    :ivar line: line of the file, from 1.
    :ivar frame: index of the image in its video or folder, from 0; None without this column.
    :ivar image: file name of the image; '' without this column.
    :ivar face: x, y in pixels of a point in the face; None means the largest face.
    """

    pitch: float
    yaw: float
    line: int
    frame: Optional[int]
    image: str
    face: Optional[tuple[float, float]]


@dataclass(frozen=True)
class EyeLabel:
    """The true gaze of one pair of eyes, angles as in :class:`Label`.

    :ivar left: file name of the image of the subject's left eye.
    :ivar right: file name of the image of the subject's right eye.
    :ivar head_yaw: degrees, as estimated by head-pose-estimation-adas-0001.
    """

    pitch: float
    yaw: float
    line: int
    left: str
    right: str
    head_yaw: float


class _Row:
    """One row of a file; cells by column name in lower case."""

    def __init__(self, name: str, line: int, cells: dict[str, str]) -> None:
        self._name = name
        self.line = line
        self.cells = cells

    def text(self, column: str) -> str:
        """Return the text of a cell that must not be empty."""
        return self.cells[column] or self._refuse(column, 'it is empty')

    def number(self, column: str) -> float:
        """Return the finite number in a cell."""
        try:
            value = float(self.cells[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self._refuse(column, f"'{self.cells[column]}' is not a number")
        return value

    def angle(self, column: str, limit: int) -> float:
        """Return the angle in a cell in radians; it must be within -limit..limit degrees."""
        value = self.number(column)
        in_radians = column in _RADIANS
        degrees = math.degrees(value) if in_radians else value
        if abs(degrees) > limit:
            radians = math.radians(limit)
            self._refuse(column, f'{value:g} ' + (
                f'is not in -{radians:.2f}..{radians:.2f} rad: degrees belong in a column '
                f'{column}_deg' if in_radians else f'is not in -{limit}..{limit} deg'))
        return math.radians(degrees)

    def index(self, column: str) -> int:
        """Return the whole number >= 0 in a cell."""
        value = self.number(column)
        if value < 0 or value != int(value):
            self._refuse(column, f'{value:g} is not a frame number; expected 0, 1, 2, ...')
        return int(value)

    def is_true(self, column: str) -> bool:
        """Return the truth value in a cell."""
        cell = self.cells[column].lower()
        if cell not in _TRUE + _FALSE:
            self._refuse(column, f"'{cell}' is neither 1 nor 0")
        return cell in _TRUE

    def _refuse(self, column: str, reason: str) -> None:
        raise GazeRosError(f"labels '{self._name}', line {self.line}, column {column}: {reason}")


def read_labels(path: Path) -> list[Label]:
    """Return the labels of a file.

    Rows whose ``settled`` is 0, or whose angles are both empty, are skipped.

    :raises GazeRosError: naming file, line and column, if the file is invalid.
    """
    columns, rows = _read(decode_text(_bytes(path), str(path)), str(path))
    frame, image = (_first(columns, names) for names in (FRAME, IMAGE))
    if not (frame or image):
        _missing(str(path), columns, 'the image', (*FRAME, *IMAGE))
    has_point = {'face_x', 'face_y'} <= set(columns)
    labels = []
    for row, pitch, yaw in _labelled(str(path), columns, rows):
        labels.append(Label(
            pitch, yaw, row.line, row.index(frame) if frame else None,
            row.text(image) if image else '',
            (row.number('face_x'), row.number('face_y')) if has_point else None))
    return labels


def read_eye_labels(text: str, name: str) -> list[EyeLabel]:
    """Return the labels of pairs of eyes, with the columns of Columbia Gaze.

    :param text: content of the file.
    :param name: name of the file, for errors.
    :raises GazeRosError: naming file, line and column, if the file is invalid.
    """
    columns, rows = _read(text, name)
    for column in ('left_eye', 'right_eye'):
        if column not in columns:
            _missing(name, columns, 'the eyes', ('left_eye', 'right_eye'))
    head_yaw = _first(columns, HEAD_YAW) or _missing(name, columns, "the head's yaw", HEAD_YAW)
    return [
        EyeLabel(pitch, yaw, row.line, row.text('left_eye'), row.text('right_eye'),
                 row.number(head_yaw))
        for row, pitch, yaw in _labelled(name, columns, rows)]


def decode_text(data: bytes, name: str) -> str:
    """Return the text of a file.

    :raises GazeRosError: if it is not UTF-8.
    """
    try:
        return data.decode('utf-8-sig')
    except UnicodeDecodeError as e:
        raise GazeRosError(f"labels '{name}' is not a CSV in UTF-8: {e}") from e


def _bytes(path: Path) -> bytes:
    if problem := read_problem(path, _MAX_BYTES):
        raise GazeRosError(f"labels '{path}' cannot be read: {problem}")
    return path.read_bytes()


def _read(text: str, name: str) -> tuple[list[str], list[_Row]]:
    """Return the column names in lower case, and the rows."""
    header = text.partition('\n')[0]
    reader = csv.reader(StringIO(text, newline=''), delimiter=max(',;\t', key=header.count))
    try:
        columns = [cell.strip().lower() for cell in next(reader, [])]
        rows = []
        for cells in reader:
            padded = [cell.strip() for cell in cells] + [''] * (len(columns) - len(cells))
            if any(padded):
                rows.append(_Row(name, reader.line_num, dict(zip(columns, padded))))
    except csv.Error as e:
        raise GazeRosError(f"labels '{name}', line {reader.line_num}: {e}") from e
    return columns, rows


def _labelled(
        name: str, columns: list[str], rows: list[_Row]) -> list[tuple[_Row, float, float]]:
    """Return the rows with a valid label, each with its pitch and yaw in radians."""
    pitch = _first(columns, PITCH) or _missing(name, columns, 'the pitch', PITCH)
    yaw = _first(columns, YAW) or _missing(name, columns, 'the yaw', YAW)
    labelled = [
        (row, row.angle(pitch, 90), row.angle(yaw, 180)) for row in rows
        if ('settled' not in columns or row.is_true('settled'))
        and (row.cells[pitch] or row.cells[yaw])]
    if not labelled:
        raise GazeRosError(
            f"labels '{name}' has {len(rows)} rows and no valid one: expected angles in "
            f'{pitch} and {yaw}' + (', and settled 1' if 'settled' in columns else ''))
    return labelled


def _first(columns: list[str], names: Sequence[str]) -> str:
    return next((name for name in names if name in columns), '')


def _missing(name: str, columns: list[str], what: str, expected: Sequence[str]) -> None:
    raise GazeRosError(
        f"labels '{name}' has no column for {what}: expected one of {', '.join(expected)}; "
        f'the columns are {", ".join(columns)[:300] or "none"}')
