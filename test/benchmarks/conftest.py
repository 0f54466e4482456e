"""Run benchmarks as a developer does: from the checkout, with the installed gaze_ros."""
import os
import subprocess
import sys

from helpers.processes import python_path, ROOT
import pytest

# At the end: the checkout's gaze_ros must not hide the installed one.
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))


@pytest.fixture(scope='session')
def environment(tmp_path_factory):
    """Return the environment of ``python -m benchmarks`` in any folder."""
    folder = tmp_path_factory.mktemp('path')
    (folder / 'benchmarks').symlink_to(ROOT / 'benchmarks')
    return {**os.environ, 'PYTHONPATH': python_path(folder)}


@pytest.fixture
def start(environment, tmp_path):
    """Return a function that starts a verb in a folder outside of the checkout."""
    def start(*words, **more):
        return subprocess.Popen(
            [sys.executable, '-m', 'benchmarks', *map(str, words)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, cwd=tmp_path,
            env={**environment, **more})
    return start


@pytest.fixture
def run(start):
    """Return a function that runs a verb until it exits."""
    def run(*words, timeout=120, **more):
        process = start(*words, **more)
        try:
            out, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert 'Traceback' not in errors, errors
        return subprocess.CompletedProcess(words, process.returncode, out, errors)
    return run
