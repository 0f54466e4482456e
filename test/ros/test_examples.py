"""Each program of examples/ beside the pipeline on the built-in sample."""
from contextlib import contextmanager
import csv
import math
import signal
import subprocess
import sys

from helpers.processes import ROOT, running, wait_until
import numpy as np
import pytest

EXAMPLES = ROOT / 'examples'


@pytest.fixture(scope='module', autouse=True)
def pipeline(ros):
    pytest.importorskip('skimage')
    with running('pipeline', 'source:=sample') as one:
        yield one


@contextmanager
def example(name, folder, *arguments):
    """Run an example; yield a function that returns what it has printed."""
    output = folder / 'output'
    with open(output, 'w') as file:
        process = subprocess.Popen([sys.executable, str(EXAMPLES / f'{name}.py'), *arguments],
                                   cwd=folder, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield output.read_text
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, output.read_text()
    finally:
        process.kill()
        process.wait()


def test_programs_are_short():
    for path in EXAMPLES.glob('*.py'):
        assert 20 <= len(path.read_text().splitlines()) <= 60, path


@pytest.mark.parametrize(('name', 'line'), [
    ('print_gaze', 'f1 at 0.'), ('react_to_attention', 'f1'),
    ('objects_on_table', 'f1 looks at')])
def test_example_prints(name, line, tmp_path):
    with example(name, tmp_path) as printed:
        wait_until(lambda: line in printed(), 60, f'{line} of {name}')
    assert 'Traceback' not in printed()


def test_log_to_csv_has_a_row_for_each_gaze(tmp_path):
    path = tmp_path / 'log.csv'
    with example('log_to_csv', tmp_path, str(path)):
        wait_until(lambda: path.exists() and len(path.read_text().splitlines()) > 5, 60, 'rows')
    with open(path, newline='') as file:
        rows = [*csv.DictReader(file)]
    assert {row['track_id'] for row in rows} == {'f1'}
    stamps = [float(row['stamp_s']) for row in rows]
    assert stamps == sorted(set(stamps))
    assert all(abs(float(row['yaw_rad'])) < 1.6 and 0.2 < float(row['z_m']) < 3 for row in rows)


def test_object_on_the_table_is_the_one_on_the_ray(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import objects_on_table as example
    eyes = np.array([0.0, 0.0, 0.8])
    for name, center in example.OBJECTS.items():
        direction = (np.array(center) - eyes) / np.linalg.norm(np.array(center) - eyes)
        fits = example.looked_at(eyes, direction, math.radians(6))
        assert max(fits, key=fits.get) == name and 0.7 < fits[name] < 1
    assert max(example.looked_at(eyes, np.array([0.0, -1.0, 0.0]), math.radians(6)).values()) < 0.1
