"""Reads label files: CSV with a header and one labelled face, or pair of eyes, per row."""
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
HEAD_PITCH = ('head_pitch_up_deg', 'head_pitch')
HEAD_YAW = ('head_yaw_image_right_deg', 'head_yaw')
HEAD_ROLL = ('head_roll_deg', 'head_roll')
EYES_OPEN = ('eyes_open',)
SUBJECT = ('subject', 'person')
#: Accepted names of the head yaw of a pair of eyes.
EYES_HEAD_YAW = ('head_yaw_p_deg', 'head_yaw_deg')

#: Columns in radians, as in the ROS messages; all other angles are in degrees.
_RADIANS = ('pitch', 'yaw', 'head_pitch', 'head_yaw', 'head_roll')

#: Maximum bytes of a file; a hundred thousand rows have a tenth of that.
_MAX_BYTES = 64 << 20

_TRUE, _FALSE = ('1', 'true', 'yes', '1.0'), ('0', 'false', 'no', '0.0', '')


@dataclass(frozen=True)
class Label:
    """What is known of one face in one image; NaN for what is not.

    Angles are relative to the ray from the face to the lens: (0, 0) faces the lens.

    :ivar pitch: of the gaze, radians, > 0 up; NaN exactly where ``yaw`` is.
    :ivar yaw: of the gaze, radians, > 0 toward the right of the image.
    :ivar line: line of the file, from 1.
    :ivar frame: index of the image in its video or folder, from 0; None without this column.
    :ivar image: file name of the image; '' without this column.
    :ivar face: x, y in pixels of a point in the face; None means the largest face.
    :ivar head_pitch: of the direction of the face, radians, > 0 up.
    :ivar head_yaw: the same, > 0 toward the right of the image.
    :ivar head_roll: of the head, radians, > 0 clockwise in the image.
    :ivar eyes_open: 0 both shut .. 1 both open.
    :ivar subject: the person's name in the file; '' without this column.
    """

    pitch: float
    yaw: float
    line: int
    frame: Optional[int]
    image: str
    face: Optional[tuple[float, float]]
    head_pitch: float = math.nan
    head_yaw: float = math.nan
    head_roll: float = math.nan
    eyes_open: float = math.nan
    subject: str = ''


@dataclass(frozen=True)
class EyeLabel:
    """The true gaze of one pair of eyes, angles as in :class:`Label`.

    :ivar left: file name of the image of the subject's left eye.
    :ivar right: file name of the image of the subject's right eye.
    :ivar head_yaw: degrees, as estimated by head-pose-estimation-adas-0001.
    :ivar subject: the person's name in the file; '' without this column.
    """

    pitch: float
    yaw: float
    line: int
    left: str
    right: str
    head_yaw: float
    subject: str = ''


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
            self._refuse(column, f'{self.cells[column][:100]!r} is not a number')
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

    def optional_angle(self, column: str, limit: int) -> float:
        """Return :meth:`angle`, or NaN for an empty cell or without the column ('')."""
        return self.angle(column, limit) if self.has(column) else math.nan

    def optional_share(self, column: str) -> float:
        """Return the number 0..1 in a cell, or NaN for an empty cell or without the column."""
        if not self.has(column):
            return math.nan
        value = self.number(column)
        if not 0 <= value <= 1:
            self._refuse(column, f'{value:g} is not in 0..1')
        return value

    def has(self, *columns: str) -> bool:
        """Return whether one of the cells is not empty; '' names no column."""
        return any(column and self.cells[column] for column in columns)

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
            self._refuse(column, f'{cell[:100]!r} is neither 1 nor 0')
        return cell in _TRUE

    def _refuse(self, column: str, reason: str) -> None:
        raise GazeRosError(f"labels '{self._name}', line {self.line}, column {column}: {reason}")


