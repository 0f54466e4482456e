"""Report what is installed and configured on this machine, what is wrong, and the remedies."""
import argparse
import json
import sys

from gaze_ros.core.errors import GazeRosError

HELP = 'report what is wrong with this installation, and what to do'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('--json', action='store_true', help='print the report as JSON')
    parser.add_argument('--reclaim', action='store_true',
                        help='first remove what killed processes left in shared memory')


def run(arguments: argparse.Namespace) -> int:
    """Run all checks; return 0 if the nodes would run, 1 if something they need is wrong."""
    from gaze_ros.core.doctor import examine

    if arguments.reclaim:
        print(f'{_reclaim() / 1e6:.0f} MB of shared memory reclaimed', file=sys.stderr)
    checks, problems = {}, {}
    for title, report in examine():
        checks[title] = report.as_dict()
        for problem in checks[title]['troubles']:
            # Print a problem once, even if several checks report it.
            problems.setdefault((problem['what'], problem['do']), (title, problem))
        if not arguments.json:
            _print(title, report.facts)
    errors = sum(problem['needed'] for _, problem in problems.values())
    verdict = 'it would run' if not errors else (
        f'it would not run: {errors} error{"s" if errors > 1 else ""}')
    if len(problems) > errors:
        verdict += f'; {len(problems) - errors} could be better'
    if arguments.json:
        print(json.dumps({'runs': not errors, 'verdict': verdict, 'checks': checks}, indent=1))
    else:
        for title, problem in problems.values():
            label = 'WRONG' if problem['needed'] else 'advice'
            print(f'\n{label}, {title}: {problem["what"]}\n  -> {problem["do"]}')
        print(f'\ngaze_ros: {verdict}')
    return 1 if errors else 0


def _print(title: str, facts: dict[str, str]) -> None:
    """Print the facts of one check."""
    if facts:
        print(title)
        width = max(map(len, facts))
        for name, value in facts.items():
            print(f'  {name.ljust(width)}  {value}')
        sys.stdout.flush()


def _reclaim() -> int:
    """Remove the shared memory of processes that have ended; return its bytes.

    :raises GazeRosError: if it must not be removed.
    """
    from gaze_ros.core.system import shared_memory
    try:
        return shared_memory.reclaim()
    except OSError as e:
        raise GazeRosError(f'shared memory cannot be reclaimed: {e}') from e
