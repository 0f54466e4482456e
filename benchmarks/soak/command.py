"""Run the pipeline for hours while much happens to it, and report what grows.

Faces come and go all the time. Parameters change, tracks are reset, models and sources are
swapped, and a subscriber comes and goes. Resource usage and latency are written to soak.csv and
plotted in soak.png. Ctrl-C stops the test with the verdict so far. Exit code 1: memory grows by
1 MB per hour or more, handles or threads grow, or a node exited unexpectedly.
"""
import argparse
import os
from pathlib import Path
import random

from gaze_ros.cli.benchmark import reporting
from gaze_ros.core.errors import GazeRosError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument('--hours', type=reporting.number(0.001, 1000), default=8.0,
                        help='duration [8]')
    parser.add_argument('--out', default='out/soak', metavar='FOLDER',
                        help='for soak.csv, soak.png, verdict.txt and the logs of the nodes '
                        '[out/soak]')
    parser.add_argument('--processes', action='store_true',
                        help='run each node in a process of its own [all in one]')
    parser.add_argument('--source', default='',
                        help='source of the camera node, looped [synthetic faces]')
    parser.add_argument('--every', type=reporting.number(0.5, 3600), default=0.0,
                        metavar='SECONDS', help='sampling period [10, or shorter to get 200 '
                        'samples]')
    parser.add_argument('--without', action='append', default=[], metavar='EVENT',
                        choices=['parameters', 'guest', 'reset', 'model', 'source'],
                        help='event to leave out: parameters, guest (the subscriber), reset, '
                        'model or source; may be repeated. Each change of model or source moves '
                        'the memory by megabytes: without them, less than an hour is enough')
    parser.add_argument('-p', '--parameter', action='append', default=[], metavar='NAME:=VALUE',
                        help='parameter of the nodes; may be repeated')


def run(arguments: argparse.Namespace) -> int:
    """Run the soak test; return 1 if something grows or a node has exited."""
    out = Path(arguments.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise GazeRosError(f"'{out}' cannot be created: {e}") from e
    parameters = {}
    for word in arguments.parameter:
        name, sign, value = word.partition(':=')
        if not (name and sign):
            raise GazeRosError(f"-p '{word}' is not NAME:=VALUE")
        parameters[name] = value
    # Robots nearby must not receive these nodes.
    os.environ.setdefault('ROS_DOMAIN_ID', str(random.randint(1, 101)))  # noqa: S311, no secret
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')

    from benchmarks.soak import plots  # noqa: F401, reports before the test that it is missing
    from benchmarks.soak.node_processes import LAYOUTS
    from benchmarks.soak.report import plot_samples, verdict
    from benchmarks.soak.runner import soak
    from gaze_ros.benchmark.machine import machine

    layout = 'each' if arguments.processes else 'one'
    seconds = 3600 * arguments.hours
    period = arguments.every or min(10.0, max(0.5, seconds / 200))
    sampler, stopped = soak(layout, seconds, period, arguments.source, parameters, out,
                            arguments.without)
    good, lines = verdict(sampler)
    plot_samples(sampler, list(LAYOUTS[layout]), out / 'soak.png')
    if stopped:
        lines.append(f'stopped early: {stopped}')
    lines = [reporting.machine_line(machine()), *lines, f"{out / 'soak.csv'}, {out / 'soak.png'}"]
    (out / 'verdict.txt').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    print('\n'.join(lines))
    return 0 if good and stopped in ('', 'interrupted') else 1
