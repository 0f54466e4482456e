"""Say what is installed and set up here, what is wrong, and what to do about it."""
import argparse
import json
import sys

from gaze_ros.core.errors import GazeRosError

HELP = 'say what is wrong here, and what to do about it'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('--json', action='store_true', help='the same as JSON')
    parser.add_argument('--reclaim', action='store_true',
                        help='remove what processes that ended left in shared memory, first')


def run(arguments: argparse.Namespace) -> int:
    """Look at everything; return 0 where nodes would run, 1 where something they need is wrong."""
    from gaze_ros.core.doctor import examine

    if arguments.reclaim:
        print(f'{_reclaim() / 1e6:.0f} MB of shared memory given back', file=sys.stderr)
    report, troubles = {}, {}
    for title, found in examine():
        report[title] = found.as_dict()
        for trouble in report[title]['troubles']:
            # What several checks stumble over is told once.
            troubles.setdefault((trouble['what'], trouble['do']), (title, trouble))
        if not arguments.json:
            _print(title, found.facts)
    needed = sum(trouble['needed'] for _, trouble in troubles.values())
    verdict = 'it would run' if not needed else (
        f'it would not run: {needed} thing{"s" if needed > 1 else ""} it needs '
        f'{"are" if needed > 1 else "is"} wrong')
    if len(troubles) > needed:
        verdict += f'; {len(troubles) - needed} could be better'
    if arguments.json:
        print(json.dumps({'runs': not needed, 'verdict': verdict, 'checks': report}, indent=1))
    else:
        for title, trouble in troubles.values():
            mark = 'WRONG' if trouble['needed'] else 'advice'
            print(f'\n{mark}, {title}: {trouble["what"]}\n  -> {trouble["do"]}')
        print(f'\ngaze_ros: {verdict}')
    return 1 if needed else 0


def _print(title: str, facts: dict[str, str]) -> None:
    """Print a paragraph of the report."""
    if facts:
        print(title)
        width = max(map(len, facts))
        for name, value in facts.items():
            print(f'  {name.ljust(width)}  {value}')
        sys.stdout.flush()


def _reclaim() -> int:
    """Give back the shared memory of processes that ended; return its bytes.

    :raises GazeRosError: if it may not be removed.
    """
    from gaze_ros.core.system import shared_memory
    try:
        return shared_memory.reclaim()
    except OSError as e:
        raise GazeRosError(f'shared memory cannot be given back: {e}') from e
