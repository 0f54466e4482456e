"""Measure how pictures get from one node to the next, inside one process and between two.

By this package's publisher and subscriber, and by rclpy as its documentation has it. Latency is
from the stamp, just before a picture is published, until it is an array in the callback. The first
second of each way is left out.
"""
import argparse
from collections.abc import Iterator
from typing import Any

from gaze_ros.benchmark.transport import BEGINNING, PLACES, WAYS
from gaze_ros.cli.benchmark import reporting

HELP = 'how pictures get from node to node'

_SIZES = '640x480,1280x720,1920x1080,3840x2160'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('--sizes', type=reporting.several(reporting.size), metavar='WxH,...',
                        default=_SIZES, help=f'of the pictures, pixels [{_SIZES}]')
    parser.add_argument('--fps', type=reporting.number(1, 1000), default=30.0,
                        help='pictures sent a second [30]')
    parser.add_argument('--seconds', type=reporting.number(BEGINNING + 0.5, 3600), default=8.0,
                        help='of each way in each round, the first of them left out [8]')
    parser.add_argument('--rounds', type=reporting.whole(1, 100), default=2,
                        help='the ways take turns so often [2]')
    parser.add_argument('--ways', type=reporting.several(_way), default=[*WAYS],
                        metavar='WAY,...', help=f'of: {", ".join(WAYS)} [all]')
    parser.add_argument('--source', default='', metavar='SOURCE',
                        help='send its first picture, scaled; as of the camera node [one that is '
                        'drawn: gradients and text]')
    reporting.add_json(parser)


def _way(word: str) -> str:
    if word not in WAYS:
        raise argparse.ArgumentTypeError(f"'{word}' is not one of: {', '.join(WAYS)}")
    return word


def run(arguments: argparse.Namespace) -> int:
    """Measure each way in turns; return the exit code."""
    from gaze_ros.benchmark.machine import machine
    from gaze_ros.benchmark.transport import measure, picture, summary
    from tqdm import tqdm

    reporting.check_writable(arguments.json)
    picture(arguments.source, 16, 16)  # complains before anything is measured
    cases = [*_cases(arguments)]
    rounds: dict[tuple, list] = {case: [] for case in cases}
    for turn in range(arguments.rounds):
        # There and back: none is always the one that comes last on a machine that grows warm.
        order = cases if turn % 2 == 0 else cases[::-1]
        for case in tqdm(order, f'round {turn + 1} of {arguments.rounds}', disable=None):
            (width, height), place, way = case
            rounds[case].append(measure(way, place, {
                'width': width, 'height': height, 'fps': arguments.fps,
                'source': arguments.source}, arguments.seconds - BEGINNING))
    runs = [{'size': f'{width}x{height}', 'where': place, 'way': way, **summary(measured)}
            for ((width, height), place, way), measured in rounds.items()]
    result = {
        'machine': machine(), 'picture': arguments.source or 'drawn: gradients and text',
        'fps': arguments.fps, 'seconds': arguments.seconds, 'left_out_seconds': BEGINNING,
        'rounds': arguments.rounds, 'ways': {way: WAYS[way] for way in arguments.ways},
        'runs': runs}
    reporting.tell(result, _lines(result), arguments.json)
    return 0


def _cases(arguments: argparse.Namespace) -> Iterator[tuple]:
    for size in arguments.sizes:
        for place in PLACES:
            for way in arguments.ways:
                yield size, place, way


def _lines(result: dict[str, Any]) -> Iterator[str]:
    yield reporting.machine_line(result['machine'])
    yield (f"picture: {result['picture']}; {result['fps']:g} a second, {result['rounds']} x "
           f"{result['seconds']:g} s, the first second left out")
    yield ''
    rows = [('size', 'where', 'way', 'sent, 1/s', 'received', 'p50, ms', 'p95, ms', 'p99, ms',
             'cores')]
    for one in result['runs']:
        share = one['received_share']
        rows.append((
            one['size'], one['where'], one['way'], reporting.shown(one['sent_per_second']),
            '-' if share is None else f'{share:.1%}',
            *(reporting.shown(ms, 2) for ms in one['latency_ms'].values()),
            reporting.shown(one['cpu_cores'], 2)))
    yield from reporting.table(rows, left=3)
    yield ''
    yield from (f'{way}: {words}' for way, words in result['ways'].items())
