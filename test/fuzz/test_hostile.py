"""Malicious files give an error in one line: no code of theirs runs, nothing hangs."""
import json
from pathlib import Path
import subprocess
import sys

import pytest

#: Maximum CPU seconds and megabytes of a refusal; some import a package first.
MAX_SECONDS, MAX_MEGABYTES = 5.0, 200


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    for package in ('torch', 'onnx', 'openvino', 'onnxruntime', 'mediapipe', 'rosbags'):
        pytest.importorskip(package)
    if not Path('/proc/self/clear_refs').exists():
        pytest.skip('needs /proc')
    folder = tmp_path_factory.mktemp('hostile')
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name('hostile.py')), str(folder)], text=True,
        capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (folder / 'ran').exists()
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_malicious_file_is_refused_in_one_line_with_its_name(results):
    assert len(results[0]) > 195
    wrong = [one for one in results[0] if not one['error'] or '\n' in one['error']
             or 'UNEXPECTED' in one['error'] or len(one['error']) > 1000
             or 'hostile' not in one['error']]  # a part of the path
    assert wrong == []


def test_refusal_is_quick_and_needs_little_memory(results):
    assert [one for one in results[0]
            if one['seconds'] > MAX_SECONDS or one['megabytes'] > MAX_MEGABYTES] == []


def test_libraries_print_nothing(results):
    assert results[1] == ''


def test_error_names_the_parameter(results):
    detectors = [one for one in results[0] if one['name'].split()[0] in (
        'yunet', 'retinaface', 'intel', 'bundle')]
    assert detectors and all('detector_weight' in one['error'] for one in detectors)
