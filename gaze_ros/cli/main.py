"""gaze_ros: the command line tool."""
import argparse
from importlib import import_module
import signal
import sys
from typing import Optional

from gaze_ros.core import threads
from gaze_ros.core.errors import GazeRosError

#: Each has HELP, add_arguments(parser) and run(arguments) -> exit code.
VERBS = ('video', 'bag', 'evaluate', 'models', 'demo', 'benchmark')


def main(arguments: Optional[list[str]] = None) -> int:
    """Run a verb; return the exit code: 0 done, 1 failed with a reason told, 2 wrong usage."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threads.configure()
    parser = argparse.ArgumentParser(prog='gaze_ros', description=sys.modules['gaze_ros'].__doc__)
    verbs = parser.add_subparsers(dest='verb', required=True, metavar='VERB')
    for name in VERBS:
        verb = import_module(f'gaze_ros.cli.{name}')
        sub = verbs.add_parser(name, help=verb.HELP, description=verb.__doc__)
        verb.add_arguments(sub)
        sub.set_defaults(run=verb.run)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except GazeRosError as e:
        print(f'gaze_ros {chosen.verb}: {e}', file=sys.stderr)
        return 1
    except BrokenPipeError:  # | head
        sys.stdout = None  # nothing is left to flush into
        return 1
    except KeyboardInterrupt:
        return 130
