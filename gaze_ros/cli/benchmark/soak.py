"""Run the pipeline for hours while much happens to it, and see whether anything grows.

Faces come and go all the time; parameters change, tracks are reset, models and sources are
swapped, and a subscriber comes and goes. What the nodes hold and how late their results are is
written to soak.csv and drawn in soak.png. Ctrl-C ends it with the verdict so far. Exit code 1:
memory grows by 1 MB an hour or more, or handles or threads grow, or a node has ended by itself.
"""
import argparse
import os
from pathlib import Path
import random

from gaze_ros.cli.benchmark import reporting
from gaze_ros.core.errors import GazeRosError

HELP = 'run the pipeline for hours; tell what grows'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('--hours', type=reporting.number(0.001, 1000), default=8.0,
                        help='how long [8]')
    parser.add_argument('--out', default='out/soak', metavar='FOLDER',
                        help='for soak.csv, soak.png and what the nodes print [out/soak]')
    parser.add_argument('--processes', action='store_true',
                        help='each node in a process of its own [all in one]')
    parser.add_argument('--source', default='',
                        help='as of the camera node, looped [a crowd that is drawn]')
    parser.add_argument('--every', type=reporting.number(0.5, 3600), default=0.0,
                        metavar='SECONDS', help='from one look to the next [10, or shorter so '
                        'that there are 200]')
    parser.add_argument('--without', action='append', default=[], metavar='WHAT',
                        choices=['parameters', 'guest', 'reset', 'model', 'source'],
                        help='what does not happen, one of these; may '
                        'be repeated. Each model and source that comes and goes moves the memory '
                        'by megabytes: without them less than an hour tells')
    parser.add_argument('-p', '--parameter', action='append', default=[], metavar='NAME:=VALUE',
                        help='a parameter of the nodes; may be repeated')


def run(arguments: argparse.Namespace) -> int:
    """Run it; return 1 where something grows or a node has ended."""
    out = Path(arguments.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise GazeRosError(f"'{out}' cannot be made: {e}") from e
    parameters = {}
    for word in arguments.parameter:
        name, sign, value = word.partition(':=')
        if not (name and sign):
            raise GazeRosError(f"-p '{word}' is not NAME:=VALUE")
        parameters[name] = value
    # A robot nearby is not to see these nodes.
    os.environ.setdefault('ROS_DOMAIN_ID', str(random.randint(1, 101)))  # noqa: S311, no secret
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')

    from gaze_ros.benchmark.machine import machine
    from gaze_ros.benchmark.soak.nodes import LAYOUTS
    from gaze_ros.benchmark.soak.running import soak
    from gaze_ros.benchmark.soak.telling import draw, verdict

    layout = 'each' if arguments.processes else 'one'
    seconds = 3600 * arguments.hours
    every = arguments.every or min(10.0, max(0.5, seconds / 200))
    ledger, ended = soak(layout, seconds, every, arguments.source, parameters, out,
                         arguments.without)
    good, lines = verdict(ledger)
    draw(ledger, list(LAYOUTS[layout]), out / 'soak.png')
    if ended:
        lines.append(f'it ended early: {ended}')
    lines = [reporting.machine_line(machine()), *lines, f"{out / 'soak.csv'}, {out / 'soak.png'}"]
    (out / 'verdict.txt').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    print('\n'.join(lines))
    return 0 if good and ended in ('', 'interrupted') else 1
