"""A Python interpreter in which some packages are missing or broken."""
import os
from pathlib import Path
import subprocess
import sys

from helpers.processes import python_path

#: sitecustomize.py: modules in $TEST_WITHOUT are not found, those in $TEST_BROKEN do not load.
_SITE = """
from importlib.machinery import PathFinder
import os

_gone = os.environ.get('TEST_WITHOUT', '').split(',')
_broken = os.environ.get('TEST_BROKEN', '').split(',')
_find = PathFinder.find_spec


def find_spec(name, path=None, target=None):
    top = name.partition('.')[0]
    if top in _gone:
        return None
    spec = _find(name, path, target)
    if top in _broken and spec is not None:
        def fail(module):
            raise ImportError('libnothing.so.1: cannot open shared object file: No such file or '
                              'directory', name=top)
        spec.loader.exec_module = fail
    return spec


PathFinder.find_spec = find_spec
"""


def environment_without(folder: Path, without: str = '', broken: str = '', **more: str) -> dict:
    """Return the environment variables of such an interpreter.

    :param folder: an empty folder for sitecustomize.py.
    :param without: modules that are not found, separated by commas.
    :param broken: modules that fail to load, separated by commas.
    """
    (folder / 'sitecustomize.py').write_text(_SITE)
    return {**os.environ, 'PYTHONPATH': python_path(folder), 'TEST_WITHOUT': without,
            'TEST_BROKEN': broken, **more}


def run_gaze_ros(env: dict, *words: str, cwd=None) -> subprocess.CompletedProcess:
    """Run the command line tool."""
    code = 'import sys; from gaze_ros.cli.main import main; sys.exit(main())'
    return subprocess.run([sys.executable, '-c', code, *map(str, words)], env=env, cwd=cwd,
                          text=True, capture_output=True, timeout=120)
