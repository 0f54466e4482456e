"""Evaluates a model on labelled images or pairs of eyes."""
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
from gaze_ros.core.evaluation.labels import decode_text, EyeLabel, Label, read_eye_labels
from gaze_ros.core.evaluation.metrics import Accuracy, measure
from gaze_ros.core.pipeline.engine import Engine
from gaze_ros.core.sources import open_source
from gaze_ros.core.sources.images import IMAGE_SUFFIXES
from gaze_ros.core.types import Gaze
import numpy as np

#: Maximum uncompressed bytes of a file in a zip.
_MAX_BYTES = 64 << 20

#: An image, None if it is missing, with its labels.
LabelledImage = tuple[Optional[np.ndarray], list[Label]]
#: Images of the subject's left and right eye, with their label.
LabelledEyes = tuple[np.ndarray, np.ndarray, EyeLabel]


@dataclass(frozen=True)
class Evaluation:
    """Result of an evaluation.

    :ivar absent: labels whose image is not in the input; they are in no figure.
    :ivar detection_ms: median milliseconds of face detection per image; None without detection.
    :ivar estimation_ms: median milliseconds of gaze estimation per image with a face, or per pair
        of eyes.
    """

    accuracy: Accuracy
    absent: list[Label]
    detection_ms: Optional[float]
    estimation_ms: float


def labelled_images(
        path: Path, labels: list[Label], labels_folder: Path
) -> tuple[int, Iterator[LabelledImage]]:
    """Return the number of labelled images, and the images with their labels.

    In a folder, an image is found by the column ``image``, else by ``frame`` as the index among
    the images in the order of their names.

    :param path: a video, an image or a folder of images.
    :param labels_folder: folder of the labels, searched for an ``image`` that is not in the input.
    :raises GazeRosError: if the labels do not identify the image, or the face in it.
    """
    is_still = path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES
    by_name = is_still and bool(labels[0].image)
    if not (by_name or labels[0].frame is not None):
        raise GazeRosError(
            f"the labels name images, but '{path}' is a video: add the column frame, or use the "
            'folder of the images as input')
    groups: dict = {}
    for label in labels:
        groups.setdefault(label.image if by_name else label.frame, []).append(label)
    for key, group in groups.items():
        if len(group) > 1 and not all(label.face for label in group):
            raise GazeRosError(
                f'labels, line {group[1].line}: {key} has more than one label; identify the faces '
                'in the columns face_x and face_y, in pixels')
    if is_still:
        return len(groups), _still_images(path, groups, labels_folder)
    return len(groups), _video_frames(path, groups)


def evaluate_images(engine: Engine, images: Iterable[LabelledImage]) -> Evaluation:
    """Return the accuracy of an engine on labelled images, without smoothing.

    :raises GazeRosError: if no label has an estimated gaze to compare with.
    """
    estimated, true, absent, detection, estimation = [], [], [], [], []
    for index, (image, labels) in enumerate(images):
        if image is None:
            absent += labels
            continue
        frame = engine.process(image, float(index))
        detection.append(frame.detection_time)
        if frame.gazes:
            estimation.append(frame.estimation_time)
        for label in labels:
            gaze = _gaze_of(frame.gazes, label)
            estimated.append((gaze.raw_pitch, gaze.raw_yaw) if gaze else (math.nan, math.nan))
            true.append((label.pitch, label.yaw))
    if not true:
        raise GazeRosError(
            f'none of the {len(absent)} labelled images is in the input: do the labels belong to '
            'this input?')
    return Evaluation(
        _accuracy(estimated, true), absent, _median_ms(detection), _median_ms(estimation))


def labelled_eyes(path: Path, labels: str) -> tuple[int, Iterator[LabelledEyes]]:
    """Return the number of labelled pairs of eyes in a zip, and the pairs.

    :param labels: name of the CSV in the zip, or path of a CSV outside; it names the images by
        their paths in the zip.
    :raises GazeRosError: naming what is missing or cannot be decoded.
    """
    try:
        archive = ZipFile(path)
    except (OSError, BadZipFile) as e:
        raise SourceError(f"eyes '{path}' is not a readable zip: {e}") from e
    labels_path = Path(labels)
    if labels in archive.namelist():
        name, data = f'{path}:{labels}', _read(archive, labels)
    elif labels_path.is_file():
        name, data = labels, labels_path.read_bytes()
    else:
        raise GazeRosError(f"labels '{labels}' are neither in '{path}' nor a file")
    rows = read_eye_labels(decode_text(data, name), name)

    def eyes() -> Iterator[LabelledEyes]:
        with archive:
            for label in rows:
                left, right = (
                    _image_from_zip(archive, file, label) for file in (label.left, label.right))
                yield left, right, label

    return len(rows), eyes()


