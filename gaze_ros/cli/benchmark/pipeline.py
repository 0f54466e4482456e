"""Compare the configurations of the pipeline."""
import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
import sys
from tempfile import TemporaryDirectory
from typing import Any

from gaze_ros.cli import options
from gaze_ros.cli.benchmark import reporting

#: As in gaze_ros.benchmark.configurations, whose import takes longer than --help should.
_NAMES = ('sequential', 'pipeline', 'processes')


def add_arguments(parser: argparse.ArgumentParser, names: tuple[str, ...] = _NAMES) -> None:
    """Add the arguments of the comparison.

    :param names: of the configurations to choose from.
    """
    parser.add_argument('--source', default='sample',
                        help="video, folder of images, or 'sample' [sample]")
    parser.add_argument('--camera-fps', type=reporting.number(0, 1000), default=30.0,
                        metavar='FPS', help='frame rate of the camera as which the source is '
                        'played; 0: it always has a next image [30]')
    parser.add_argument('--images', type=reporting.whole(0, 1_000_000), default=0, metavar='N',
                        help='play only the first N images of the source, again and again: all '
                        'configurations get the same number of faces; 0: all [0]')
    parser.add_argument('--size', type=reporting.size, default=(0, 0), metavar='WxH',
                        help='resize the source, pixels')
    parser.add_argument('--seconds', type=reporting.number(0.5, 3600), default=3.0,
                        help='measured time of each configuration in each round [3]')
    # As a string: that it was given shows in its type, also if it is the default.
    parser.add_argument('--rounds', type=reporting.whole(1, 1000), default='8',
                        help='number of rounds; each measures every configuration in turn, since '
                        'other work changes the speed of the machine from one moment to the next '
                        '[8]')
    parser.add_argument('--warm-up', type=reporting.number(0, 600), default=5.0, metavar='SECONDS',
                        help='time after the first result that is not measured: parallel:=auto '
                        'follows the load [5]')
    parser.add_argument('--only', nargs='+', choices=names, default=list(names), metavar='NAME',
                        help=f'configurations to run ({", ".join(names)}) [all]')
    reporting.add_json(parser)
    options.add(parser, nodes=True)
    parser.add_argument('--faces', dest='max_faces', type=reporting.whole(0, 1000), metavar='N',
                        default=argparse.SUPPRESS, help='the same as --max-faces')


def run(arguments: argparse.Namespace) -> int:
    """Measure all configurations; print the table; return the exit code."""
    from gaze_ros.benchmark.configurations import CONFIGURATIONS

    result = compare(arguments, {
        name: one for name, one in CONFIGURATIONS.items() if name in arguments.only})
    reporting.report(result, lines(result), arguments.json)
    return 0


def compare(arguments: argparse.Namespace, configurations: Mapping[str, Any]) -> dict[str, Any]:
    """Measure configurations in turns; return the JSON output.

    :param arguments: of :func:`add_arguments`.
    :param configurations: :class:`gaze_ros.benchmark.configurations.Configuration` by name.
    :returns: with empty ``ratios`` and ``notes``: those compare with a baseline, if there is one.
    :raises GazeRosError: if the source cannot be replayed or a configuration cannot run.
    """
    from gaze_ros.benchmark import clip
    from gaze_ros.benchmark import configurations as measuring
    from gaze_ros.benchmark.machine import machine

    values = options.values(arguments)
    clip.check(arguments.source)
    reporting.check_writable(arguments.json)
    with ExitStack() as stack:
        width, height = arguments.size
        source = arguments.source
        if width and source != 'sample':
            folder = stack.enter_context(TemporaryDirectory(prefix='gaze_ros_'))
            source = clip.resize(source, width, height, Path(folder))
        rounds = _measure_in_turns(configurations, {
            'source': source, 'camera_fps': arguments.camera_fps, 'width': width,
            'height': height, 'images': arguments.images, 'values': values}, arguments, stack)
    summaries, by_round = {}, {}
    for name, runs in rounds.items():
        by_round[name] = [run.summary() for run in runs]
        pooled = measuring.Run()
        for run in runs:
            pooled.pool(run)
        summaries[name] = {**pooled.summary(), 'rounds': by_round[name]}
    running = next(iter(summaries.values()))['running']
    return {
        'machine': machine(), 'source': arguments.source,
        'size': arguments.size if width else None,
        'model': running.removeprefix('model ').partition(' ')[0],
        'detector': running.rpartition(' ')[2], 'camera_fps': arguments.camera_fps,
        'images': arguments.images,
        'seconds': arguments.seconds, 'rounds': arguments.rounds, 'runs': summaries,
        'paired': measuring.paired(by_round), 'ratios': {}, 'notes': []}


