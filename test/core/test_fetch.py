from base64 import b64decode
import errno
import hashlib
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time
from urllib.error import URLError
from urllib.parse import urlsplit

from gaze_ros.core.errors import ModelError
from gaze_ros.core.model_zoo import download as downloading
from gaze_ros.core.model_zoo import fetch as fetching
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.model_zoo.download import check_redirect, download, make_opener
from gaze_ros.core.model_zoo.fetch import fetch, fetchable
from gaze_ros.core.model_zoo.manifest import Generation, load, load_redirects, Model, ModelFile
from helpers.http_server import HttpServer, send_all, send_range, send_status, send_without_length
import pytest
import yaml

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(downloading, 'PAUSE', 0.01)
    monkeypatch.setattr(downloading, 'TIMEOUT', 20.0)
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.delenv('GAZE_ROS_MODELS', raising=False)


@pytest.fixture
def impatient(quick, monkeypatch):
    """Time out soon: only for servers that stall on purpose."""
    monkeypatch.setattr(downloading, 'TIMEOUT', 0.5)


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'new' / 'm.onnx'


def part(target: Path) -> Path:
    return target.with_name('m.onnx.part')


def get(server: HttpServer, target: Path, **kwargs) -> None:
    download(f'{server.url}/m.onnx', target, kwargs.pop('digests', [DIGEST]),
             kwargs.pop('size', len(CONTENT)), **kwargs)


def refused(server: HttpServer, target: Path, **kwargs) -> str:
    with pytest.raises(ModelError) as e:
        get(server, target, **kwargs)
    assert not target.exists()
    assert '\n' not in str(e.value)
    return str(e.value)


@pytest.mark.parametrize(
    'answer',
    [
        send_all(CONTENT),
        send_range(CONTENT),
        send_without_length(CONTENT),
        send_range(CONTENT, pause=0.1),
    ],
    ids=['whole', 'ranged', 'of unknown length', 'slow'],
)
@pytest.mark.parametrize('size', [len(CONTENT), None])
def test_file_is_downloaded_completely(target, answer, size):
    with HttpServer(answer) as server:
        get(server, target, size=size)
        assert server.requests == [('/m.onnx', '')]
    assert target.read_bytes() == CONTENT
    assert os.listdir(target.parent) == ['m.onnx']


def test_sha384_digest_is_accepted(target):
    with HttpServer(send_all(CONTENT)) as server:
        get(server, target, digests=['0' * 64, hashlib.sha384(CONTENT).hexdigest()])
    assert target.read_bytes() == CONTENT


def test_interrupted_transfer_is_resumed(target):
    with HttpServer(send_range(CONTENT, until=HALF), send_range(CONTENT, until=HALF + 100),
                    send_range(CONTENT)) as server:
        get(server, target)
        assert [a[1] for a in server.requests] == ['', f'bytes={HALF}-', f'bytes={HALF + 100}-']
    assert target.read_bytes() == CONTENT


def test_partial_download_is_kept_for_the_next_call(target):
    with HttpServer(send_range(CONTENT, until=HALF)) as server:
        error = refused(server, target)
        assert len(server.requests) == downloading.ATTEMPTS
        assert f'{HALF} bytes are kept' in error and 'the next fetch resumes there' in error
        assert part(target).read_bytes() == CONTENT[:HALF]
        server.answers = [send_range(CONTENT)]
        get(server, target)
        assert server.requests[-1][1] == f'bytes={HALF}-'
    assert target.read_bytes() == CONTENT
    assert not part(target).exists()


@pytest.mark.usefixtures('impatient')
def test_stalled_transfer_is_retried(target):
    stall = threading.Event()
    with HttpServer(send_range(CONTENT, until=HALF, stall=stall), send_range(CONTENT)) as server:
        start = time.monotonic()
        get(server, target)
        assert time.monotonic() - start < 25  # the server stalls for 30 s
        stall.set()
    assert target.read_bytes() == CONTENT


@pytest.mark.usefixtures('impatient')
def test_server_timeout_is_reported(target):
    stall = threading.Event()
    with HttpServer(lambda request: stall.wait(30)) as server:
        assert 'timed out' in refused(server, target)
        stall.set()
    assert not part(target).exists()


