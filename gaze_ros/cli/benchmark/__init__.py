"""Compare the configurations of the pipeline on this machine: frame rate, latency, drops, load.

Without a verb, this runs the same work in one thread (sequential), with all nodes in one process
(pipeline) and in three processes (processes): on one source, with one model and one detector.
"""
import argparse
from importlib import import_module

from gaze_ros.cli.benchmark import pipeline
from gaze_ros.core.errors import GazeRosError

HELP = 'measure the pipeline on this machine'

#: Verbs of this verb, by the same rules as those of gaze_ros.cli.main.
VERBS = ('models',)


class _Verbs(argparse._SubParsersAction):
    """Refuses options before the verb: they belong to the comparison and would be lost."""

    def __call__(self, parser, namespace, values, option_string=None):
        given = [name for name, value in vars(namespace).items()
                 if name in self.defaults and value is not self.defaults[name]]
        if given:
            parser.error(f"--{given[0].replace('_', '-')} must follow {values[0]}")
        super().__call__(parser, namespace, values, option_string)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the comparison, and the verbs with theirs."""
    pipeline.add_arguments(parser)
    parser.set_defaults(benchmark_run=pipeline.run)
    defaults = {name: parser.get_default(name) for name in vars(parser.parse_args([]))}
    verbs = parser.add_subparsers(dest='benchmark_verb', metavar='VERB', action=_Verbs)
    verbs.defaults = defaults
    for name in VERBS:
        verb = import_module(f'{__name__}.{name}')
        sub = verbs.add_parser(name, help=verb.HELP, description=verb.__doc__)
        verb.add_arguments(sub)
        sub.set_defaults(benchmark_run=verb.run)


def run(arguments: argparse.Namespace) -> int:
    """Run the comparison or the verb; return the exit code."""
    if arguments.json in VERBS:
        raise GazeRosError(
            f'--json {arguments.json} would write a file of that name: put --json after the verb, '
            f'or use ./{arguments.json} for the file')
    return arguments.benchmark_run(arguments)
