"""Runs a model on labelled images or pairs of eyes, and evaluates the results."""
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
import logging
import math
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, Optional
from zipfile import BadZipFile, ZipFile
import zlib

import cv2
from gaze_ros.core.errors import GazeRosError, ModelError, SourceError
from gaze_ros.core.estimators import Estimator
from gaze_ros.core.evaluation.calibration import calibrate, Calibration
from gaze_ros.core.evaluation.labels import decode_text, EyeLabel, Label, read_eye_labels
from gaze_ros.core.evaluation.metrics import (
    Accuracy,
    angular_errors,
    Coverage,
    EyesAccuracy,
    head_errors,
    HeadAccuracy,
    HeadYawBin,
    measure,
    measure_by_head_yaw,
    measure_coverage,
    measure_eyes,
    measure_head,
    measure_reliability,
    Reliability,
)
from gaze_ros.core.geometry.rotations import rotation_along_ray
from gaze_ros.core.pipeline.engine import Engine
from gaze_ros.core.sources import open_source
from gaze_ros.core.sources.images import image_files, is_image
from gaze_ros.core.types import Gaze
import numpy as np

_log = logging.getLogger(__name__)

#: Maximum uncompressed bytes of a file in a zip.
_MAX_BYTES = 64 << 20

#: Images of the subject's left and right eye, with their label.
LabelledEyes = tuple[np.ndarray, np.ndarray, EyeLabel]


class LabelledImage(NamedTuple):
    """An image with its labels.

    :ivar image: (H, W, 3) uint8 BGR; None if it is not in the input, or cannot be decoded.
    :ivar stamp: of a video frame, seconds; None for a still, which is independent of the others.
    """

    image: Optional[np.ndarray]
    labels: list[Label]
    stamp: Optional[float]


@dataclass(frozen=True)
class EstimatedFace:
    """What was estimated for a label, NaN for what is unknown.

    :ivar subject: whose face it is, to calibrate each person.
    :ivar found: whether the face was found.
    :ivar gaze: pitch and yaw in radians, not smoothed.
    :ivar stddev: standard deviation of the gaze, radians.
    :ivar head: pitch, yaw and roll of the head in radians.
    :ivar head_stddev: standard deviation of the direction of the face, radians.
    :ivar head_rotation: (3, 3), see :func:`gaze_ros.core.geometry.rotations.head_angles`; None
        if unknown.
    :ivar eye_openness: of the person's left and right eye.
    """

    label: Label | EyeLabel
    subject: tuple
    found: bool = False
    gaze: tuple[float, float] = (math.nan, math.nan)
    stddev: float = math.nan
    head: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    head_stddev: float = math.nan
    head_rotation: Optional[np.ndarray] = None
    eye_openness: tuple[float, float] = (math.nan, math.nan)


@dataclass
class Results:
    """What was estimated for the labels of an input.

    :ivar absent: labels whose image is not in the input.
    :ivar detection: seconds of face detection per image.
    :ivar estimation: seconds of estimation per image with a face, or per pair of eyes.
    """

    faces: list[EstimatedFace] = field(default_factory=list)
    absent: list[Label] = field(default_factory=list)
    detection: list[float] = field(default_factory=list)
    estimation: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Evaluation:
    """Result of an evaluation; what is not labelled, or not estimated, is None.

    :ivar gaze_labels: number of labels with a gaze.
    :ivar accuracy: of the gaze; None if none can be compared.
    :ivar by_head_yaw: the same by the yaw of the labelled head; empty without such labels.
    :ivar reliability: of the standard deviation of the gaze.
    :ivar head_reliability: of the standard deviation of the head's direction.
    :ivar calibration: what calibrating has changed; then ``accuracy``, the errors of
        ``by_head_yaw`` and ``reliability`` are those after it.
    :ivar absent: labels whose image is not in the input; they are in no figure.
    :ivar detection_ms: median milliseconds of face detection per image; None without detection.
    :ivar estimation_ms: median milliseconds of gaze estimation per image with a face, or per pair
        of eyes; None without a face.
    """

    gaze_labels: int
    accuracy: Optional[Accuracy]
    by_head_yaw: list[HeadYawBin]
    coverage: Coverage
    head: Optional[HeadAccuracy]
    eyes: Optional[EyesAccuracy]
    reliability: Optional[Reliability]
    head_reliability: Optional[Reliability]
    calibration: Optional[Calibration]
    absent: list[Label]
    detection_ms: Optional[float]
    estimation_ms: Optional[float]


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
    is_still = path.is_dir() or is_image(path)
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