def _measure_in_turns(configurations: Mapping[str, Any], settings: Mapping[str, Any],
                      arguments: argparse.Namespace, stack: ExitStack) -> dict[str, list]:
    from gaze_ros.benchmark.configurations import Session
    from gaze_ros.benchmark.listener import listen
    sessions = {}
    for name, configuration in configurations.items():
        print(f'{name}: start and {arguments.warm_up:g} s of warm-up', file=sys.stderr, flush=True)
        listener = stack.enter_context(listen()) if configuration.publishes else None
        sessions[name] = stack.enter_context(Session(configuration, settings, listener))
        sessions[name].start(arguments.warm_up)
    runs: dict[str, list] = {name: [] for name in configurations}
    for turn in range(arguments.rounds):
        print(f'round {turn + 1} of {arguments.rounds}: {arguments.seconds:g} s each',
              file=sys.stderr, flush=True)
        # Every second round in reverse order: a machine that grows warm slows all of them alike.
        for name in configurations if turn % 2 == 0 else reversed(configurations):
            runs[name].append(sessions[name].measure(arguments.seconds))
    return runs


def lines(result: Mapping[str, Any]) -> list[str]:
    """Return the lines of the table.

    :param result: of :func:`compare`; with columns for its ratios, if it has any.
    """
    ratios = result['ratios']
    rows = [['configuration', 'FPS', 'latency, ms', 'displayed, ms', 'dropped cam/inf/disp',
             'cores', 'core-ms', 'MB', 'faces',
             *(('FPS : ref', 'latency : ref') if ratios else ())]]
    for name, run in result['runs'].items():
        row = [
            name, f"{run['fps']:.1f}", _three(run['latency_ms']), _three(run['displayed_ms']),
            '/'.join(str(n) for n in run['dropped'].values()), f"{run['cpu']:.2f}",
            reporting.format_number(run['core_ms']), f"{run['peak_mb']:.0f}",
            f"{run['faces']:.2f}"]
        if ratios:
            row += [reporting.format_number(ratios[name]['fps'], 2),
                    reporting.format_number(ratios[name]['latency_p50'], 3)]
        rows.append(row)
    return [
        reporting.machine_line(result['machine']),
        f"source {result['source']} at {result['camera_fps']:g} fps; "
        f"{result['rounds']} x {result['seconds']:.1f} s; latencies are p50 / p95 / p99", '',
        *reporting.table(rows), '', *_work_lines(result), *_paired_lines(result['paired']),
        *(f"{name}: {run['running']}" for name, run in result['runs'].items()), *result['notes']]


def _work_lines(result: Mapping[str, Any]) -> list[str]:
    """Return the table of the core-milliseconds per image by work."""
    runs = result['runs']
    works = [*dict.fromkeys(work for run in runs.values() for work in run['core_ms_by_work'])]
    if not works:
        return []
    rows = [['core-ms per image', *works]]
    for name, run in runs.items():
        rows.append([name, *(reporting.format_number(run['core_ms_by_work'].get(work))
                             for work in works)])
    return [*reporting.table(rows), '']


def _paired_lines(paired: Mapping[str, Any]) -> list[str]:
    """Return the table of the ratios to the first configuration."""
    if len(paired) < 2:
        return []
    rows = [['median of the rounds : sequential', 'FPS', 'p50', 'p99', 'cores', 'core-ms']]
    for name, ratios in paired.items():
        rows.append([name, *(reporting.format_number(value, 2) for value in ratios.values())])
    return [*reporting.table(rows), '']


def _three(ages: Mapping[str, Any]) -> str:
    return ' / '.join('-' if v is None else f'{v:.1f}' for v in ages.values())
