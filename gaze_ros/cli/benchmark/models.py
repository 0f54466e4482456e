"""Measure the time per face of each model, by runtime, precision, device and number of faces.

The time of a whole call is measured, from the image to the angles, on N copies of one face. All
runs take turns; the result is the median. Models whose files are not installed are listed.
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
from gaze_ros.core.system.import_errors import pip_command

HELP = 'ms per face, by model, runtime, precision and batch size'

_DEVICES = ('cpu', 'cuda', 'mps', 'npu')
_BATCHES = '1,2,4,8,16'

#: Note on untrained weights in the table and in the JSON output.
_RANDOM = 'random weights: speed only'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('--model', action='append', default=[], metavar='NAME',
                        help='gaze model; may be repeated [all whose files are installed]')
    parser.add_argument('--weight', default='', metavar='FILE',
                        help='weight of the one --model, such as a quantized .xml')
    parser.add_argument('--device', action='append', default=[], choices=_DEVICES,
                        help='may be repeated [all that are available]')
    parser.add_argument('--batches', type=reporting.several(reporting.whole(1, 256)),
                        default=_BATCHES, metavar='N,...', help=f'faces per call [{_BATCHES}]')
    parser.add_argument('--rounds', type=reporting.whole(1, 100), default=5,
                        help='number of rounds; each measures every run [5]')
    parser.add_argument('--input', default='sample', metavar='SOURCE',
                        help="source; its first image with a face is used; 'sample' is built in "
                        '[sample]')
    parser.add_argument('--random-weights', action='store_true',
                        help='also measure networks whose files are not installed, untrained')
    reporting.add_json(parser)
    parser.set_defaults(complain=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Measure; return the exit code."""
    from gaze_ros.benchmark import models as timing
    from gaze_ros.benchmark.machine import machine
    from gaze_ros.core.model_zoo import registry
    from tqdm import tqdm

    if arguments.weight and len(arguments.model) != 1:
        arguments.complain('--weight belongs to one model: give one --model')
    entries = [registry.entry(name) for name in arguments.model or registry.model_names()]
    reporting.check_writable(arguments.json)
    if arguments.input != 'sample':
        inputs.existing(arguments.input)
    if arguments.random_weights and find_spec('torch') is None:
        raise GazeRosError(f"--random-weights needs torch: {pip_command('torch')}")
    image, face = timing.find_face(arguments.input)
    available = timing.devices()
    missing = {} if arguments.weight else {
        entry.name: how for entry in entries if (how := timing.how_to_install(entry))}
    refused: list[dict] = []
    with TemporaryDirectory(prefix='gaze_ros_') as folder:
        runs = [*_runs(entries, missing, arguments, available, Path(folder), refused)]
    if not runs:
        raise GazeRosError(_no_runs(missing, refused))
    turns = [(n, one) for _ in range(arguments.rounds) for n in arguments.batches for one in runs]
    for n, one in tqdm(turns, 'turns', disable=None):
        timing.time_calls(one, image, face, n)
    floors = timing.arithmetic_floors(runs) if find_spec('torch') else {}
    result = {
        'machine': machine(), 'input': arguments.input, 'rounds': arguments.rounds,
        'devices': available, 'runs': [summary(one, floors.get(one)) for one in runs],
        'missing': missing, 'refused': refused}
    for one in runs:
        one.estimator.close()
    reporting.report(result, _lines(result, arguments.batches), arguments.json)
    return 0


def _runs(entries: Sequence[Any], missing: dict[str, str], arguments: argparse.Namespace,
          available: Sequence[str], folder: Path, refused: list[dict]) -> Iterator[Any]:
    """Yield the runs that this machine supports; append the others to ``refused``."""
    from gaze_ros.benchmark.models import open_run, save_random, settings_of
    untrained: set[str] = set()  # several models share a network
    for entry in entries:
        weight, random = arguments.weight, entry.name in missing
        if random:
            if not (arguments.random_weights and entry.architecture) or (
                    entry.architecture in untrained):
                continue
            untrained.add(entry.architecture)
            weight = str(save_random(entry, folder))
        for device in arguments.device or available:
            for settings in settings_of(entry, device, weight):
                print(f'loading {entry.name}: {settings.runtime}, {settings.device}, '
                      f'{settings.precision}', file=sys.stderr)
                try:
                    yield open_run(entry, settings, random)
                except GazeRosError as e:
                    refused.append({
                        'model': entry.name, 'runtime': settings.runtime, 'device': device,
                        'precision': settings.precision, 'why': str(e)})


def _no_runs(missing: dict[str, str], refused: Sequence[dict]) -> str:
    reasons = [f'{name}: {how}' for name, how in missing.items()]
    reasons += [f"{one['model']}, {one['runtime']}, {one['precision']}: {one['why']}"
                for one in refused]
    return 'no model can be measured: ' + ('; '.join(reasons) or 'no model runs on that device')


def summary(one: Any, floor: Any) -> dict[str, Any]:
    """Return the values of a run for the JSON output, ms.

    :param one: a :class:`gaze_ros.benchmark.models.Run`.
    :param floor: of :func:`gaze_ros.benchmark.models.arithmetic_floors`; None if unknown.
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
    number = reporting.format_number
    yield reporting.machine_line(result['machine'])
    yield (f"input: {result['input']}; {result['rounds']} rounds; ms per face, from the image to "
           'the angles, by the number of faces per call')
    yield ''
    with_floor = any(one['arithmetic_floor'] for one in result['runs'])
    rows = [['model', 'runtime', 'device', 'precision', 'threads', *(str(n) for n in batches),
             'further face', *(['arithmetic'] if with_floor else []), '']]
    for one in result['runs']:
        share, floor = one['further_face_share'], one['arithmetic_floor']
        rows.append([
            one['model'], one['runtime'], one['device'], one['precision'],
            str(one['threads'] or '-'), *(number(one['face_ms'][str(n)], 2) for n in batches),
            '-' if share is None else f'{share:.0%}',
            *([number(floor and floor['ms'], 4)] if with_floor else []), one.get('note', '')])
    yield from reporting.table(rows, left=4)
    yield ''
    yield 'further face: mean time of faces 2 to 8 as a share of the first'
    if with_floor:
        yield ('arithmetic: ms per face at the rate of a large matrix product on this device: '
               + ', '.join(sorted({
                   f"{one['precision']} {one['arithmetic_floor']['matmul_tflops']:.0f} TFLOP/s"
                   for one in result['runs'] if one['arithmetic_floor']})))
    for name, how in result['missing'].items():
        yield f'missing: {name}: {how}'
    for one in result['refused']:
        yield f"refused: {one['model']}, {one['runtime']}, {one['precision']}: {one['why']}"
