"""Measure the time a model takes for a face: by runtime, precision, device and number of faces.

A call is timed whole, from the picture to the angles, on so many times the same face; the ways
take turns, and the median is told. Models whose files are not here are listed.
"""
import argparse
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
import sys
from tempfile import TemporaryDirectory
from typing import Any

from gaze_ros.cli import inputs
from gaze_ros.cli.benchmark import reporting
from gaze_ros.core.errors import GazeRosError

HELP = 'ms a face, by model, runtime, precision and batch'

_DEVICES = ('cpu', 'cuda', 'mps', 'npu')
_BATCHES = '1,2,4,8,16'

#: How weights that were never trained are told in the table and in the JSON.
_RANDOM = 'random weights: speed only'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('--model', action='append', default=[], metavar='NAME',
                        help='gaze model; may be repeated [all whose files are here]')
    parser.add_argument('--weight', default='', metavar='FILE',
                        help='of the one model that is named, such as a quantised .xml')
    parser.add_argument('--device', action='append', default=[], choices=_DEVICES,
                        help='may be repeated [all that are here]')
    parser.add_argument('--batches', type=reporting.several(reporting.whole(1, 256)),
                        default=_BATCHES, metavar='N,...', help=f'faces a call [{_BATCHES}]')
    parser.add_argument('--rounds', type=reporting.whole(1, 100), default=5,
                        help='turns of each way [5]')
    parser.add_argument('--input', default='sample', metavar='SOURCE',
                        help="its first picture with a face; 'sample' for the built-in one "
                        '[sample]')
    parser.add_argument('--random-weights', action='store_true',
                        help='time the networks whose files are not here all the same, untrained')
    reporting.add_json(parser)
    parser.set_defaults(complain=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Measure; return the exit code."""
    from gaze_ros.benchmark.machine import machine
    from gaze_ros.benchmark.models import devices, face_in, floors, missing, time_turn
    from gaze_ros.core.model_zoo import registry
    from tqdm import tqdm

    if arguments.weight and len(arguments.model) != 1:
        arguments.complain('--weight is that of one model: give one --model')
    entries = [registry.entry(name) for name in arguments.model or registry.model_names()]
    reporting.check_writable(arguments.json)
    if arguments.input != 'sample':
        inputs.existing(arguments.input)
    if arguments.random_weights and find_spec('torch') is None:
        raise GazeRosError("--random-weights needs torch: pip install 'gaze_ros[torch]'")
    picture, face = face_in(arguments.input)
    here = devices()
    lacking = {} if arguments.weight else {
        entry.name: how for entry in entries if (how := missing(entry))}
    refused: list[dict] = []
    with TemporaryDirectory(prefix='gaze_ros_') as folder:
        runs = [*_runs(entries, lacking, arguments, here, Path(folder), refused)]
    if not runs:
        raise GazeRosError(_nothing(lacking, refused))
    turns = [(n, one) for _ in range(arguments.rounds) for n in arguments.batches for one in runs]
    for n, one in tqdm(turns, 'turns', disable=None):
        time_turn(one, picture, face, n)
    bounds = floors(runs) if find_spec('torch') else {}
    result = {
        'machine': machine(), 'input': arguments.input, 'rounds': arguments.rounds,
        'devices': here, 'runs': [told(one, bounds.get(one)) for one in runs],
        'missing': lacking, 'refused': refused}
    for one in runs:
        one.estimator.close()
    reporting.tell(result, _lines(result, arguments.batches), arguments.json)
    return 0


def _runs(entries: Sequence[Any], lacking: dict[str, str], arguments: argparse.Namespace,
          here: Sequence[str], folder: Path, refused: list[dict]) -> Iterator[Any]:
    """Yield what can be run; what this machine refuses is kept with the reason."""
    from gaze_ros.benchmark.models import open_run, save_random, settings_of
    drawn: set[str] = set()  # several models are of one network
    for entry in entries:
        weight, random = arguments.weight, entry.name in lacking
        if random:
            if not (arguments.random_weights and entry.architecture) or (
                    entry.architecture in drawn):
                continue
            drawn.add(entry.architecture)
            weight = str(save_random(entry, folder))
        for device in arguments.device or here:
            for settings in settings_of(entry, device, weight):
                print(f'loading {entry.name}: {settings.runtime}, {settings.device}, '
                      f'{settings.precision}', file=sys.stderr)
                try:
                    yield open_run(entry, settings, random)
                except GazeRosError as e:
                    refused.append({
                        'model': entry.name, 'runtime': settings.runtime, 'device': device,
                        'precision': settings.precision, 'why': str(e)})


def _nothing(lacking: dict[str, str], refused: Sequence[dict]) -> str:
    reasons = [f'{name}: {how}' for name, how in lacking.items()]
    reasons += [f"{one['model']}, {one['runtime']}, {one['precision']}: {one['why']}"
                for one in refused]
    return 'nothing can be measured: ' + ('; '.join(reasons) or 'no model runs on that device')


def told(one: Any, floor: Any) -> dict[str, Any]:
    """Return a run's figures as JSON has them, ms.

    :param one: a :class:`gaze_ros.benchmark.models.Run`.
    :param floor: of :func:`gaze_ros.benchmark.models.floors`; None where there is none.
    """
    from gaze_ros.benchmark.models import further_share
    taken = one.milliseconds
    return {
        'model': one.model, 'runtime': one.runtime, 'device': one.device,
        'precision': one.precision, 'threads': one.threads, 'weight': one.weight or None,
        'random_weights': one.random_weights,
        **({'note': _RANDOM} if one.random_weights else {}),
        'call_ms': {str(n): ms for n, ms in taken.items()},
        'face_ms': {str(n): ms / n for n, ms in taken.items()},
        'calls': {str(n): len(each) for n, each in one.seconds.items()},
        'further_face_share': further_share(taken), 'arithmetic_floor': floor}


def _lines(result: dict[str, Any], batches: Sequence[int]) -> Iterator[str]:
    shown = reporting.shown
    yield reporting.machine_line(result['machine'])
    yield (f"input: {result['input']}; {result['rounds']} turns each; ms a face, from the picture "
           'to the angles, when a call has so many faces')
    yield ''
    with_floor = any(one['arithmetic_floor'] for one in result['runs'])
    rows = [['model', 'runtime', 'device', 'precision', 'threads', *(str(n) for n in batches),
             'further face', *(['arithmetic'] if with_floor else []), '']]
    for one in result['runs']:
        share, floor = one['further_face_share'], one['arithmetic_floor']
        rows.append([
            one['model'], one['runtime'], one['device'], one['precision'],
            str(one['threads'] or '-'), *(shown(one['face_ms'][str(n)], 2) for n in batches),
            '-' if share is None else f'{share:.0%}',
            *([shown(floor and floor['ms'], 4)] if with_floor else []), one.get('note', '')])
    yield from reporting.table(rows, left=4)
    yield ''
    yield 'further face: what each of faces 2 to 8 adds, as a share of the first'
    if with_floor:
        yield ('arithmetic: ms a face at the rate of a large matrix product on this device: '
               + ', '.join(sorted({
                   f"{one['precision']} {one['arithmetic_floor']['matmul_tflops']:.0f} TFLOP/s"
                   for one in result['runs'] if one['arithmetic_floor']})))
    for name, how in result['missing'].items():
        yield f'missing: {name}: {how}'
    for one in result['refused']:
        yield f"refused: {one['model']}, {one['runtime']}, {one['precision']}: {one['why']}"
