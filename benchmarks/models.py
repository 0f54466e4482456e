"""Accuracy and speed of the gaze models on a labelled clip; prints the rows of README's table.

python benchmarks/models.py ../shared/data
"""
import argparse
import csv
import math
from pathlib import Path

from gaze_ros.core import threads

threads.configure()

from gaze_ros.core.detectors import create_detector  # noqa: E402
from gaze_ros.core.engine import Engine  # noqa: E402
from gaze_ros.core.estimators import create_estimator  # noqa: E402
from gaze_ros.core.geometry import angles_to_unit  # noqa: E402
from gaze_ros.core.sources import open_source  # noqa: E402
import numpy as np  # noqa: E402


def angular_error(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean angle in degrees between two (N, 2) arrays of pitch and yaw, degrees."""
    a, b = (np.array([angles_to_unit(*row) for row in np.radians(x)]) for x in (a, b))
    return float(np.degrees(np.arccos(np.clip((a * b).sum(axis=1), -1, 1))).mean())


def measure(model: str, weight: str, clip: Path, rows: list[dict]) -> str:
    """Return the table row of a model."""
    engine = Engine(create_detector(), create_estimator(model, weight=weight))
    source = open_source(str(clip))
    frames = []
    while (picture := source.read()) is not None:
        frames.append(engine.process(picture, len(frames) / source.rate))
    engine.close()
    told, true = [], []
    for row in rows:
        gazes = frames[int(row['frame'])].gazes
        if int(row['settled']) and gazes and math.isfinite(gazes[0].raw_pitch):
            told.append((gazes[0].raw_pitch, gazes[0].raw_yaw))
            true.append((float(row['pitch_up_deg']), float(row['yaw_image_right_deg'])))
    told, true = np.degrees(told), np.array(true)
    bias = (told - true).mean(axis=0)
    pitch, yaw = (np.corrcoef(told[:, i], true[:, i])[0, 1] for i in (0, 1))
    face = 1e3 * np.median([f.detection_time for f in frames])
    gaze = 1e3 * np.median([f.estimation_time for f in frames])
    return (f'| {frames[0].model} | {angular_error(told, true):.1f} | '
            f'{angular_error(told - bias, true):.1f} | {pitch:.2f} / {yaw:.2f} | '
            f'{face:.1f} | {gaze:.1f} | {len(told)} |')


def main() -> None:
    """Measure the default model, and mobileone_s0 where its file is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('data', type=Path, help='folder with labelled/four_targets and models')
    folder = parser.parse_args().data
    clip = folder / 'labelled' / 'four_targets'
    with open(clip / 'labels.csv', newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    print('| model | error, deg | bias removed, deg | r pitch / yaw | faces, ms | gaze, ms | n |')
    print('|---|---|---|---|---|---|---|')
    weight = folder / 'models' / 'mobileone_s0.pt'
    for model, path in (('mediapipe', ''), ('mobileone_s0', str(weight))):
        if not path or weight.is_file():
            print(measure(model, path, clip / 'video.mp4', rows), flush=True)


if __name__ == '__main__':
    main()
