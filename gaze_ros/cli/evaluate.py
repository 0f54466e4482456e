"""Compare a model's gaze, head poses and eyes with labels."""
import argparse
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
import json
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from gaze_ros.cli import inputs, options
from gaze_ros.core.errors import GazeRosError

if TYPE_CHECKING:
    from gaze_ros.core.evaluation.evaluate import Evaluation
    from gaze_ros.core.evaluation.labels import Label

HELP = "measure a model's accuracy on labelled images"

#: Name of the labels in a folder of images, and in a zip of eyes.
LABELS = 'labels.csv'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--input', metavar='FILE', nargs='+', action='extend',
                        help='videos, images or folders of images')
    source.add_argument('--eyes', metavar='ZIP',
                        help='pairs of eye images, for a model that accepts them (adas)')
    parser.add_argument(
        '--labels', metavar='CSV', nargs='+', action='extend',
        help='one per input, in their order [labels.csv in each folder]. Columns: frame or image; '
             'gaze: pitch_up_deg and yaw_image_right_deg, or pitch and yaw in radians; optional: '
             'head_pitch_up_deg, head_yaw_image_right_deg, head_roll_deg, eyes_open, face_x, '
             'face_y, settled, subject. For --eyes: left_eye, right_eye, head_yaw_P_deg, in the '
             'zip or outside [labels.csv in the zip]')
    parser.add_argument(
        '--calibrate-first', metavar='N', type=int, default=0,
        help='calibrate each subject (column subject; without it, each input is one) on its first '
             'N labels, 2 or more, as the service gaze/calibrate does, and report the errors of '
             'the others')
    # Labelled images are not consecutive.
    options.add(parser, 'detect_interval', 'parallel')
    parser.add_argument('--json', action='store_true',
                        help='print one JSON object on standard output')


def run(arguments: argparse.Namespace) -> int:
    """Compare and print; return the exit code."""
    from gaze_ros.core.evaluation.calibration import MIN_FIRST
    from gaze_ros.core.evaluation.evaluate import (
        evaluate,
        labelled_eyes,
        labelled_images,
        measure_results,
        merged,
        process_eyes,
        process_images,
    )
    from gaze_ros.core.pipeline.engine import create_engine
    from tqdm import tqdm

    first = arguments.calibrate_first
    if first and first < MIN_FIRST:
        raise GazeRosError(
            f'--calibrate-first is {first}; expected at least {MIN_FIRST}: a fit is checked on '
            'labels that were left out of it')
    if arguments.eyes:
        if arguments.labels and len(arguments.labels) > 1:
            raise GazeRosError('--eyes has one file of labels: give --labels once')
        names, labels = [arguments.eyes], arguments.labels or [LABELS]
        counted = [labelled_eyes(inputs.existing(arguments.eyes), labels[0])]
    else:
        sets = _labelled_inputs(arguments.input, arguments.labels or [])
        names, labels = arguments.input, [s.file for s in sets]
        counted = [labelled_images(s.path, s.labels, Path(s.file).parent) for s in sets]
    parts = []
    with ExitStack() as stack:
        engine = create_engine(options.values(arguments))
        stack.callback(engine.close)
        for name, (count, labelled) in zip(names, counted):
            with tqdm(labelled, total=count, disable=None) as bar:
                parts.append(process_eyes(engine.estimator, bar) if arguments.eyes else
                             process_images(engine, bar, name))
    evaluation = evaluate(merged(parts), first)
    if evaluation.absent:
        example = evaluation.absent[0]
        print(f'{len(evaluation.absent)} labels have no image in the input, the first in line '
              f'{example.line}: {example.image or f"frame {example.frame}"}; do the labels belong '
              'to this input?', file=sys.stderr)
    several = len(names) > 1
    results = {
        'model': engine.estimator.name,
        'detector': None if arguments.eyes else engine.detector.name,
        'input': names if several else names[0], 'labels': labels if several else labels[0],
        **_results(evaluation)}
    if several:
        results['inputs'] = [
            {'input': name, 'labels': file, **_results(measure_results(part, first))}
            for name, file, part in zip(names, labels, parts)]
    print(json.dumps(results, allow_nan=False) if arguments.json else _text(results))
    return 0


