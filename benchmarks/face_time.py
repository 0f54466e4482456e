"""CPU time per face of the default models on one core, in one interleaved run.

mediapipe (the pip default until fused), fused without and with Intel's networks, on the tracked
faces of a clip. Intel's networks are looked for in GAZE_ROS_MODELS.
"""
import argparse
import os
from time import process_time

from gaze_ros.core.detectors import create_detector
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import create_estimator, Settings, TrackingEstimator
from gaze_ros.core.sources import open_source
from gaze_ros.core.tracking.tracker import Tracker
import numpy as np

#: Rounds over the images; the first only warms up.
ROUNDS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument('input', help='video with faces')
    parser.add_argument('--images', type=int, default=60, help='first images to use [60]')
    parser.add_argument('--core', type=int, default=0, help='core to run on [0]')


def run(arguments: argparse.Namespace) -> int:
    """Print a table; return the exit code."""
    os.sched_setaffinity(0, {arguments.core})
    source, tracker, frames = open_source(arguments.input), Tracker(), []
    detector = create_detector(threads=1)
    while len(frames) < arguments.images and (image := source.read()) is not None:
        faces = detector.detect(image)
        ids = tracker.update(faces, source.stamp)
        frames.append((image, faces, ids))
    folders = os.environ.get('GAZE_ROS_MODELS', '')
    estimators = {'mediapipe': create_estimator('mediapipe', Settings(threads=1))}
    try:
        os.environ['GAZE_ROS_MODELS'] = ''
        estimators['fused'] = create_estimator('fused', Settings(threads=1))
    finally:
        os.environ['GAZE_ROS_MODELS'] = folders
    with_adas = create_estimator('fused', Settings(threads=1))
    if not with_adas.uses_adas or estimators['fused'].uses_adas:
        raise ModelError("GAZE_ROS_MODELS is not a folder with Intel's networks, or they are "
                         'installed elsewhere too: both would be measured alike')
    estimators['fused with adas'] = with_adas
    times: dict[str, list[float]] = {name: [] for name in estimators}
    for number in range(ROUNDS):
        for image, faces, ids in frames:
            for name, estimator in estimators.items() if faces else ():
                start = process_time()
                if isinstance(estimator, TrackingEstimator):
                    estimator.estimate_located(
                        image, faces, estimator.locate(image, faces, ids), None)
                else:
                    estimator.estimate(image, faces)
                if number:
                    times[name].append(1e3 * (process_time() - start) / len(faces))
    print('| model | CPU ms per face: min | quarter | median |\n|---|---|---|---|')
    for name, values in times.items():
        figures = (min(values), *np.percentile(values, (25, 50)))
        print(f'| {name} | ' + ' | '.join(f'{v:.1f}' for v in figures) + ' |')
    for estimator in estimators.values():
        estimator.close()
    return 0
