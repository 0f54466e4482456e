"""Measure the overhead of the nodes, with stages of known duration.

The three nodes run in one process on the real executor and topics. Camera, model and window are
simulated by sleeping. Ideally the frame rate equals that of the slowest stage, and the latency of
a result equals the sum of the stages after the camera.
"""
import argparse
from collections.abc import Iterator, Mapping, Sequence
import json
import time
from typing import Any, Optional

from gaze_ros.benchmark.child_processes import Answer, Children
from gaze_ros.cli.benchmark import reporting

#: Default duration of each stage, ms.
_STAGES = {'camera': 80.0, 'inference': 34.0, 'display': 20.0}

#: Minimum frame period of the simulated camera, ms: 500 fps exceed every other stage.
MIN_PERIOD_MS = 2.0

#: Time at the start that is not measured, s.
WARM_UP = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    for name, ms in _STAGES.items():
        text = 'frame period of the camera; 0 = 500 fps' if name == 'camera' else (
            f'duration of the {name} stage')
        parser.add_argument(f'--{name}-ms', type=reporting.number(0, 10_000), default=ms,
                            metavar='MS', help=f'{text} [{ms:g}]')
    parser.add_argument('--seconds', type=reporting.number(1, 3600), default=15.0,
                        help='measured time, after a warm-up of 2 s [15]')
    reporting.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure; return the exit code."""
    from gaze_ros.benchmark.machine import machine

    reporting.check_writable(arguments.json)
    figures = measure(*(getattr(arguments, f'{name}_ms') for name in _STAGES), arguments.seconds)
    result = {'machine': machine(), 'seconds': arguments.seconds, **figures}
    reporting.report(result, _lines(result), arguments.json)
    return 0


def measure(camera_ms: float, inference_ms: float, display_ms: float, seconds: float) -> Answer:
    """Run the nodes with stages of these durations; return the values of the JSON output.

    :param seconds: measured time, after :data:`WARM_UP`.
    :raises GazeRosError: with the reason, if the nodes cannot run.
    """
    settings = {'camera_ms': camera_ms, 'inference_ms': inference_ms, 'display_ms': display_ms}
    with Children() as children:
        children.start('benchmarks.stages_worker', json.dumps(
            {**settings, 'camera_ms': max(camera_ms, MIN_PERIOD_MS)}))
        children.wait(lambda answers: answers[0].get('shown'))
        time.sleep(WARM_UP)
        children.mark()
        time.sleep(seconds)
        counted, = children.mark()
    return {**settings, **_summary(settings, counted)}


def _summary(settings: Mapping[str, float], counted: Answer) -> Answer:
    durations = {name: settings[f'{name}_ms'] for name in ('camera', 'inference', 'display')}
    durations['camera'] = max(durations['camera'], MIN_PERIOD_MS)
    slowest = max(durations, key=durations.__getitem__)
    rate = 1e3 / durations[slowest]
    shown, stages = counted['shown'], counted['stages']
    rates = {'computed': _rate(counted['computed']), 'displayed': _rate([t for t, _ in shown])}
    counts = {name.lower(): {
        'came': one['received'], 'done': one['processed'], 'dropped': one['dropped']}
        for name, one in stages.items()}
    counts['window'] = {
        'came': counted['offered'], 'done': len(shown),
        'dropped': {'newer': counted['replaced']} if counted['replaced'] else {}}
    inference, display = settings['inference_ms'], settings['display_ms']
    return {
        'slowest_stage': slowest, 'slowest_per_second': rate,
        **{f'{name}_per_second': value for name, value in rates.items()},
        **{f'{name}_share': value and value / rate for name, value in rates.items()},
        'latency_result_ms': _latency(stages['Inference']['ages'], inference),
        'latency_displayed_ms': _latency([age for _, age in shown], inference + display),
        'stages': counts}


def _rate(times: Sequence[float]) -> Optional[float]:
    """Return events per second, between the first and the last event."""
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else None


def _latency(ages: Sequence[float], stages: float) -> Answer:
    """Return percentiles in ms, the sum of the stages, and what the median exceeds it by."""
    import numpy as np
    p50, p95 = (1e3 * np.percentile(ages, (50, 95))).tolist() if len(ages) else (None, None)
    return {'p50': p50, 'p95': p95, 'stages': stages,
            'more': None if p50 is None else p50 - stages}


def _lines(result: dict[str, Any]) -> Iterator[str]:
    number = reporting.format_number
    yield reporting.machine_line(result['machine'])
    yield (f"camera {result['camera_ms']:g} ms, inference {result['inference_ms']:g} ms, display "
           f"{result['display_ms']:g} ms, simulated; {result['seconds']:g} s")
    yield ''
    yield (f"slowest stage: {result['slowest_stage']}, "
           f"{result['slowest_per_second']:.2f} images per second")
    rows = [('', 'images/s', 'of the slowest', 'p50, ms', 'p95, ms', 'stages, ms', 'overhead, ms')]
    for name, ages in (('computed', 'result'), ('displayed', 'displayed')):
        share, latency = result[f'{name}_share'], result[f'latency_{ages}_ms']
        rows.append((
            name, number(result[f'{name}_per_second'], 2),
            '-' if share is None else f'{share:.1%}', number(latency['p50']),
            number(latency['p95']), number(latency['stages']), number(latency['more'])))
    yield from reporting.table(rows)
    yield ''
    rows = [('stage', 'received', 'processed', 'dropped', 'reason')]
    for name in ('camera', 'inference', 'display', 'window'):
        one = result['stages'][name]
        rows.append((name, str(one['came']), str(one['done']), str(sum(one['dropped'].values())),
                     ', '.join(f'{n} {why}' for why, n in sorted(one['dropped'].items()))))
    yield from reporting.table(rows)
