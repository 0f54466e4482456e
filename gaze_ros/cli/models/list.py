"""List the known models, their licences, and where each is on this machine."""
import argparse
from dataclasses import asdict
import json

HELP = 'list the known models and their files here'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('--json', action='store_true', help='print the full entries as JSON')


def run(arguments: argparse.Namespace) -> int:
    """Print the list; return the exit code."""
    from gaze_ros.core.model_zoo import registry, store

    located = [(m, store.locate(m.name, m.kind)) for m in registry.manifest()]
    if arguments.json:
        print(json.dumps([{**asdict(m), 'path': str(p) if p else None} for m, p in located],
                         indent=1))
        return 0
    rows = [('name', 'kind', 'family', 'may be shipped', 'licence', 'where')]
    for model, path in located:
        in_package = not model.needs_weight and not model.files
        where = str(path) if path else 'in its package' if in_package else '-'
        rows.append((model.name, model.kind, model.family or '-',
                     'yes' if model.may_be_shipped else 'no', model.licence, where))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    return 0
