"""The process of one check."""
from importlib import import_module
import json
import os
import sys
from typing import NoReturn

from gaze_ros.core.doctor.report import Report
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system import import_errors, native_threads


def main(module: str, function: str) -> NoReturn:
    """Run a check, print its findings as a line of JSON, and end the process."""
    out = os.dup(1)
    os.dup2(2, 1)  # what libraries print is not to come between
    native_threads.configure()
    try:
        findings = getattr(import_module(module), function)()
    except Exception as e:
        findings = Report()
        if isinstance(e, ImportError):
            what, do = import_errors.cause_and_remedy(e)
        elif isinstance(e, GazeRosError):
            what, do = str(e), 'as it says'
        else:
            what = f'{function} could not be looked at: {type(e).__name__}: {e}'
            do = 'tell the developers'
        findings.add_error(what, do)
    os.write(out, json.dumps(findings.as_dict()).encode() + b'\n')
    sys.stderr.flush()
    os._exit(0)  # finalisers of libraries have nothing to say here
