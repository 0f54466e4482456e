"""Compare a model's gaze with labels of where people really look."""
import argparse
from contextlib import ExitStack
from dataclasses import asdict
import json
from pathlib import Path
import sys

from gaze_ros.cli import inputs, options
from gaze_ros.core.errors import GazeRosError

HELP = "measure a model's accuracy on labelled images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--input', metavar='FILE', help='video, image or folder of images')
    source.add_argument('--eyes', metavar='ZIP',
                        help='pairs of eye images, for a model that accepts them (adas)')
    parser.add_argument(
        '--labels', metavar='CSV', default='',
        help='true gaze: columns frame or image; pitch_up_deg and yaw_image_right_deg, or '
             'pitch and yaw in radians; optional: settled, face_x, face_y. For --eyes: left_eye, '
             'right_eye, head_yaw_P_deg, in the zip or outside [labels.csv in the zip]')
    options.add(parser, 'detect_interval')  # labelled images are not consecutive
    parser.add_argument('--json', action='store_true',
                        help='print one JSON object on standard output')


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
        raise GazeRosError('--labels is needed: a CSV file with the true gaze, see --help')
    with ExitStack() as stack:
        engine = create_engine(options.values(arguments))
        stack.callback(engine.close)
        bar = stack.enter_context(tqdm(labelled, total=count, disable=None))
        if arguments.eyes:
            evaluation = evaluate_eyes(engine.estimator, bar)
        else:
            evaluation = evaluate_images(engine, bar)
    if evaluation.absent:
        first = evaluation.absent[0]
        print(f'{len(evaluation.absent)} labels have no image in the input, the first in line '
              f'{first.line}: {first.image or f"frame {first.frame}"}; do the labels belong to '
              'this input?', file=sys.stderr)
    results = {
        'model': engine.estimator.name,
        'detector': None if arguments.eyes else engine.detector.name,
        'input': arguments.eyes or arguments.input, 'labels': labels,
        **asdict(evaluation.accuracy), 'absent': len(evaluation.absent),
        'detection_ms_median': evaluation.detection_ms,
        'estimation_ms_median': evaluation.estimation_ms}
    print(json.dumps(results, allow_nan=False) if arguments.json else _table(results))
    return 0


def _table(f: dict) -> str:
    """Return the results as a text table."""
    r = ['-' if f[name] is None else f'{f[name]:.2f}'
         for name in ('correlation_pitch', 'correlation_yaw')]
    detector = f', faces by {f["detector"]}' if f['detector'] else ''
    times = [f'{step} {f[name]:.1f} ms' for name, step in (
        ('detection_ms_median', 'detection'), ('estimation_ms_median', 'estimation')) if f[name]]
    return '\n'.join([
        f'{f["model"]}{detector}: {f["n"]} gazes compared, {f["missed"]} labels without a gaze',
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
        f'median per image: {", ".join(times)}'])