def process_images(engine: Engine, images: Iterable[LabelledImage], name: str = '') -> Results:
    """Return what an engine estimates for labelled images, without smoothing.

    All tracks are dropped before the first image and before each still, so that neither a track,
    nor what an estimator keeps of one, links images that are independent.

    :param engine: its smoothing is switched off.
    :param name: of the input, distinguishes subjects of the same name.
    """
    engine.smoother.time = 0.0
    results = Results()
    linked = False
    for index, (image, labels, stamp) in enumerate(images):
        if image is None:
            results.absent += labels
            continue
        if stamp is None or not linked:
            engine.reset_tracks()
        linked = True
        frame = engine.process(image, float(index) if stamp is None else stamp)
        results.detection.append(frame.detection_time)
        if frame.gazes:
            results.estimation.append(frame.estimation_time)
        for label, gaze in zip(labels, _gazes_of(frame.gazes, labels)):
            subject = (name, label.subject)
            results.faces.append(
                _estimated_face(label, subject, gaze) if gaze else EstimatedFace(label, subject))
    return results


def evaluate(results: Results, calibrate_first: int = 0) -> Evaluation:
    """Return the evaluation of results.

    :param calibrate_first: labels that each subject is calibrated on, see :func:`calibrate`; 0 for
        none.
    :raises GazeRosError: if nothing that is labelled was estimated.
    """
    n = len(results.faces)
    if not n:
        raise GazeRosError(
            f'none of the {len(results.absent)} labelled images is in the input: do the labels '
            'belong to this input?')
    evaluation = measure_results(results, calibrate_first)
    if calibrate_first and not evaluation.calibration.n:
        raise GazeRosError(
            f'no subject has more than {calibrate_first} labels with a gaze: calibrate on fewer, '
            'or label more images')
    head, eyes = evaluation.head, evaluation.eyes
    if not (evaluation.accuracy or head and (head.n or head.roll_n)
            or eyes and eyes.unknown < eyes.shut + eyes.open):
        what = 'gaze' if evaluation.gaze_labels else 'head pose or an openness of the eyes'
        raise GazeRosError(
            f'none of the {n} labelled images has a face with a {what}: nothing can be compared')
    return evaluation


def measure_results(results: Results, calibrate_first: int = 0) -> Evaluation:
    """Return the evaluation of results, also if nothing can be compared; see :func:`evaluate`."""
    faces = results.faces
    labels = [face.label for face in faces]

    def array(values: Iterable, columns: int = 0) -> np.ndarray:
        return np.array([*values], float).reshape((-1, columns) if columns else -1)

    true = array(((label.pitch, label.yaw) for label in labels), 2)
    true_heads = array((_head_label(label) for label in labels), 3)
    gazes = array((face.gaze for face in faces), 2)
    heads = array((face.head for face in faces), 3)
    labelled = np.isfinite(true).all(axis=1)
    known = np.isfinite(gazes).all(axis=1)
    stddevs = array(face.stddev for face in faces)
    compared, calibration = labelled, None
    if calibrate_first:
        calibrated = calibrate(
            gazes, stddevs, true, [face.head_rotation for face in faces],
            [face.subject for face in faces], calibrate_first)
        gazes, stddevs = calibrated.gazes, calibrated.stddevs
        compared, calibration = calibrated.compared, calibrated.result
    errors = np.where(compared, angular_errors(gazes, true), math.nan)
    errors_of_heads = head_errors(heads, true_heads)
    return Evaluation(
        int(labelled.sum()),
        measure(gazes[compared], true[compared]) if (compared & known).any() else None,
        measure_by_head_yaw(errors, errors_of_heads, true_heads[:, 1]),
        measure_coverage(array(face.found for face in faces).astype(bool), known),
        measure_head(heads, true_heads),
        measure_eyes(
            array((face.eye_openness for face in faces), 2),
            array(getattr(label, 'eyes_open', math.nan) for label in labels)),
        measure_reliability(errors, stddevs),
        measure_reliability(errors_of_heads, array(face.head_stddev for face in faces)),
        calibration, results.absent,
        _median_ms(results.detection), _median_ms(results.estimation))


