"""The comparison of the ways to run the pipeline."""
import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
import sys
from tempfile import TemporaryDirectory
from typing import Any

from gaze_ros.cli import options
from gaze_ros.cli.benchmark import reporting
from gaze_ros.core.errors import GazeRosError

_WAYS = ('sequential', 'reference', 'pipeline', 'processes')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the comparison's arguments."""
    parser.add_argument('--source', default='sample',
                        help="video, folder of images, or 'sample' [sample]")
    parser.add_argument('--camera-fps', type=reporting.number(1, 1000), default=30.0,
                        metavar='FPS', help='frames a second at which it is played [30]')
    parser.add_argument('--size', type=reporting.size, default=(0, 0), metavar='WxH',
                        help='resize the source, pixels')
    parser.add_argument('--seconds', type=reporting.number(0.5, 3600), default=0.0,
                        help='measured of each way in each round [the length of the source, so '
                        'that all see the same pictures, where that is at most 30 s; else 10]')
    parser.add_argument('--rounds', type=reporting.whole(1, 100), default=2,
                        help='the ways take turns so often [2]')
    parser.add_argument('--warm-up', type=reporting.number(0, 600), default=2.0, metavar='SECONDS',
                        help='not measured after the first result [2]')
    parser.add_argument('--only', nargs='+', choices=_WAYS, default=list(_WAYS), metavar='WAY',
                        help=f'ways to run ({", ".join(_WAYS)}) [all]')
    reporting.add_json(parser)
    options.add(parser, nodes=True)
    parser.add_argument('--faces', dest='max_faces', type=reporting.whole(0, 1000), metavar='N',
                        default=argparse.SUPPRESS, help='the same as --max-faces')


def run(arguments: argparse.Namespace) -> int:
    """Run all ways in turns; print the table; return the exit code."""
    from gaze_ros.benchmark import clip
    from gaze_ros.benchmark.machine import machine
    from gaze_ros.benchmark.ways import OF_NODES

    values = options.values(arguments)
    ways = [way for way in _WAYS if way in arguments.only]
    notes = _notes(ways, values)
    if not ways:
        raise GazeRosError(notes[-1])
    length = clip.check(arguments.source) / arguments.camera_fps
    arguments.seconds = arguments.seconds or (length if 0 < length <= 30 else 10.0)
    reporting.check_writable(arguments.json)
    with ExitStack() as stack:
        width, height = arguments.size
        source = arguments.source
        if width and source != 'sample':
            folder = stack.enter_context(TemporaryDirectory(prefix='gaze_ros_'))
            source = clip.resized(source, width, height, Path(folder))
        listener = None
        if set(ways) & set(OF_NODES):
            from gaze_ros.benchmark.listening import listening
            listener = stack.enter_context(listening())
        runs = _runs(ways, {
            'source': source, 'camera_fps': arguments.camera_fps, 'width': width,
            'height': height, 'values': values}, arguments, listener)
    figures = {way: run.figures() for way, run in runs.items()}
    running = next(iter(figures.values()))['running']
    result = {
        'machine': machine(), 'source': arguments.source,
        'size': arguments.size if width else None,
        'model': running.removeprefix('model ').partition(' ')[0],
        'detector': running.rpartition(' ')[2], 'camera_fps': arguments.camera_fps,
        'seconds': arguments.seconds, 'rounds': arguments.rounds, 'runs': figures,
        'ratios': _ratios(figures), 'notes': notes}
    reporting.tell(result, _lines(result), arguments.json)
    return 0


def _notes(ways: list[str], values: Mapping[str, Any]) -> list[str]:
    """Return what is to be said of the reference; takes it from the ways where it cannot run."""
    from gaze_ros.benchmark.one_by_one import checkpoint, has_checkpoints
    if 'reference' not in ways:
        return []
    model, note = values['model'], ''
    if has_checkpoints(model) and find_spec('torch') is None:
        ways.remove('reference')
        note = "the reference needs torch, which is missing: pip install 'gaze_ros[torch]'"
    elif checkpoint(model, values['weight']) is None:
        note = (f"no checkpoint of model '{model}' is here: the reference runs the same "
                'network as the others, one face a call')
    if note and ways:
        print(note, file=sys.stderr)
    return [note] if note else []


def _runs(ways: Sequence[str], settings: Mapping[str, Any], arguments: argparse.Namespace,
          listener: Any) -> dict[str, Any]:
    from gaze_ros.benchmark.ways import measure, Run
    runs = {way: Run() for way in ways}
    for turn in range(arguments.rounds):
        # There and back: none is always the one that comes last on a machine that grows warm.
        for way in ways if turn % 2 == 0 else reversed(ways):
            print(f'round {turn + 1} of {arguments.rounds}: {way}, {arguments.warm_up:g} + '
                  f'{arguments.seconds:g} s', file=sys.stderr, flush=True)
            runs[way].pool(measure(
                way, settings, arguments.seconds, arguments.warm_up, listener))
    return runs


def _ratios(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return each way's frames a second and median latency over the reference's."""
    if 'reference' not in figures:
        return {}
    base = figures['reference']
    return {way: {
        'fps': _ratio(row['fps'], base['fps']),
        'latency_p50': _ratio(row['latency_ms']['p50'], base['latency_ms']['p50']),
    } for way, row in figures.items()}


def _ratio(value: Any, base: Any) -> Any:
    return round(value / base, 3) if value is not None and base else None


def _lines(result: Mapping[str, Any]) -> list[str]:
    rows = [('way', 'FPS', 'latency, ms', 'displayed, ms', 'dropped cam/inf/disp', 'cores', 'MB',
             'faces', 'FPS : ref', 'latency : ref')]
    for way, run in result['runs'].items():
        ratio = result['ratios'].get(way, {})
        rows.append((
            way, f"{run['fps']:.1f}", _three(run['latency_ms']), _three(run['displayed_ms']),
            '/'.join(str(n) for n in run['dropped'].values()), f"{run['cpu']:.2f}",
            f"{run['peak_mb']:.0f}", f"{run['faces']:.2f}",
            reporting.shown(ratio.get('fps'), 2), reporting.shown(ratio.get('latency_p50'), 3)))
    return [
        reporting.machine_line(result['machine']),
        f"source {result['source']} at {result['camera_fps']:g} frames a second; "
        f"{result['rounds']} x {result['seconds']:.1f} s; latencies are p50 / p95 / p99", '',
        *reporting.table(rows), '',
        *(f"{way}: {run['running']}" for way, run in result['runs'].items()), *result['notes']]


def _three(ages: Mapping[str, Any]) -> str:
    return ' / '.join('-' if v is None else f'{v:.1f}' for v in ages.values())
