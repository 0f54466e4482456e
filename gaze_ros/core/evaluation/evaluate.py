"""What a model says about labelled pictures, beside what is true."""
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
import math
from pathlib import Path
from time import perf_counter
from typing import Optional
from zipfile import BadZipFile, ZipFile
import zlib

import cv2
from gaze_ros.core.errors import GazeRosError, ModelError, SourceError
from gaze_ros.core.estimators import Estimator
from gaze_ros.core.evaluation.labels import decoded, EyeLabel, Label, read_eye_labels
from gaze_ros.core.evaluation.metrics import Accuracy, measure
from gaze_ros.core.pipeline.engine import Engine
from gaze_ros.core.sources import open_source
from gaze_ros.core.sources.images import IMAGE_SUFFIXES
from gaze_ros.core.types import Gaze
import numpy as np

#: Bytes that a file in a zip may have, unpacked.
_MOST = 64 << 20

#: A picture, None where it is not there, with its labels.
LabelledImage = tuple[Optional[np.ndarray], list[Label]]
#: Pictures of the subject's left and right eye, with their label.
LabelledEyes = tuple[np.ndarray, np.ndarray, EyeLabel]


@dataclass(frozen=True)
class Evaluation:
    """How well a model did.

    :ivar absent: labels whose picture is not in the input; they count nowhere.
    :ivar detection_ms: median milliseconds a picture; None where no face was looked for.
    :ivar estimation_ms: median milliseconds a picture with a face, or a pair of eyes.
    """

    accuracy: Accuracy
    absent: list[Label]
    detection_ms: Optional[float]
    estimation_ms: float


def labelled_images(
        path: Path, labels: list[Label], beside: Path) -> tuple[int, Iterator[LabelledImage]]:
    """Return how many pictures of a video, a folder of images or an image are labelled, and them.

    In a folder a picture is found by its ``image``, else by its ``frame`` among the images in the
    order of their names.

    :param beside: folder of the labels: an ``image`` that is not in the input may be in it.
    :raises GazeRosError: if the labels do not say which picture, or which of its faces, is meant.
    """
    still = path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES
    by_name = still and bool(labels[0].image)
    if not (by_name or labels[0].frame is not None):
        raise GazeRosError(
            f"the labels name images, but '{path}' is a video: give the column frame, or the "
            'folder of the images')
    groups: dict = {}
    for label in labels:
        groups.setdefault(label.image if by_name else label.frame, []).append(label)
    for key, group in groups.items():
        if len(group) > 1 and not all(label.face for label in group):
            raise GazeRosError(
                f'labels, line {group[1].line}: {key} is labelled a second time; say which face '
                'is meant in columns face_x and face_y, in pixels')
    return len(groups), _stills(path, groups, beside) if still else _frames(path, groups)


def evaluate_images(engine: Engine, pictures: Iterable[LabelledImage]) -> Evaluation:
    """Return how well an engine does, unsmoothed.

    :raises GazeRosError: if no label has a gaze to be compared with.
    """
    found, true, absent, detection, estimation = [], [], [], [], []
    for index, (picture, labels) in enumerate(pictures):
        if picture is None:
            absent += labels
            continue
        frame = engine.process(picture, float(index))
        detection.append(frame.detection_time)
        if frame.gazes:
            estimation.append(frame.estimation_time)
        for label in labels:
            gaze = _of(frame.gazes, label)
            found.append((gaze.raw_pitch, gaze.raw_yaw) if gaze else (math.nan, math.nan))
            true.append((label.pitch, label.yaw))
    if not true:
        raise GazeRosError(
            f'none of the {len(absent)} labelled pictures is in the input: is it the one that was '
            'labelled?')
    return Evaluation(
        _accuracy(found, true), absent, _milliseconds(detection), _milliseconds(estimation))