def merged(results: Iterable[Results]) -> Results:
    """Return the results of several inputs as one."""
    whole = Results()
    for part in results:
        whole.faces += part.faces
        whole.absent += part.absent
        whole.detection += part.detection
        whole.estimation += part.estimation
    return whole


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


def process_eyes(estimator: Estimator, eyes: Iterable[LabelledEyes]) -> Results:
    """Return what an estimator estimates for eye images with a known head yaw.

    The model gets the whole images: how they were cropped is unknown.

    :raises ModelError: if the model needs whole faces.
    """
    estimate_eyes = getattr(estimator, 'estimate_eyes', None)
    if estimate_eyes is None:
        raise ModelError(
            f"model '{estimator.name}' needs whole faces: choose one that works on eyes alone, "
            'such as adas, or use --labels and --input')
    results = Results()
    for left, right, label in eyes:
        start = perf_counter()
        estimate = estimate_eyes(left, right, (label.head_yaw, 0.0, 0.0))
        results.estimation.append(perf_counter() - start)
        # A head that only turns about the vertical axis has the same offset along the ray.
        results.faces.append(EstimatedFace(
            label, (label.subject,), True, (estimate.pitch, estimate.yaw), estimate.stddev))
    return results


def _video_frames(path: Path, groups: dict[int, list[Label]]) -> Iterator[LabelledImage]:
    source = open_source(path)
    try:
        index = 0
        remaining = dict(sorted(groups.items()))
        while remaining and (image := source.read()) is not None:
            if labels := remaining.pop(index, None):
                yield LabelledImage(image, labels, source.stamp)
            index += 1
    finally:
        source.close()
    for labels in remaining.values():
        yield LabelledImage(None, labels, None)


def _still_images(
        path: Path, groups: dict, labels_folder: Path) -> Iterator[LabelledImage]:
    folder = path if path.is_dir() else path.parent
    images = [path] if path.is_file() else image_files(path)
    for key, labels in groups.items():
        if isinstance(key, str):
            candidates = [folder / key, labels_folder / key]
        else:
            candidates = images[key:key + 1]
        file = next((p for p in candidates if p.is_file()), None)
        yield LabelledImage(file and _read_image(file), labels, None)


def _read_image(file: Path) -> Optional[np.ndarray]:
    """Return the image of a file, of an animation the first; None if it cannot be decoded."""
    try:
        source = open_source(file)
        try:
            return source.read()
        finally:
            source.close()
    except GazeRosError as e:
        _log.warning('%s', e)
        return None


def _gazes_of(gazes: list[Gaze], labels: list[Label]) -> list[Optional[Gaze]]:
    """Return the gaze of each labelled face, None if it was not found.

    A label without a point gets the first gaze, of the largest face. A face belongs to one label:
    that of the point inside its box that is nearest to its centre.
    """
    if not labels[0].face:
        return [gazes[0] if gazes else None]
    pairs = sorted((
        (math.dist(label.face, gaze.face.center), row, column)
        for row, label in enumerate(labels) for column, gaze in enumerate(gazes)
        if all(start <= v <= start + side for v, start, side in zip(
            label.face, gaze.face.box[:2], gaze.face.box[2:]))))
    found: dict[int, int] = {}
    for _, row, column in pairs:
        if row not in found and column not in found.values():
            found[row] = column
    return [gazes[found[row]] if row in found else None for row in range(len(labels))]


def _estimated_face(label: Label, subject: tuple, gaze: Gaze) -> EstimatedFace:
    rotation = None
    if math.isfinite(gaze.head_yaw):
        rotation = rotation_along_ray(
            gaze.orientation, gaze.origin / np.linalg.norm(gaze.origin))
    return EstimatedFace(
        label, subject, True, (gaze.raw_pitch, gaze.raw_yaw), gaze.stddev,
        (gaze.head_pitch, gaze.head_yaw, gaze.head_roll), gaze.head_stddev, rotation,
        gaze.eye_openness)


def _head_label(label: Label | EyeLabel) -> tuple[float, float, float]:
    """Return pitch, yaw and roll of the labelled head, radians; NaN where not labelled."""
    if isinstance(label, EyeLabel):
        return math.nan, math.radians(label.head_yaw), math.nan
    return label.head_pitch, label.head_yaw, label.head_roll


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


def _median_ms(times: list[float]) -> Optional[float]:
    """Return the median of seconds, in milliseconds."""
    return 1e3 * float(np.median(times)) if times else None
