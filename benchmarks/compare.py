"""Compare the configurations of ``gaze_ros benchmark`` with the design of the reference.

The same work is done in one thread (sequential), by the reference's three threads (reference),
with all nodes in one process (pipeline) and in three processes (processes): on one source, with
the same model and detector.
"""
import argparse
from collections.abc import Mapping
from importlib.util import find_spec
import sys
from typing import Any

from gaze_ros.cli import options
from gaze_ros.cli.benchmark import pipeline, reporting
from gaze_ros.core.errors import GazeRosError

_NAMES = ('sequential', 'reference', 'pipeline', 'processes')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    pipeline.add_arguments(parser, _NAMES)


def run(arguments: argparse.Namespace) -> int:
    """Measure all configurations; print the table; return the exit code."""
    from gaze_ros.benchmark.configurations import Configuration, CONFIGURATIONS

    every = {**CONFIGURATIONS, 'reference': Configuration(
        ('reference',), module='benchmarks.reference_worker')}
    names = [name for name in _NAMES if name in arguments.only]
    names, notes = check_reference(names, options.values(arguments))
    if not names:
        raise GazeRosError(notes[-1])
    result = pipeline.compare(arguments, {name: every[name] for name in names})
    result['ratios'], result['notes'] = ratios(result['runs']), notes
    reporting.report(result, pipeline.lines(result), arguments.json)
    return 0


def check_reference(names: list[str], values: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the names of the configurations that can run, and notes on the reference.

    :param names: of configurations.
    :param values: of the parameters of the gaze node.
    """
    from benchmarks.baseline import find_checkpoint, has_checkpoints
    if 'reference' not in names:
        return names, []
    model, note = values['model'], ''
    if has_checkpoints(model) and find_spec('torch') is None:
        names = [name for name in names if name != 'reference']
        note = 'the reference needs torch, which is not installed: pip install torch safetensors'
    elif find_checkpoint(model, values['weight']) is None:
        note = (f"no checkpoint of model '{model}' is installed: the reference runs the same "
                'network as the others, one face per call')
    if note and names:
        print(note, file=sys.stderr)
    return names, [note] if note else []


def ratios(runs: Mapping[str, Any]) -> dict[str, Any]:
    """Return frame rate and median latency of each run over those of the reference."""
    if 'reference' not in runs:
        return {}
    base = runs['reference']
    return {name: {
        'fps': _ratio(run['fps'], base['fps']),
        'latency_p50': _ratio(run['latency_ms']['p50'], base['latency_ms']['p50']),
    } for name, run in runs.items()}


def _ratio(value: Any, base: Any) -> Any:
    return round(value / base, 3) if value is not None and base else None
