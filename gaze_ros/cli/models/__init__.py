"""List, fetch, check and convert models."""
import argparse
from importlib import import_module

HELP = 'list, fetch and check models'

#: Modules of this package, with the same functions as the verbs of gaze_ros.cli.main.
VERBS = ('list', 'fetch', 'verify', 'path', 'export', 'selftest')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs with their arguments."""
    verbs = parser.add_subparsers(dest='models_verb', required=True, metavar='VERB')
    for name in VERBS:
        verb = import_module(f'{__name__}.{name}')
        sub = verbs.add_parser(name, help=verb.HELP, description=verb.__doc__)
        verb.add_arguments(sub)
        sub.set_defaults(models_run=verb.run)


def run(arguments: argparse.Namespace) -> int:
    """Run the verb; return the exit code."""
    return arguments.models_run(arguments)
