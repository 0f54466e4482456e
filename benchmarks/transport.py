"""Measure how images get from node to node, within one process and between two.

The publisher and subscriber of this package are compared with rclpy as its documentation uses it.
Latency is the time from the stamp, taken just before an image is published, until the image is an
array in the callback. The first second of each measurement is left out.
"""
import argparse
from collections.abc import Iterator, Sequence
import json
import os
import time
from typing import Any

from benchmarks.transport_worker import CONFIGURATIONS, LAYOUTS
from gaze_ros.benchmark.child_processes import Answer, Children
from gaze_ros.cli.benchmark import reporting

_SIZES = '640x480,1920x1080'

#: Time at the start that is not measured, and maximum time until an image arrives, s.
WARM_UP, _ARRIVAL_TIMEOUT = 1.0, 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument('--sizes', type=reporting.several(reporting.size), metavar='WxH,...',
                        default=_SIZES, help=f'of the images, pixels [{_SIZES}]')
    parser.add_argument('--fps', type=reporting.number(1, 1000), default=30.0,
                        help='images sent per second [30]')
    parser.add_argument('--seconds', type=reporting.number(WARM_UP + 0.5, 3600), default=3.0,
                        help='duration of each measurement; its first second is left out [3]')
    parser.add_argument('--rounds', type=reporting.whole(1, 100), default=1,
                        help='number of rounds; each measures all configurations [1]')
    parser.add_argument('--ways', type=reporting.several(_configuration),
                        default=[*CONFIGURATIONS], metavar='NAME,...',
                        help=f'configurations: {", ".join(CONFIGURATIONS)} [all]')
    parser.add_argument('--source', default='', metavar='SOURCE',
                        help='send the first image of a source of the camera node, scaled [a '
                        'drawn image: gradients and text]')
    reporting.add_json(parser)


def _configuration(word: str) -> str:
    if word not in CONFIGURATIONS:
        raise argparse.ArgumentTypeError(f"'{word}' is not one of: {', '.join(CONFIGURATIONS)}")
    return word


def run(arguments: argparse.Namespace) -> int:
    """Measure all configurations in turns; return the exit code."""
    from benchmarks.transport_worker import load_image
    from gaze_ros.benchmark.machine import machine
    from tqdm import tqdm

    reporting.check_writable(arguments.json)
    load_image(arguments.source, 16, 16)  # reports a wrong source before the measurements
    cases = [(size, layout, name) for size in arguments.sizes for layout in LAYOUTS
             for name in arguments.ways]
    rounds: dict[tuple, list] = {case: [] for case in cases}
    for turn in range(arguments.rounds):
        # Every second round in reverse order: a machine that grows warm slows all of them alike.
        order = cases if turn % 2 == 0 else cases[::-1]
        for case in tqdm(order, f'round {turn + 1} of {arguments.rounds}', disable=None):
            (width, height), layout, name = case
            rounds[case].append(measure(name, layout, {
                'width': width, 'height': height, 'fps': arguments.fps,
                'source': arguments.source}, arguments.seconds - WARM_UP))
    runs = [{'size': f'{width}x{height}', 'where': layout, 'way': name, **summary(measured)}
            for ((width, height), layout, name), measured in rounds.items()]
    result = {
        'machine': machine(), 'image': arguments.source or 'drawn: gradients and text',
        'fps': arguments.fps, 'seconds': arguments.seconds, 'left_out_seconds': WARM_UP,
        'rounds': arguments.rounds,
        'ways': {name: CONFIGURATIONS[name] for name in arguments.ways}, 'runs': runs}
    reporting.report(result, _lines(result), arguments.json)
    return 0


def measure(name: str, layout: str, settings: dict[str, Any], seconds: float) -> Answer:
    """Measure one configuration.

    :param name: of :data:`benchmarks.transport_worker.CONFIGURATIONS`.
    :param layout: of :data:`benchmarks.transport_worker.LAYOUTS`.
    :param settings: width, height, fps and source.
    :param seconds: of sending, without :data:`WARM_UP`.
    :returns: ``sent``: number of images; ``seconds`` of sending; ``latencies`` of the received
        images, ms; ``cpu``: busy cores of all processes.
    :raises GazeRosError: with the reason of a child that fails.
    """
    words = json.dumps({
        **settings, 'configuration': name, 'topic': f'transport_{os.getpid()}/image'})
    with Children() as children:
        for role in LAYOUTS[layout]:
            children.start('benchmarks.transport_worker', role, words)
        children.wait(lambda answers: any(a['sent'] for a in answers))
        time.sleep(WARM_UP)
        children.mark()
        time.sleep(seconds)
        counted = answers = children.mark()
        sent = {stamp for answer in counted for stamp in answer['sent']}
        received: dict[int, int] = {}
        deadline = time.monotonic() + _ARRIVAL_TIMEOUT
        while True:
            received |= {stamp: latency for answer in answers
                         for stamp, latency in answer['received'] if stamp in sent}
            if len(received) == len(sent) or time.monotonic() > deadline:
                break
            time.sleep(0.05)
            answers = children.mark()
    return {
        'sent': len(sent), 'seconds': counted[-1]['seconds'],
        'latencies': [1e-6 * latency for latency in received.values()],
        'cpu': sum(answer['cpu'] / answer['seconds'] for answer in counted)}


def summary(rounds: Sequence[Answer]) -> Answer:
    """Return the values of all rounds of a configuration for the JSON output."""
    import numpy as np
    sent = sum(one['sent'] for one in rounds)
    latencies = [ms for one in rounds for ms in one['latencies']]
    percentiles = np.percentile(latencies, (50, 95, 99)).tolist() if latencies else [None] * 3
    return {
        'sent': sent, 'sent_per_second': sent / sum(one['seconds'] for one in rounds),
        'received': len(latencies), 'received_share': len(latencies) / sent if sent else None,
        'latency_ms': dict(zip(('p50', 'p95', 'p99'), percentiles)),
        'cpu_cores': sum(one['cpu'] for one in rounds) / len(rounds),
        'cpu_cores_of_rounds': [one['cpu'] for one in rounds]}


def _lines(result: dict[str, Any]) -> Iterator[str]:
    number = reporting.format_number
    yield reporting.machine_line(result['machine'])
    yield (f"image: {result['image']}; {result['fps']:g} per second, {result['rounds']} x "
           f"{result['seconds']:g} s, the first second left out")
    yield ''
    rows = [('size', 'where', 'configuration', 'sent, 1/s', 'received', 'p50, ms', 'p95, ms',
             'p99, ms', 'cores')]
    for one in result['runs']:
        share = one['received_share']
        rows.append((
            one['size'], one['where'], one['way'], number(one['sent_per_second']),
            '-' if share is None else f'{share:.1%}',
            *(number(ms, 2) for ms in one['latency_ms'].values()), number(one['cpu_cores'], 2)))
    yield from reporting.table(rows, left=3)
    yield ''
    yield from (f'{name}: {words}' for name, words in result['ways'].items())
