"""Compare the ways to run the pipeline on this machine: frames a second, latency, drops, load.

Without a verb: one thread after the other's work, the reference implementation's design, all nodes
in one process, and in three; on one source, with the same model and detector.
"""
import argparse
from importlib import import_module

from gaze_ros.cli.benchmark import pipeline
from gaze_ros.core.errors import GazeRosError

HELP = 'measure the pipeline on this machine'

#: Verbs of this verb, by the same rules as those of gaze_ros.cli.main.
VERBS = ('transport', 'stages', 'models', 'soak')


class _Verbs(argparse._SubParsersAction):
    """Refuses options before the verb: they are the comparison's, and would be lost."""

    def __call__(self, parser, namespace, values, option_string=None):
        given = [name for name, value in vars(namespace).items()
                 if name in self.defaults and value != self.defaults[name]]
        if given:
            parser.error(f"--{given[0].replace('_', '-')} goes after {values[0]}")
        super().__call__(parser, namespace, values, option_string)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the comparison's own arguments, and the verbs with theirs."""
    pipeline.add_arguments(parser)
    parser.set_defaults(benchmark_run=pipeline.run)
    defaults = vars(parser.parse_args([]))
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
            f'--json {arguments.json} would be a file of that name: put --json after the verb, or '
            f'give ./{arguments.json}')
    return arguments.benchmark_run(arguments)
