"""Print tables of the models and detectors: licence, accuracy and speed.

Models whose files are installed are measured (see ``gaze_ros models list``); the others are only
listed.
"""
import argparse
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Optional

from gaze_ros.core.detectors import create_detector, DETECTORS
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import create_estimator, Settings
from gaze_ros.core.evaluation.evaluate import evaluate, labelled_images, process_images
from gaze_ros.core.evaluation.labels import read_labels
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.pipeline.engine import create_engine
from gaze_ros.core.runtimes import CHECKPOINTS
from gaze_ros.core.sources import open_source
from gaze_ros.core.types import Face
import numpy as np

#: Measured runs: name, settings, and whether a checkpoint is used.
RUNS = (
    ('auto', Settings(), False),
    ('openvino fp32', Settings(runtime='openvino', precision='fp32'), False),
    ('onnx', Settings(runtime='onnx'), False),
    ('torch, 1 thread', Settings(runtime='torch', device='cpu', threads=1), True),
)
#: Rounds, and calls of each run per round.
ROUNDS, CALLS = 7, 15


def milliseconds(calls: list[Optional[Callable[[], object]]]) -> list[str]:
    """Return the median time of each call, ms; the calls take turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, taken in zip(calls, times):
            for i in range(CALLS if call else 0):
                start = perf_counter()
                call()
                if i > 2:  # the caches hold the data of the call before
                    taken.append(1e3 * (perf_counter() - start))
    return [f'{np.median(t):.1f}' if t else '-' for t in times]


def speed(entry: registry.Model, image: np.ndarray, face: Face) -> list[str]:
    """Return ms per face for each of :data:`RUNS`; families with one runtime use the first only.

    :param image: (H, W, 3) uint8 BGR.
    """
    estimators = []
    for _, settings, checkpoint in RUNS:
        path = store.locate(entry.name, suffixes=CHECKPOINTS if checkpoint else ('.onnx',))
        if entry.family not in ('mobilegaze', 'l2cs'):
            settings = Settings() if not estimators else None
        elif path is None:
            settings = None
        else:
            settings = Settings(**{**vars(settings), 'weight': str(path)})
        try:
            estimators.append(settings and create_estimator(entry.name, settings))
        except ModelError:
            estimators.append(None)
    times = milliseconds([e and (lambda e=e: e.estimate(image, [face])) for e in estimators])
    for estimator in estimators:
        if estimator:
            estimator.close()
    return times


def accuracy(values: dict, clip: Path) -> list[str]:
    """Return errors and correlations on a labelled clip.

    :param values: of the parameters of the gaze node.
    :param clip: folder with video.mp4 and labels.csv.
    :returns: error / error without bias, deg; correlation of pitch / yaw.
    """
    engine = create_engine(values)
    try:
        labels = read_labels(clip / 'labels.csv')
        images = labelled_images(clip / 'video.mp4', labels, clip)[1]
        a = evaluate(process_images(engine, images)).accuracy
    finally:
        engine.close()
    return [f'{a.mean_error_deg:.1f} / {a.mean_error_without_bias_deg:.1f}',
            f'{a.correlation_pitch:.2f} / {a.correlation_yaw:.2f}']


def model_table(clip: Path) -> None:
    """Print a row for each gaze model."""
    image = open_source(str(clip / 'video.mp4')).read()
    face = create_detector().detect(image)[0]
    print('| model | may be shipped | licence of the weights | error / without bias, deg | '
          'r pitch / yaw | ' + ' | '.join(f'ms, {name}' for name, *_ in RUNS) + ' | published |')
    print('|' + '---|' * (6 + len(RUNS)))
    for entry in (registry.entry(name) for name in registry.model_names()):
        measured = ['-'] * (2 + len(RUNS))
        if not entry.needs_weight or store.locate(entry.name):
            measured = [*accuracy({'model': entry.name}, clip), *speed(entry, image, face)]
        print(f'| `{entry.name}` | {"yes" if entry.may_be_shipped else "no"} | {entry.licence} | '
              f'{" | ".join(measured)} | {entry.accuracy or "-"} |', flush=True)


def detector_table(folder: Path, clip: Path) -> None:
    """Print a row for each face detector."""
    clips = {'classroom': 'classroom_720p.mp4', 'three_children': 'three_children_720p.mp4'}
    images = {}
    for name, file in clips.items():
        source, frames = open_source(str(folder / 'videos' / file)), []
        while (image := source.read()) is not None:
            frames.append(image)
        images[name] = frames[::12]
    model = 'mobileone_s0'
    print(f'| detector | licence | ms, 720p | {" | ".join(f"faces, {c}" for c in clips)} | '
          f'landmarks | gaze of {model} in its boxes, error / without bias, deg |')
    print('|' + '---|' * (5 + len(clips)))
    rows, calls = [], []
    for name in DETECTORS:
        entry = registry.entry(name, 'detector')
        try:
            detector = create_detector(name)
        except ModelError as e:
            print(f'{name}: {e}')
            continue
        found = {c: [detector.detect(image) for image in frames] for c, frames in images.items()}
        counts = [f'{sum(map(len, f)) / len(f):.2f}' for f in found.values()]
        some = next((face for faces in found['classroom'] for face in faces), None)
        gaze = accuracy({'model': model, 'detector': name}, clip)[0] if store.locate(
            model) else '-'
        rows.append((name, entry.licence, counts, 'yes' if some and some.landmarks is not None
                     else 'no', gaze))
        calls.append(lambda d=detector: d.detect(images['classroom'][0]))
    for (name, licence, counts, landmarks, gaze), ms in zip(rows, milliseconds(calls)):
        print(f'| `{name}` | {licence} | {ms} | {" | ".join(counts)} | {landmarks} | {gaze} |')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument('data', type=Path, help='folder with labelled/four_targets and videos')


def run(arguments: argparse.Namespace) -> int:
    """Print the tables; return the exit code."""
    folder = arguments.data
    clip = folder / 'labelled' / 'four_targets'
    model_table(clip)
    print()
    detector_table(folder, clip)
    return 0
