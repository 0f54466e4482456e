"""The package benchmarks: its command line, and that gaze_ros does not depend on it."""
import ast
from pathlib import Path
import subprocess
import sys

from benchmarks.__main__ import VERBS
import gaze_ros
from helpers.processes import ROOT
import pytest


@pytest.mark.parametrize('verb', VERBS)
def test_every_verb_has_help(run, verb):
    done = run(verb, '--help')
    assert done.returncode == 0 and f'usage: python -m benchmarks {verb}' in done.stdout


def test_help_lists_the_verbs(run):
    done = run('--help')
    assert done.returncode == 0 and all(f'    {verb}' in done.stdout for verb in VERBS)
    assert run('fast').returncode == run().returncode == 2


def test_matrix_and_audit_need_no_gaze_ros():
    """``make audit`` and ``make matrix`` run them in an environment without it."""
    code = ("import sys; sys.modules['gaze_ros'] = None; sys.argv[1:] = [{!r}, '--help']; "
            'import benchmarks.__main__ as b; b.main()')
    for verb in ('matrix', 'audit'):
        done = subprocess.run([sys.executable, '-c', code.format(verb)], cwd=ROOT,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and 'usage' in done.stdout, done.stderr


def names_in(path: Path):
    """Yield the modules that a file imports, and its texts."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ''
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_gaze_ros_does_not_import_benchmarks():
    paths = [*Path(gaze_ros.__file__).parent.rglob('*.py')]
    assert len(paths) > 100
    for path in paths:
        found = [n for n in names_in(path) if n == 'benchmarks' or n.startswith('benchmarks.')]
        assert not found, path
