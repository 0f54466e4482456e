"""Compare the ways to run the pipeline on this machine: frames a second, latency, drops, load.

Without a verb: one thread after the other's work, the reference implementation's design, all nodes
in one process, and in three; on one source, with the same model and detector.
"""
import argparse
from importlib import import_module

from gaze_ros.cli.benchmark import pipeline

HELP = 'measure the pipeline on this machine'

#: Verbs of this verb, by the same rules as those of gaze_ros.cli.main.
VERBS = ('transport', 'stages', 'models')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the comparison's own arguments, and the verbs with theirs."""
    pipeline.add_arguments(parser)
    parser.set_defaults(benchmark_run=pipeline.run)
    verbs = parser.add_subparsers(dest='benchmark_verb', metavar='VERB')
    for name in VERBS:
        verb = import_module(f'{__name__}.{name}')
        sub = verbs.add_parser(name, help=verb.HELP, description=verb.__doc__)
        verb.add_arguments(sub)
        sub.set_defaults(benchmark_run=verb.run)


def run(arguments: argparse.Namespace) -> int:
    """Run the comparison or the verb; return the exit code."""
    return arguments.benchmark_run(arguments)
