"""python -m benchmarks transport, as a developer runs it; no value is judged."""
import json

from benchmarks.transport import summary
from benchmarks.transport_worker import load_image
import cv2
import pytest


def test_transport(run, tmp_path):
    path = tmp_path / 'new' / 'transport.json'
    done = run('transport', '--sizes', '320x240', '--seconds', 1.5, '--rounds', 1,
               '--fps', 20, '--ways', 'ours,ours compressed,rclpy', '--json', path)
    assert done.returncode == 0, done.stderr
    result = json.loads(path.read_text())
    assert result['image'] == 'drawn: gradients and text' and 'drawn' in done.stdout
    assert [(one['where'], one['way']) for one in result['runs']] == [
        (layout, name) for layout in ('one process', 'two processes') for name in result['ways']]
    assert [*result['ways']] == ['ours', 'ours compressed', 'rclpy']
    for one in result['runs']:
        assert one['size'] == '320x240' and one['size'] in done.stdout
        # 20 are due; in half a second, each image more counts for two.
        assert 0 < one['sent_per_second'] <= 40
        assert one['received'] <= one['sent']
        assert one['received_share'] == one['received'] / one['sent']
        assert len(one['cpu_cores_of_rounds']) == 1 and one['cpu_cores'] > 0
        if one['received']:
            ages = one['latency_ms']
            assert 0 < ages['p50'] <= ages['p95'] <= ages['p99']
    # Small images on an idle machine: some arrive.
    assert all(one['received'] for one in result['runs'] if one['way'].startswith('ours'))


def test_rounds_are_pooled():
    pooled = summary([
        {'sent': 10, 'seconds': 1.0, 'latencies': [1.0] * 9, 'cpu': 0.2},
        {'sent': 30, 'seconds': 1.0, 'latencies': [3.0], 'cpu': 0.4}])
    assert (pooled['sent'], pooled['received'], pooled['received_share']) == (40, 10, 0.25)
    assert pooled['sent_per_second'] == 20
    assert pooled['latency_ms']['p50'] == 1.0 and pooled['latency_ms']['p99'] > 2.0
    assert pooled['cpu_cores'] == pytest.approx(0.3)
    assert pooled['cpu_cores_of_rounds'] == [0.2, 0.4]
    lost = summary([{'sent': 3, 'seconds': 1.0, 'latencies': [], 'cpu': 0.1}])
    assert lost['received_share'] == 0 and lost['latency_ms'] == {
        'p50': None, 'p95': None, 'p99': None}


def test_the_image_is_drawn_or_from_a_source():
    for source in ('', 'sample'):
        image = load_image(source, 320, 240)
        assert image.shape == (240, 320, 3) and image.dtype == 'uint8'
        # A JPEG of noise is as large as the image, one of a single colour is tiny.
        jpeg = cv2.imencode('.jpg', image)[1]
        assert 0.02 < jpeg.size / image.size < 0.3


@pytest.mark.parametrize('words,reason', [
    (['--sizes', '640x'], "'640x' is not WxH in pixels"),
    (['--sizes', '640x480,8x8'], "'8x8' is not WxH in pixels"),
    (['--ways', 'theirs'], "'theirs' is not one of: ours"),
    (['--seconds', 1], '1 is not in 1.5..3600'),
    (['--rounds', 0], '0 is not in 1..100')])
def test_wrong_usage(run, words, reason):
    done = run('transport', *words)
    assert done.returncode == 2 and reason in done.stderr.splitlines()[-1]


def test_an_unknown_source_is_reported_in_one_line(run):
    done = run('transport', '--source', 'nowhere.mp4')
    line, = [row for row in done.stderr.splitlines()
             if row.startswith('python -m benchmarks transport: ')]
    assert done.returncode == 1 and "source 'nowhere.mp4' is " in line