@dataclass(frozen=True)
class _LabelledInput:
    """An input with its labels, read from ``file``."""

    path: Path
    file: str
    labels: list['Label']


def _labelled_inputs(names: list[str], files: list[str]) -> list[_LabelledInput]:
    """Return the inputs with their labels.

    :param files: one per input; none: each input is a folder that holds them.
    """
    from gaze_ros.core.evaluation.labels import read_labels

    paths = [inputs.existing(name) for name in names]
    found = files or [str(path / LABELS) for path in paths if (path / LABELS).is_file()]
    if not (found and all(found)) or not files and len(found) < len(paths):
        raise GazeRosError(
            f'--labels is needed: a CSV file with the true gaze, see --help; without it, each '
            f'input is a folder with a {LABELS}')
    labels = [read_labels(Path(file)) for file in found]
    if len(found) != len(paths):
        raise GazeRosError(
            f'{len(paths)} inputs have {len(found)} files of labels: give one --labels per '
            '--input, in the same order')
    return [_LabelledInput(*values) for values in zip(paths, found, labels)]


def _results(evaluation: 'Evaluation') -> dict:
    """Return the figures as they are printed in JSON."""
    from gaze_ros.core.evaluation.metrics import Accuracy

    accuracy = {field.name: None for field in fields(Accuracy)} | {
        'n': 0, 'missed': evaluation.gaze_labels}
    if evaluation.accuracy:
        accuracy = asdict(evaluation.accuracy)
    figures = asdict(evaluation)
    return {
        **accuracy, 'absent': len(evaluation.absent),
        **{name: figures[name] for name in (
            'by_head_yaw', 'coverage', 'head', 'eyes', 'reliability', 'head_reliability',
            'calibration')},
        'detection_ms_median': evaluation.detection_ms,
        'estimation_ms_median': evaluation.estimation_ms}


def _text(results: dict) -> str:
    """Return the results as text: a table per input, and that of all."""
    if 'inputs' not in results:
        return _table(results)
    model = {name: results[name] for name in ('model', 'detector')}
    tables = [f'{part["input"]}\n{_table(model | part)}' for part in results['inputs']]
    return '\n\n'.join([*tables, f'all {len(tables)} inputs\n{_table(results)}'])


def _table(f: dict) -> str:
    """Return the results of one input as a text table; rows without data are left out."""
    detector = f', faces by {f["detector"]}' if f['detector'] else ''
    coverage = f['coverage']
    found, with_gaze = _percent(coverage['found_share'], coverage['gaze_share'])
    lines = [
        f'{f["model"]}{detector}: {f["n"]} gazes compared, {f["missed"]} labels without a gaze',
        f'{coverage["found"]} of {coverage["labels"]} labelled faces found '
        f'({found}), {coverage["with_gaze"]} with a gaze '
        f'({with_gaze})']
    if c := f['calibration']:
        before, after = _deg(c['mean_error_before_deg'], c['mean_error_deg'])
        lines += [
            f'calibrated on the first {c["first"]} labels of {c["subjects"]} subjects; '
            f'{c["refused"]} refused, {c["skipped"]} without further labels',
            f'mean error of the other {c["n"]}: {before} before, {after} after']
    lines += [*_error_rows(f), *_head_rows(f['head']), *_reliability_rows(f['reliability']),
              *_eyes_rows(f['eyes'])]
    times = [f'{step} {f[name]:.1f} ms' for name, step in (
        ('detection_ms_median', 'detection'), ('estimation_ms_median', 'estimation')) if f[name]]
    return '\n'.join([*lines, f'median per image: {", ".join(times)}'])


