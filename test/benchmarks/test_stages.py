"""python -m benchmarks stages, as a developer runs it; no value is judged."""
import json

import pytest


def stages_consistent(stages: dict) -> None:
    for name, one in stages.items():
        left = one['came'] - one['done'] - sum(one['dropped'].values())
        # At the marks, one image is in work and others are queued.
        assert abs(left) <= 6, (name, one)


def test_stages_faster_than_the_camera(run):
    done = run('stages', '--camera-ms', 50, '--inference-ms', 10, '--display-ms', 5,
               '--seconds', 2, '--json')
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result['machine']['cpu'] in done.stderr
    assert (result['slowest_stage'], result['slowest_per_second']) == ('camera', 20.0)
    stages_consistent(result['stages'])
    for name, sum_ms in (('result', 10), ('displayed', 15)):
        ages = result[f'latency_{name}_ms']
        assert ages['stages'] == sum_ms <= ages['p50'] <= ages['p95']
        assert ages['more'] == pytest.approx(ages['p50'] - sum_ms)
    assert 0 < result['displayed_per_second'] < 40  # of 20; unpaced: 100
    assert result['displayed_share'] == pytest.approx(result['displayed_per_second'] / 20)


def test_stages_slower_than_the_camera_drop_images(run, tmp_path):
    path = tmp_path / 'stages.json'
    done = run('stages', '--camera-ms', 0, '--inference-ms', 40, '--display-ms', 100,
               '--seconds', 2, '--json', path)
    assert done.returncode == 0, done.stderr
    assert 'slowest stage: display, 10.00 images per second' in done.stdout
    result = json.loads(path.read_text())
    stages_consistent(result['stages'])
    assert result['stages']['inference']['dropped']['newer'] > 0
    assert result['stages']['window']['dropped']['newer'] > 0
    assert result['stages']['camera']['done'] > result['stages']['inference']['done']
    assert result['computed_per_second'] > result['displayed_per_second']


@pytest.mark.parametrize('words,reason', [
    (['--inference-ms', -1], '-1 is not in 0..10000'),
    (['--seconds', 'long'], "invalid float value: 'long'")])
def test_wrong_usage(run, words, reason):
    done = run('stages', *words)
    assert done.returncode == 2 and reason in done.stderr.splitlines()[-1]


def test_an_unwritable_file_is_reported_in_one_line(run):
    done = run('stages', '--json', '/proc/none/x.json')
    line, = [row for row in done.stderr.splitlines()
             if row.startswith('python -m benchmarks stages: ')]
    assert done.returncode == 1 and "'/proc/none/x.json' cannot be written" in line