@pytest.mark.parametrize('answer', [
    send_all(CONTENT),
    lambda request: (send_range(CONTENT) if request.headers['Range'] is None else send_status(
        206, Content_Range=f'bytes 0-9/{len(CONTENT)}'))(request),
], ids=['ignores the range', 'sends another range'])
def test_download_restarts_if_server_cannot_resume(target, answer):
    target.parent.mkdir()
    part(target).write_bytes(b'x' * HALF)
    with HttpServer(answer) as server:
        get(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize('start', [b'x' * HALF, CONTENT + b'more', b'x' * len(CONTENT)])
def test_partial_download_of_another_file_is_replaced(target, start):
    target.parent.mkdir()
    part(target).write_bytes(start)
    with HttpServer(send_range(CONTENT)) as server:
        get(server, target)
    assert target.read_bytes() == CONTENT


def test_complete_part_file_is_not_downloaded_again(target):
    target.parent.mkdir()
    part(target).write_bytes(CONTENT)
    with HttpServer(send_status(500)) as server:
        get(server, target)
        assert not server.requests
    assert target.read_bytes() == CONTENT


def test_file_with_wrong_digest_is_reported_and_removed(target):
    other = bytes(len(CONTENT))
    with HttpServer(send_all(other)) as server:
        error = refused(server, target)
    assert DIGEST in error and hashlib.sha256(other).hexdigest() in error and server.url in error
    assert os.listdir(target.parent) == []


def test_existing_file_stays_if_download_is_wrong(target):
    target.parent.mkdir()
    target.write_bytes(b'precious')
    with HttpServer(send_all(b'wrong')) as server, pytest.raises(ModelError):
        get(server, target)
    assert target.read_bytes() == b'precious'


@pytest.mark.parametrize(
    'answer', [send_all(CONTENT + b'more'), send_without_length(CONTENT + b'more')])
def test_file_above_its_expected_size_is_rejected(target, answer, monkeypatch):
    with HttpServer(answer) as server:
        assert f'{len(CONTENT)} bytes were expected' in refused(server, target)
        monkeypatch.setattr(downloading, 'LIMIT', HALF)
        assert f'at most {HALF} are allowed' in refused(server, target, size=None)
    assert os.listdir(target.parent) == []


@pytest.mark.parametrize('code,reason,tries', [
    (404, 'HTTP 404 Not Found', 1), (403, 'HTTP 403 Forbidden', 1),
    (503, 'was interrupted 4 times (HTTP 503', downloading.ATTEMPTS)])
def test_http_error_is_reported(target, code, reason, tries):
    with HttpServer(send_status(code)) as server:
        assert reason in refused(server, target)
        assert len(server.requests) == tries
        assert os.listdir(target.parent) == []
        server.answers = [send_status(503), send_all(CONTENT)]
        get(server, target)


def test_redirect_is_followed_and_keeps_the_range(target):
    target.parent.mkdir()
    part(target).write_bytes(CONTENT[:HALF])
    with HttpServer(send_status(302, Location='/moved'), send_range(CONTENT)) as server:
        get(server, target)
        assert server.requests == [('/m.onnx', f'bytes={HALF}-'), ('/moved', f'bytes={HALF}-')]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize('location', ['/m.onnx', '/m.onnx?x={n}'])
def test_endless_redirects_are_refused(target, location):
    def answer(request):
        send_status(302, Location=location.format(n=len(server.requests)))(request)

    with HttpServer(answer) as server:
        assert 'redirect' in refused(server, target)
        assert len(server.requests) < 10


@pytest.mark.parametrize('url,to,good', [
    ('https://a/x', 'https://b/x', True), ('http://a/x', 'http://b/x', True),
    ('http://a/x', 'https://b/x', True), ('https://a/x', 'http://b/x', False),
    ('https://a/x', 'ftp://b/x', False), ('http://a/x', 'file:///etc/passwd', False)])
def test_redirect_from_https_to_another_scheme_is_refused(url, to, good):
    if good:
        check_redirect(url, to, ['b'])
    else:
        with pytest.raises(ModelError, match='refused, it is not https'):
            check_redirect(url, to, ['b'])


@pytest.mark.parametrize('to,good', [
    ('https://a/y', True), ('https://a:8443/y', True), ('https://A/y', True),
    ('https://b/y', False), ('https://a.b/y', False), ('https://a@b/y', False),
    ('https://release-assets.githubusercontent.com/y', False), ('https://', False)])
def test_redirect_to_another_host_is_refused(to, good):
    if good:
        check_redirect('https://a/x', to)
        return
    with pytest.raises(ModelError, match=r'refused, allowed hosts are a \('):
        check_redirect('https://a/x', to)
    with pytest.raises(ModelError, match=r'refused, allowed hosts are a, c \('):
        check_redirect('https://a/x', to, ['c'])


def test_manifest_redirects_belong_to_its_hosts(tmp_path):
    hosts = {urlsplit(f.url).hostname for m in registry.manifest() for f in m.files if f.url}
    allowed = registry.redirects()
    assert allowed.keys() <= hosts and all(allowed.values())
    release = next(f.url for m in registry.manifest() for f in m.files if 'github.com' in f.url)
    check_redirect(release, 'https://release-assets.githubusercontent.com/x?sig=y',
                   allowed['github.com'])
    for wrong in ('redirects: 1', 'redirects: {a: b}', 'redirects: {a: [1]}',
                  'redirects: {a: ["https://b"]}', '[]'):
        (tmp_path / 'm.yaml').write_text(wrong)
        with pytest.raises(ModelError, match='redirects'):
            load_redirects(tmp_path / 'm.yaml')


def test_refused_redirect_does_not_reveal_its_query(target):
    with HttpServer(send_status(302, Location='http://localhost:1/x?token=secret')) as server:
        error = refused(server, target)
    assert "'http://localhost': refused, allowed hosts are 127.0.0.1 (" in error
    assert 'secret' not in error and not part(target).exists()


@pytest.mark.parametrize('url', ['file:///etc/hostname', 'ftp://127.0.0.1/x', 'data:,x'])
def test_only_http_and_https_are_opened(url):
    with pytest.raises(URLError, match='unknown url type'):
        make_opener(()).open(url)


def test_login_is_sent_to_its_host_only_and_never_shown(target):
    seen = []

    def answer(request):
        seen.append(request.headers['Authorization'])
        send_status(302, Location='/moved')(request) if len(seen) == 1 else send_status(403)(
            request
        )

    with HttpServer(answer) as server:
        url = server.url.replace('://', '://me:s%40cret@')
        with pytest.raises(ModelError, match='403') as e:
            download(f'{url}/m.onnx?key=hidden', target, [DIGEST])
    assert b64decode(seen[0].split()[1]) == b'me:s@cret' and seen[1:] == [None]
    error = str(e.value).split("'")[1]
    assert not [w for w in ('me', 's%40cret', 's@cret', 'hidden') if w in error]
    with pytest.raises(ModelError, match='cannot be reached') as e:
        download(f'{url}/m.onnx', target, [DIGEST])
    assert 'cret' not in str(e.value)


def test_symlink_at_the_part_file_is_not_followed(target, tmp_path):
    target.parent.mkdir()
    (tmp_path / 'precious').write_bytes(b'precious')
    part(target).symlink_to(tmp_path / 'precious')
    with HttpServer(send_all(CONTENT)) as server:
        assert 'it is a symlink' in refused(server, target)
        part(target).unlink()
        target.symlink_to(tmp_path / 'precious')
        get(server, target)
        assert not target.is_symlink() and target.read_bytes() == CONTENT
        target.unlink()
        os.mkfifo(part(target))
        assert 'it is not a regular file' in refused(server, target)
    assert (tmp_path / 'precious').read_bytes() == b'precious'


@pytest.mark.parametrize('address,why', [
    ('file:///etc', 'is not an https URL'), ('ftp://a/b', 'is not an https URL'),
    ('HTTPS', 'is not an https URL'), ('https://', 'is not a URL'),
    ('https://[::1/x', 'is not a URL'), ('https://a:port/x', 'is not a URL'),
    ('https://a:99999/x', 'is not a URL'), ('https://a b/x', 'is not a URL'),
    ('https://a/\r\nHost: b', 'is not a URL'), ('https://a/b?c=d', 'not the URL of a folder'),
    ('https://a/b#c', 'not the URL of a folder'), ('http://example.org/x', 'is not https'),
    ('http://8.8.8.8/x', 'is not https'), ('http://127.0.0.1.example.org/', 'is not https'),
    ('https://me:secret@[x/', 'is not a URL'), ('ftp://me:secret@a/', 'is not an https URL'),
    ('https://me:secret:x@a:b/', 'is not a URL'), ('http://me:secret@a/', 'is not https')])
def test_invalid_mirror_url_is_refused_without_its_password(mirror, monkeypatch, address, why):
    monkeypatch.setenv('GAZE_ROS_MODELS_URL', address)
    with pytest.raises(ModelError, match=f'GAZE_ROS_MODELS_URL.*{why}') as e:
        fetch(model(file('m.onnx', CONTENT)))
    assert 'secret' not in str(e.value) and not mirror.requests


@pytest.mark.parametrize('address', ['http://localhost', 'http://10.0.0.7:8000/m',
                                     'http://[fd00::1]/m', 'https://me:secret@example.org/m/'])
def test_mirror_by_https_or_on_a_private_address_is_accepted(monkeypatch, address):
    monkeypatch.setenv('GAZE_ROS_MODELS_URL', address)
    assert fetching._download_url(file('m.onnx')) == address.rstrip('/') + '/m.onnx'
    assert fetching._redirect_hosts(file('m.onnx')) == ()


@pytest.mark.parametrize('name', ['..', '.', '', 'a/b', '/etc/passwd', 'a\0b', '-rf', '.x', 'a\nb',
                                  'a' * 200, 'a\\b', '~a'])
def test_manifest_name_that_leaves_the_cache_is_refused(tmp_path, name):
    entry = {'name': 'm', 'kind': 'part', 'needs_weight': True, 'licence': 'x',
             'may_be_shipped': True, 'source': 'x'}
    for wrong, why in (({'name': name}, 'a name has no folders'),
                       ({'name': 'a', 'package': 'os.path', 'inside': 'x'}, 'is not the name'),
                       ({'name': 'a', 'package': 'p', 'inside': '../x'}, 'leads out'),
                       ({'name': 'a', 'package': 'p', 'inside': '/etc/passwd'}, 'leads out'),
                       ({'name': 'a', 'url': 'http://a/a'}, 'is not https')):
        (tmp_path / 'm.yaml').write_text(yaml.safe_dump(
            {'models': [{**entry, 'files': [wrong]}]}))
        with pytest.raises(ModelError, match=why):
            load(tmp_path / 'm.yaml')


@pytest.mark.parametrize('to', ['file:///etc/hostname', 'ftp://127.0.0.1/x'])
def test_redirect_to_file_or_ftp_is_refused(target, to):
    with HttpServer(send_status(302, Location=to)) as server:
        refused(server, target)
    assert os.listdir(target.parent) == []


def test_unreachable_server_is_reported_at_once(target):
    with HttpServer(send_all(CONTENT)) as server:
        pass
    assert 'cannot be reached' in refused(server, target)


def test_full_disk_is_reported_and_part_file_removed(target):
    target.parent.mkdir()
    size = f'size={HALF}'
    if os.getuid() or subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', size, 'tmpfs', target.parent]).returncode:
        pytest.skip('mounting a small disk needs root')
    try:
        with HttpServer(send_range(CONTENT)) as server:
            assert 'the disk is full' in refused(server, target)
        assert os.listdir(target.parent) == []
    finally:
        subprocess.run(['umount', target.parent], check=True)


def test_failed_write_is_reported_and_leaves_no_file(target):
    code = f"""
import resource, sys
from pathlib import Path
from gaze_ros.core.errors import ModelError
from gaze_ros.core.model_zoo.download import download
resource.setrlimit(resource.RLIMIT_FSIZE, ({HALF}, {HALF}))
try:
    download(sys.argv[1], Path(sys.argv[2]), ['{DIGEST}'])
except ModelError as e:
    print(e)
"""
    with HttpServer(send_range(CONTENT)) as server:
        done = subprocess.run([sys.executable, '-c', code, server.url, target],
                              capture_output=True, text=True, timeout=60)
    assert os.strerror(errno.EFBIG) in done.stdout, done.stderr
    assert os.listdir(target.parent) == []


def test_unwritable_folder_is_reported(tmp_path):
    (tmp_path / 'file').touch()
    with HttpServer(send_all(CONTENT)) as server:
        assert 'cannot be written' in refused(server, tmp_path / 'file' / 'm.onnx')


def test_killed_download_leaves_only_the_part_file_and_is_resumed(target):
    code = ('import sys; from pathlib import Path;'
            'from gaze_ros.core.model_zoo.download import download;'
            f"download(sys.argv[1], Path(sys.argv[2]), ['{DIGEST}'])")
    stall = threading.Event()
    with HttpServer(send_range(CONTENT, until=HALF, stall=stall), send_range(CONTENT)) as server:
        process = subprocess.Popen([sys.executable, '-c', code, server.url, target])
        end = time.monotonic() + 30
        while not (part(target).exists() and part(target).stat().st_size == HALF):
            assert time.monotonic() < end and process.poll() is None
            assert not target.exists()
            time.sleep(0.01)
        assert 'is another fetch running?' in refused(server, target)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        stall.set()
        assert os.listdir(target.parent) == ['m.onnx.part']
        get(server, target)
        assert server.requests[-1][1] == f'bytes={HALF}-'
    assert target.read_bytes() == CONTENT


def file(name: str, *contents: bytes, **more) -> ModelFile:
    digests = {hashlib.sha256(c).hexdigest(): Generation('first') for c in contents}
    return ModelFile(name, url=f'https://example.org/{name}', digests=digests, **more)


def model(*files: ModelFile, **more) -> Model:
    return Model(**{
        'name': 'm', 'kind': 'gaze', 'needs_weight': True, 'licence': 'the licence',
        'may_be_shipped': True, 'source': 'its authors', 'files': files, **more})


@pytest.fixture
def mirror(monkeypatch):
    with HttpServer(send_all(CONTENT)) as server:
        monkeypatch.setenv('GAZE_ROS_MODELS_URL', f'{server.url}/models/')
        yield server


def test_fetched_model_is_found_in_the_cache(mirror, monkeypatch):
    wanted = model(file('m.onnx', CONTENT))
    monkeypatch.setattr(registry, 'manifest', lambda: (wanted,))
    path = fetch(wanted)
    assert path == store.cache_folder() / 'm.onnx' == store.locate('m')
    assert mirror.requests == [('/models/m.onnx', '')]


def test_openvino_ir_is_fetched_as_bin_then_xml(mirror):
    mirror.answers = [send_all(b'weights'), send_all(b'<net/>')]
    path = fetch(model(file('m.xml', b'<net/>', bin=file('m.bin', b'weights'))))
    assert [a[0] for a in mirror.requests] == ['/models/m.bin', '/models/m.xml']
    assert path.name == 'm.xml' and path.with_suffix('.bin').read_bytes() == b'weights'


def test_next_file_is_tried_after_http_404(mirror):
    mirror.answers = [send_status(404), send_all(CONTENT)]
    assert fetch(model(file('a.onnx', b'a'), file('b.onnx', CONTENT))).name == 'b.onnx'
    mirror.answers = [send_status(404)]
    with pytest.raises(ModelError, match='HTTP 404 Not Found; get it by hand .its authors'):
        fetch(model(file('c.onnx', CONTENT)))


def test_restricted_weights_need_accept_license(mirror):
    wanted = model(file('m.onnx', CONTENT), may_be_shipped=False)
    with pytest.raises(ModelError, match='the licence.*its authors.*--accept-license'):
        fetch(wanted)
    assert not mirror.requests and not store.cache_folder().exists()
    assert fetch(wanted, accept_license=True).is_file()


def test_file_without_known_digest_needs_sha256(mirror):
    wanted = model(file('m.pt'))
    assert not fetchable(wanted)
    with pytest.raises(ModelError, match='cannot be verified: give the .*--sha256 DIGEST'):
        fetch(wanted)
    assert not mirror.requests
    assert fetch(wanted, sha256=DIGEST).name == 'm.pt'
    with pytest.raises(ModelError, match='is not the file known as m.pt'):
        fetch(wanted, sha256='0' * 64)
    with pytest.raises(ModelError, match="the digests of 'm.onnx' are known.*leave out --sha256"):
        fetch(model(file('m.onnx', CONTENT)), sha256=DIGEST)


def test_file_with_known_digest_is_preferred_and_suffixes_filter(mirror):
    wanted = model(file('m.pt'), file('m.onnx', CONTENT))
    assert fetch(wanted).name == 'm.onnx'
    assert fetch(wanted, sha256=DIGEST).name == 'm.pt'
    with pytest.raises(ModelError, match="no sha256 of 'm.pt' is known"):
        fetch(wanted, ('.pt',))


@pytest.mark.parametrize('wanted,reason', [
    (model(), "no URL of a file of 'm' is known: get it by hand .its authors"),
    (model(ModelFile('m.pkl')), 'no URL'),
    (model(needs_weight=False), "'m' is not fetched: its authors; pip install"),
])
def test_model_without_url_error_names_the_source(mirror, wanted, reason):
    with pytest.raises(ModelError, match=reason):
        fetch(wanted)


def test_offline_error_lists_the_searched_folders(mirror, monkeypatch, tmp_path):
    with HttpServer(send_all(b'')) as unreachable:
        pass
    monkeypatch.setenv('GAZE_ROS_MODELS', str(tmp_path / 'mine'))
    monkeypatch.setenv('GAZE_ROS_MODELS_URL', unreachable.url)
    with pytest.raises(ModelError) as e:
        fetch(model(file('m.onnx', CONTENT)))
    error = str(e.value)
    for part in (unreachable.url.removeprefix('http://'), str(tmp_path / 'mine'), 'its authors',
                 str(store.cache_folder()), 'cannot be reached', 'GAZE_ROS_MODELS_URL'):
        assert part in error
    assert '\n' not in error
    monkeypatch.setenv('GAZE_ROS_MODELS_URL', 'file:///etc')
    with pytest.raises(ModelError, match="GAZE_ROS_MODELS_URL 'file:///etc' is not an https URL"):
        fetch(model(file('m.onnx', CONTENT)))
