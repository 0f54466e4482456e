"""gaze_ros: the command line tool."""
import argparse
from collections.abc import Callable
import errno
from importlib import import_module
import os
import signal
import sys
from typing import Optional

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system import import_errors, native_threads

#: Each has HELP, add_arguments(parser) and run(arguments) -> exit code.
VERBS = ('video', 'bag', 'evaluate', 'models', 'demo', 'benchmark', 'doctor')


def main(arguments: Optional[list[str]] = None) -> int:
    """Run a verb; return the exit code: 0 done, 1 failed with a reason told, 2 wrong usage."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    native_threads.configure()
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog='gaze_ros', description=sys.modules['gaze_ros'].__doc__)
    verbs = parser.add_subparsers(dest='verb', required=True, metavar='VERB')
    # Only what is asked for is imported: doctor is for where the others cannot be.
    for name in words[:1] if words[:1] and words[0] in VERBS else VERBS:
        try:
            _add(verbs, name)
        except ImportError as e:
            if import_errors.is_own_import(e):
                raise
            if words[:1] == [name]:
                return _fail(f'gaze_ros {name}', import_errors.describe(e))
            why = import_errors.describe(e).replace('%', '%%')
            verbs.add_parser(name, help=f'cannot be used here: {why}')
    chosen = parser.parse_args(words)
    return run_guarded(f'gaze_ros {chosen.verb}', lambda: chosen.run(chosen))


def run_guarded(name: str, run: Callable[[], int]) -> int:
    """Run a command; return its exit code, 1 with a line on standard error where it fails.

    :param name: of the command, for that line.
    """
    try:
        code = run()
        if sys.stdout is not None:  # it is where it was closed at the start
            sys.stdout.flush()  # what does not fit on a disk is told by this, or not at all
        return code
    except GazeRosError as e:
        return _fail(name, str(e))
    except ImportError as e:
        if import_errors.is_own_import(e):
            raise
        return _fail(name, import_errors.describe(e))
    except BrokenPipeError:  # | head
        sys.stdout = None  # nothing is left to flush into
        return 1
    except OSError as e:
        if e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        # Nor does what waits to be written fit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _fail(name, f'what it writes does not fit on its disk: {e.strerror}')
    except KeyboardInterrupt:
        return 130


def _add(verbs, name: str) -> None:
    """Add a verb with its arguments."""
    verb = import_module(f'gaze_ros.cli.{name}')
    own = argparse.ArgumentParser(prog=f'gaze_ros {name}', add_help=False)
    verb.add_arguments(own)
    verbs.add_parser(name, help=verb.HELP, description=verb.__doc__, parents=[own]
                     ).set_defaults(run=verb.run)


def _fail(name: str, why: str) -> int:
    print(f'{name}: {why}', file=sys.stderr)
    return 1
