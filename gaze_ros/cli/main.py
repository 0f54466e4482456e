"""Entry point of the command line tool gaze_ros: parse the verb and run it."""
import argparse
from collections.abc import Callable
import errno
from importlib import import_module
from io import TextIOWrapper
import os
import signal
import sys
from typing import Optional

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system import import_errors, native_threads

#: Modules of this package with HELP, add_arguments(parser) and run(arguments) -> exit code.
VERBS = ('video', 'bag', 'view', 'evaluate', 'models', 'demo', 'benchmark', 'doctor')


def main(arguments: Optional[list[str]] = None) -> int:
    """Run a verb; return the exit code: 0 success, 1 failure with an error line, 2 wrong usage."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    native_threads.configure()
    if isinstance(sys.stdout, TextIOWrapper):  # None if it was closed before the start
        # Names that are not UTF-8 are printed with their own bytes.
        sys.stdout.reconfigure(errors='surrogateescape')
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog='gaze_ros', description=sys.modules['gaze_ros'].__doc__)
    verbs = parser.add_subparsers(dest='verb', required=True, metavar='VERB')
    # Import only the requested verb: doctor must work where the others cannot be imported.
    for name in words[:1] if words[:1] and words[0] in VERBS else VERBS:
        try:
            _add(verbs, name)
        except ImportError as e:
            if import_errors.is_own_import(e):
                raise
            if words[:1] == [name]:
                return _fail(f'gaze_ros {name}', import_errors.describe(e))
            reason = import_errors.describe(e).replace('%', '%%')
            verbs.add_parser(name, help=f'not available: {reason}')
    chosen = parser.parse_args(words)
    return run_guarded(f'gaze_ros {chosen.verb}', lambda: chosen.run(chosen))


def run_guarded(name: str, run: Callable[[], int]) -> int:
    """Run a command; return its exit code. A failure is 1 and a line on standard error.

    :param name: of the command, for that line.
    """
    try:
        code = run()
        if sys.stdout is not None:  # None if it was closed before the start
            sys.stdout.flush()  # raises OSError here if the disk is full
        return code
    except GazeRosError as e:
        return _fail(name, str(e))
    except ImportError as e:
        if import_errors.is_own_import(e):
            raise
        return _fail(name, import_errors.describe(e))
    except BrokenPipeError:  # | head
        sys.stdout = None  # avoids a second error when Python flushes it at exit
        return 1
    except OSError as e:
        if e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        # Discard the buffered rest, which Python would try to write at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _fail(name, f'the output does not fit on its disk: {e.strerror}')
    except KeyboardInterrupt:
        return 130


def _add(verbs, name: str) -> None:
    """Add a verb with its arguments."""
    verb = import_module(f'gaze_ros.cli.{name}')
    own = argparse.ArgumentParser(prog=f'gaze_ros {name}', add_help=False)
    verb.add_arguments(own)
    verbs.add_parser(name, help=verb.HELP, description=verb.__doc__, parents=[own]
                     ).set_defaults(run=verb.run)


def _fail(name: str, reason: str) -> int:
    """Print an error line; return the exit code."""
    print(f'{name}: {reason}', file=sys.stderr)
    return 1