def _error_rows(f: dict) -> list[str]:
    """Return the rows of gaze errors."""
    if not f['n']:
        return []
    rows = [_row('degrees', 'n', 'mean', 'median', '> 25', '> 40'), _row(
        'angular error', f['n'], *_deg(f['mean_error_deg'], f['median_error_deg']),
        *_percent(f['share_over_25_deg'], f['share_over_40_deg']))]
    rows += [_row(
        f'  |head yaw| {_range(b)}', b['n'],
        *_deg(b['mean_error_deg'], b['median_error_deg']),
        *_percent(b['share_over_25_deg'], b['share_over_40_deg'])) for b in f['by_head_yaw']]
    r = ['-' if f[name] is None else f'{f[name]:.2f}'
         for name in ('correlation_pitch', 'correlation_yaw')]
    return [
        *rows,
        _row('  without the bias', '', *_deg(
            f['mean_error_without_bias_deg'], f['median_error_without_bias_deg'])),
        _row('  of always (0, 0)', '', *_deg(f['zero_baseline_error_deg'])),
        _row('  of always the mean label', '', *_deg(f['constant_baseline_error_deg'])),
        _row('degrees', '', 'pitch', 'yaw'),
        _row('bias', '', f'{f["bias_pitch_deg"]:+.2f}', f'{f["bias_yaw_deg"]:+.2f}'),
        _row('mean absolute error', '', *_deg(
            f['mean_absolute_pitch_error_deg'], f['mean_absolute_yaw_error_deg'])),
        _row('correlation', '', *r)]


def _head_rows(head: dict | None) -> list[str]:
    if not head:
        return []
    return [
        _row('head pose, degrees', 'n', 'mean', 'median', 'max'),
        _row('direction of the face', head['n'], *_deg(
            head['mean_error_deg'], head['median_error_deg'])),
        _row('  |head yaw| < 60', head['below_60_n'], *_deg(head['mean_error_below_60_deg'])),
        _row('  |head yaw| >= 60', head['beyond_60_n'], *_deg(head['mean_error_beyond_60_deg'])),
        _row('roll', head['roll_n'], *_deg(head['mean_roll_error_deg']), '',
             *_deg(head['max_roll_error_deg']))]


def _reliability_rows(reliability: dict | None) -> list[str]:
    if not reliability:
        return []
    r = reliability
    bins = [_row(
        f'  {_range(b)}', b['n'],
        *_deg(b['mean_sigma_deg'], b['rms_error_deg']), *_percent(b['within_1_sigma_share']))
        for b in r['bins'] if b['n']]
    return [
        _row('sigma of the gaze, degrees', 'n', 'mean', 'rms err', '1 sigma', '2 sigma'),
        _row('all (true: 68 %, 99 %)', r['n'], *_deg(r['mean_sigma_deg'], r['rms_error_deg']),
             *_percent(r['within_1_sigma_share'], r['within_2_sigma_share'])),
        *bins,
        f'errors > 40 with a sigma < 15: {r["over_40_with_sigma_below_15"]} of {r["over_40"]}']


def _eyes_rows(eyes: dict | None) -> list[str]:
    if not eyes:
        return []
    found, mistaken = _percent(eyes['shut_found_share'], eyes['open_taken_for_shut_share'])
    return [f'shut eyes found: {found} of {eyes["shut"]}; open ones taken for shut: {mistaken} of '
            f'{eyes["open"]}; unknown: {eyes["unknown"]}']


def _row(name: str, *cells: object) -> str:
    return (f'{name:<28}' + ''.join(f'{cell:>8}' for cell in cells)).rstrip()


def _range(bin_: dict) -> str:
    """Return the range of a bin: 20-40, 60+."""
    end = bin_['to_deg']
    return f'{bin_["from_deg"]}' + ('+' if end is None else f'-{end}')


def _deg(*values: float | None) -> list[str]:
    return ['-' if value is None else f'{value:.2f}' for value in values]


def _percent(*shares: float | None) -> list[str]:
    return ['-' if share is None else f'{100 * share:.0f} %' for share in shares]