def evaluate_eyes(estimator: Estimator, eyes: Iterable[LabelledEyes]) -> Evaluation:
    """Return the accuracy of an estimator on eye images with a known head yaw.

    The model gets the whole images: how they were cropped is unknown.

    :raises ModelError: if the model needs whole faces.
    :raises GazeRosError: if no pair of eyes has an estimated gaze.
    """
    estimate_eyes = getattr(estimator, 'estimate_eyes', None)
    if estimate_eyes is None:
        raise ModelError(
            f"model '{estimator.name}' needs whole faces: choose one that works on eyes alone, "
            'such as adas, or use --labels and --input')
    estimated, true, times = [], [], []
    for left, right, label in eyes:
        start = perf_counter()
        estimate = estimate_eyes(left, right, (label.head_yaw, 0.0, 0.0))
        times.append(perf_counter() - start)
        estimated.append((estimate.pitch, estimate.yaw))
        true.append((label.pitch, label.yaw))
    return Evaluation(_accuracy(estimated, true), [], None, _median_ms(times))


def _video_frames(path: Path, groups: dict[int, list[Label]]) -> Iterator[LabelledImage]:
    source = open_source(str(path.resolve()))
    try:
        index = 0
        remaining = dict(sorted(groups.items()))
        while remaining and (image := source.read()) is not None:
            if labels := remaining.pop(index, None):
                yield image, labels
            index += 1
    finally:
        source.close()
    for labels in remaining.values():
        yield None, labels


def _still_images(
        path: Path, groups: dict, labels_folder: Path) -> Iterator[LabelledImage]:
    folder = path if path.is_dir() else path.parent
    images = [path] if path.is_file() else sorted(
        p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    for key, labels in groups.items():
        if isinstance(key, str):
            candidates = [folder / key, labels_folder / key]
        else:
            candidates = images[key:key + 1]
        file = next((p for p in candidates if p.is_file()), None)
        yield file and cv2.imread(str(file), cv2.IMREAD_COLOR), labels


def _gaze_of(gazes: list[Gaze], label: Label) -> Optional[Gaze]:
    """Return the gaze of the labelled face; without a point, the first, of the largest face."""
    if label.face:
        point = label.face
        gazes = sorted(
            (g for g in gazes if all(
                start <= v <= start + side
                for v, start, side in zip(point, g.face.box[:2], g.face.box[2:]))),
            key=lambda g: math.dist(point, g.face.center))
    return gazes[0] if gazes else None


def _read(archive: ZipFile, name: str, context: str = '') -> bytes:
    try:
        if archive.getinfo(name).file_size > _MAX_BYTES:
            raise SourceError(
                f"eyes '{archive.filename}': '{name}' has more than {_MAX_BYTES} bytes")
        return archive.read(name)
    except (KeyError, BadZipFile, zlib.error, RuntimeError, OSError, EOFError) as e:
        raise SourceError(
            f"eyes '{archive.filename}': '{name}'{context} is missing, broken or encrypted") from e


def _image_from_zip(archive: ZipFile, name: str, label: EyeLabel) -> np.ndarray:
    data = _read(archive, name, f', of line {label.line} of the labels,')
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise SourceError(
            f"eyes '{archive.filename}': '{name}' ({len(data)} bytes) is not an image "
            'that OpenCV can decode')
    return image


def _accuracy(estimated: list, true: list) -> Accuracy:
    estimated = np.array(estimated)
    if not np.isfinite(estimated).all(axis=1).any():
        raise GazeRosError(
            f'none of the {len(estimated)} labelled images has a face with a gaze: nothing can be '
            'compared')
    return measure(estimated, np.array(true))


def _median_ms(times: list[float]) -> Optional[float]:
    """Return the median of seconds, in milliseconds."""
    return 1e3 * float(np.median(times)) if times else None
