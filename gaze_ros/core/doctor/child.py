"""Entry point of the process that runs one check."""
from importlib import import_module
import json
import os
import sys
from typing import NoReturn

from gaze_ros.core.doctor.report import Report
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system import import_errors, native_threads


def main(module: str, function: str) -> NoReturn:
    """Run a check, print its report as a line of JSON, and exit."""
    out = os.dup(1)
    os.dup2(2, 1)  # keeps the output of libraries off standard output
    native_threads.configure()
    try:
        report = getattr(import_module(module), function)()
    except Exception as e:
        report = Report()
        if isinstance(e, ImportError):
            what, do = import_errors.cause_and_remedy(e)
        elif isinstance(e, GazeRosError):
            what, do = str(e), 'see the message'
        else:
            what = f'the check {function} failed: {type(e).__name__}: {e}'
            do = 'report this to the developers'
        report.add_error(what, do)
    os.write(out, json.dumps(report.as_dict()).encode() + b'\n')
    sys.stderr.flush()
    os._exit(0)  # skips the finalizers of libraries
