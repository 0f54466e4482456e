"""Measure what the nodes themselves cost, with stages whose length is known.

The three nodes run in one process, on the real executor and topics; the camera, the model and
the window only sleep. The pipeline is as fast as it can be when it keeps up with its slowest
stage, and as prompt when a result is no older than the stages after the camera take together.
"""
import argparse
from collections.abc import Iterator
from typing import Any

from gaze_ros.cli.benchmark import reporting

HELP = 'what the nodes themselves cost, with simulated stages'

#: Stages and milliseconds they take unless told.
_STAGES = {'camera': 80.0, 'inference': 34.0, 'display': 20.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    for name, ms in _STAGES.items():
        more = ', from one picture to the next; 0: 500 a second' if name == 'camera' else ''
        parser.add_argument(f'--{name}-ms', type=reporting.number(0, 10_000), default=ms,
                            metavar='MS', help=f'the {name} takes{more} [{ms:g}]')
    parser.add_argument('--seconds', type=reporting.number(1, 3600), default=15.0,
                        help='measured, after 2 s that are left out [15]')
    reporting.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure; return the exit code."""
    from gaze_ros.benchmark.machine import machine
    from gaze_ros.benchmark.stages import measure

    reporting.check_writable(arguments.json)
    figures = measure(*(getattr(arguments, f'{name}_ms') for name in _STAGES), arguments.seconds)
    result = {'machine': machine(), 'seconds': arguments.seconds, **figures}
    reporting.tell(result, _lines(result), arguments.json)
    return 0


def _lines(result: dict[str, Any]) -> Iterator[str]:
    shown = reporting.shown
    yield reporting.machine_line(result['machine'])
    yield (f"camera {result['camera_ms']:g} ms, inference {result['inference_ms']:g} ms, display "
           f"{result['display_ms']:g} ms, simulated; {result['seconds']:g} s")
    yield ''
    yield (f"the slowest stage is the {result['slowest_stage']}: "
           f"{result['slowest_per_second']:.2f} pictures a second")
    rows = [('', 'pictures/s', 'of the slowest', 'p50, ms', 'p95, ms', 'stages, ms', 'p50 more')]
    for name, ages in (('computed', 'result'), ('displayed', 'displayed')):
        share, latency = result[f'{name}_share'], result[f'latency_{ages}_ms']
        rows.append((
            name, shown(result[f'{name}_per_second'], 2),
            '-' if share is None else f'{share:.1%}', shown(latency['p50']), shown(latency['p95']),
            shown(latency['stages']), shown(latency['more'], 1)))
    yield from reporting.table(rows)
    yield ''
    rows = [('stage', 'came', 'done', 'dropped', 'why')]
    for name in ('camera', 'inference', 'display', 'window'):
        one = result['stages'][name]
        rows.append((name, str(one['came']), str(one['done']), str(sum(one['dropped'].values())),
                     ', '.join(f'{n} {why}' for why, n in sorted(one['dropped'].items()))))
    yield from reporting.table(rows)