def read_labels(path: Path) -> list[Label]:
    """Return the labels of a file.

    Any cell but the name of the image may be empty; pitch and yaw of the gaze only together. Rows
    whose ``settled`` is 0, or without gaze, head and eyes, are skipped.

    :raises GazeRosError: naming file, line and column, if the file is invalid.
    """
    name = str(path)
    columns, rows = _read(decode_text(_bytes(path), name), name)
    frame, image = (_first(columns, names) for names in (FRAME, IMAGE))
    if not (frame or image):
        _missing(name, columns, 'the image', (*FRAME, *IMAGE))
    head_pitch, head_yaw, head_roll, eyes_open, subject = (
        _first(columns, names)
        for names in (HEAD_PITCH, HEAD_YAW, HEAD_ROLL, EYES_OPEN, SUBJECT))
    others = tuple(filter(None, (head_pitch, head_yaw, head_roll, eyes_open)))
    has_point = {'face_x', 'face_y'} <= set(columns)
    labels = []
    for row, pitch, yaw in _labelled(name, columns, rows, others):
        face = None
        if has_point and row.has('face_x', 'face_y'):
            face = row.number('face_x'), row.number('face_y')
        labels.append(Label(
            pitch, yaw, row.line, row.index(frame) if frame else None,
            row.text(image) if image else '', face,
            row.optional_angle(head_pitch, 90), row.optional_angle(head_yaw, 180),
            row.optional_angle(head_roll, 180), row.optional_share(eyes_open),
            row.cells[subject] if subject else ''))
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
    head_yaw = _first(columns, EYES_HEAD_YAW) or _missing(
        name, columns, "the head's yaw", EYES_HEAD_YAW)
    subject = _first(columns, SUBJECT)
    return [
        EyeLabel(pitch, yaw, row.line, row.text('left_eye'), row.text('right_eye'),
                 row.number(head_yaw), row.cells[subject] if subject else '')
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
        columns = [' '.join(cell.split()).lower() for cell in next(reader, [])]
        rows = []
        for cells in reader:
            padded = [cell.strip() for cell in cells] + [''] * (len(columns) - len(cells))
            if any(padded):
                rows.append(_Row(name, reader.line_num, dict(zip(columns, padded))))
    except csv.Error as e:
        raise GazeRosError(f"labels '{name}', line {reader.line_num}: {e}") from e
    return columns, rows


def _labelled(
        name: str, columns: list[str], rows: list[_Row], others: tuple[str, ...] = ()
) -> list[tuple[_Row, float, float]]:
    """Return the rows with a valid label, each with its pitch and yaw in radians.

    :param others: columns of other labels; a row with one of them needs no gaze: NaN then.
    """
    pitch, yaw = _first(columns, PITCH), _first(columns, YAW)
    if not others or pitch or yaw:
        pitch = pitch or _missing(name, columns, 'the pitch', PITCH)
        yaw = yaw or _missing(name, columns, 'the yaw', YAW)
    labelled = []
    for row in rows:
        has_gaze = row.has(pitch, yaw)
        if 'settled' in columns and not row.is_true('settled') or not (
                has_gaze or row.has(*others)):
            continue
        labelled.append((row, row.angle(pitch, 90), row.angle(yaw, 180)) if has_gaze else (
            row, math.nan, math.nan))
    if not labelled:
        raise GazeRosError(
            f"labels '{name}' has {len(rows)} rows and no valid one: expected values in "
            f'{", ".join(filter(None, (pitch, yaw, *others)))}'
            + (', and settled 1' if 'settled' in columns else ''))
    return labelled


def _first(columns: list[str], names: Sequence[str]) -> str:
    return next((name for name in names if name in columns), '')


def _missing(name: str, columns: list[str], what: str, expected: Sequence[str]) -> None:
    raise GazeRosError(
        f"labels '{name}' has no column for {what}: expected one of {', '.join(expected)}; "
        f'the columns are {", ".join(columns)[:300] or "none"}')
