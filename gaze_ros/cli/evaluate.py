"""Compare the gaze a model tells with labels that say where people truly look."""
import argparse
from contextlib import ExitStack
from dataclasses import asdict
import json
from pathlib import Path
import sys

from gaze_ros.cli import inputs, options
from gaze_ros.core.errors import GazeRosError

HELP = 'tell how exact a model is on labelled pictures'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--input', metavar='FILE', help='video, image or folder of images')
    what.add_argument('--eyes', metavar='ZIP',
                      help='pairs of eyes alone, for a model that takes them (adas)')
    parser.add_argument(
        '--labels', metavar='CSV', default='',
        help='where they look: columns frame or image; pitch_up_deg and yaw_image_right_deg, or '
             'pitch and yaw in radians; optional: settled, face_x, face_y. For --eyes: left_eye, '
             'right_eye, head_yaw_P_deg, in the zip or outside [labels.csv in the zip]')
    options.add(parser, 'detect_interval')  # the pictures compared are apart
    parser.add_argument('--json', action='store_true', help='one JSON object on standard output')


def run(arguments: argparse.Namespace) -> int:
    """Compare and print; return the exit code."""
    from gaze_ros.core.evaluation.evaluate import (
        evaluate_eyes,
        evaluate_images,
        labelled_eyes,
        labelled_images,
    )
    from gaze_ros.core.evaluation.labels import read_labels
    from gaze_ros.core.pipeline.engine import create_engine
    from tqdm import tqdm

    if arguments.eyes:
        labels = arguments.labels or 'labels.csv'
        count, labelled = labelled_eyes(inputs.existing(arguments.eyes), labels)
    elif arguments.labels:
        labels = arguments.labels
        path = Path(labels)
        count, labelled = labelled_images(
            inputs.existing(arguments.input), read_labels(path), path.parent)
    else:
        raise GazeRosError('--labels is needed: a CSV that says where people look, see --help')
    with ExitStack() as stack:
        engine = create_engine(options.values(arguments))
        stack.callback(engine.close)
        bar = stack.enter_context(tqdm(labelled, total=count, disable=None))
        if arguments.eyes:
            done = evaluate_eyes(engine.estimator, bar)
        else:
            done = evaluate_images(engine, bar)
    if done.absent:
        first = done.absent[0]
        print(f'{len(done.absent)} labels have no picture in the input, the first in line '
              f'{first.line}: {first.image or f"frame {first.frame}"}; is it the one that was '
              'labelled?', file=sys.stderr)
    figures = {
        'model': engine.estimator.name,
        'detector': None if arguments.eyes else engine.detector.name,
        'input': arguments.eyes or arguments.input, 'labels': labels,
        **asdict(done.accuracy), 'absent': len(done.absent),
        'detection_ms_median': done.detection_ms, 'estimation_ms_median': done.estimation_ms}
    print(json.dumps(figures, allow_nan=False) if arguments.json else _table(figures))
    return 0


def _table(f: dict) -> str:
    """Return the figures for people."""
    r = ['-' if f[name] is None else f'{f[name]:.2f}'
         for name in ('correlation_pitch', 'correlation_yaw')]
    with_faces = f', faces by {f["detector"]}' if f['detector'] else ''
    times = [f'{f[name]:.1f} ms for {what}' for name, what in (
        ('detection_ms_median', 'the faces'), ('estimation_ms_median', 'the gaze')) if f[name]]
    return '\n'.join([
        f'{f["model"]}{with_faces}: {f["n"]} gazes compared, {f["missed"]} labels without a gaze',
        f'{"degrees":<28}{"mean":>8}{"median":>8}',
        f'{"angular error":<28}{f["mean_error_deg"]:8.2f}{f["median_error_deg"]:8.2f}',
        f'{"  without the bias":<28}{f["mean_error_without_bias_deg"]:8.2f}'
        f'{f["median_error_without_bias_deg"]:8.2f}',
        f'{"  of always (0, 0)":<28}{f["zero_baseline_error_deg"]:8.2f}',
        f'{"  of always the mean label":<28}{f["constant_baseline_error_deg"]:8.2f}',
        f'{"degrees":<28}{"pitch":>8}{"yaw":>8}',
        f'{"bias":<28}{f["bias_pitch_deg"]:+8.2f}{f["bias_yaw_deg"]:+8.2f}',
        f'{"mean absolute error":<28}{f["mean_absolute_pitch_error_deg"]:8.2f}'
        f'{f["mean_absolute_yaw_error_deg"]:8.2f}',
        f'{"correlation":<28}{r[0]:>8}{r[1]:>8}',
        f'median a picture: {", ".join(times)}'])