def labelled_eyes(path: Path, labels: str) -> tuple[int, Iterator[LabelledEyes]]:
    """Return how many pairs of eyes are labelled in a zip of their pictures, and the pairs.

    :param labels: name of the CSV in the zip, or path of one outside; pictures are named in it by
        their paths in the zip.
    :raises GazeRosError: naming what is missing or cannot be decoded.
    """
    try:
        archive = ZipFile(path)
    except (OSError, BadZipFile) as e:
        raise SourceError(f"eyes '{path}' is no zip that can be read: {e}") from e
    outside = Path(labels)
    if labels in archive.namelist():
        name, data = f'{path}:{labels}', _read(archive, labels)
    elif outside.is_file():
        name, data = labels, outside.read_bytes()
    else:
        raise GazeRosError(f"labels '{labels}' are neither in '{path}' nor a file")
    rows = read_eye_labels(decoded(data, name), name)

    def eyes() -> Iterator[LabelledEyes]:
        with archive:
            for label in rows:
                yield (*(_from_zip(archive, n, label) for n in (label.left, label.right)), label)

    return len(rows), eyes()


def evaluate_eyes(estimator: Estimator, eyes: Iterable[LabelledEyes]) -> Evaluation:
    """Return how well an estimator does on eyes alone, with the head's yaw given.

    The pictures go to the model whole: nothing is known of how they were cut.

    :raises ModelError: if it needs whole faces.
    :raises GazeRosError: if no pair of eyes has a gaze.
    """
    estimate_eyes = getattr(estimator, 'estimate_eyes', None)
    if estimate_eyes is None:
        raise ModelError(
            f"model '{estimator.name}' needs whole faces: choose one that takes eyes alone, as "
            'adas does, or give --labels and --input')
    found, true, times = [], [], []
    for left, right, label in eyes:
        start = perf_counter()
        estimate = estimate_eyes(left, right, (label.head_yaw, 0.0, 0.0))
        times.append(perf_counter() - start)
        found.append((estimate.pitch, estimate.yaw))
        true.append((label.pitch, label.yaw))
    return Evaluation(_accuracy(found, true), [], None, _milliseconds(times))


def _frames(path: Path, groups: dict[int, list[Label]]) -> Iterator[LabelledImage]:
    source = open_source(str(path.resolve()))
    try:
        index = 0
        left = dict(sorted(groups.items()))
        while left and (picture := source.read()) is not None:
            if labels := left.pop(index, None):
                yield picture, labels
            index += 1
    finally:
        source.close()
    for labels in left.values():
        yield None, labels


def _stills(path: Path, groups: dict, beside: Path) -> Iterator[LabelledImage]:
    folder = path if path.is_dir() else path.parent
    images = [path] if path.is_file() else sorted(
        p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    for key, labels in groups.items():
        if isinstance(key, str):
            candidates = [folder / key, beside / key]
        else:
            candidates = images[key:key + 1]
        there = next((p for p in candidates if p.is_file()), None)
        yield there and cv2.imread(str(there), cv2.IMREAD_COLOR), labels


def _of(gazes: list[Gaze], label: Label) -> Optional[Gaze]:
    """Return the gaze of the face that a label means: gazes come with the largest face first."""
    if label.face:
        at = label.face
        gazes = sorted(
            (g for g in gazes if all(
                start <= v <= start + side
                for v, start, side in zip(at, g.face.box[:2], g.face.box[2:]))),
            key=lambda g: math.dist(at, g.face.center))
    return gazes[0] if gazes else None


def _read(archive: ZipFile, name: str, told: str = '') -> bytes:
    try:
        if archive.getinfo(name).file_size > _MOST:
            raise SourceError(f"eyes '{archive.filename}': '{name}' has more than {_MOST} bytes")
        return archive.read(name)
    except (KeyError, BadZipFile, zlib.error, RuntimeError, OSError, EOFError) as e:
        raise SourceError(
            f"eyes '{archive.filename}': '{name}'{told} is not in it, broken or encrypted") from e


def _from_zip(archive: ZipFile, name: str, label: EyeLabel) -> np.ndarray:
    data = _read(archive, name, f', of line {label.line} of the labels,')
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None:
        raise SourceError(
            f"eyes '{archive.filename}': '{name}' ({len(data)} bytes) is no image OpenCV can "
            'decode')
    return picture


def _accuracy(found: list, true: list) -> Accuracy:
    found = np.array(found)
    if not np.isfinite(found).all(axis=1).any():
        raise GazeRosError(
            f'none of the {len(found)} labelled pictures has a face with a gaze: nothing can be '
            'compared')
    return measure(found, np.array(true))


def _milliseconds(times: list[float]) -> Optional[float]:
    """Return the median of seconds, in milliseconds."""
    return 1e3 * float(np.median(times)) if times else None
