"""Redacted URLs, and the logins of $NETRC."""
from gaze_ros.core.errors import SourceError
from gaze_ros.core.sources import open_source
from gaze_ros.core.system.urls import add_netrc_login, local_path, redact_url
from helpers.http_server import HttpServer, send_status
from hypothesis import given
from hypothesis import strategies as st
import pytest

NETRC = 'machine camera.lan login admin password s@c:r/et\nmachine 127.0.0.1 login a password b\n'


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    """Return a file that $NETRC names."""
    path = tmp_path / 'logins'
    path.write_text(NETRC + 'default login everybody password known\n')
    monkeypatch.setenv('NETRC', str(path))
    return path


@pytest.mark.parametrize('url,redacted', [
    ('rtsp://user:secret@a/x', 'rtsp://***@a/x'), ('rtsp:/user:secret@a/x', 'rtsp:/***@a/x'),
    ('rtsp://user:se@cr://et@a/x', 'rtsp://***@a/x'), ('user:secret@a/x', 'user:***@a/x'),
    ('rtsp://user:sec\nret@a', 'rtsp://***@a'),
    ('http://a/v.cgi?user=u&pwd=secret&x=1', 'http://a/v.cgi?user=***&pwd=***&x=1'),
    ('http://a/?Access_Token=s#f', 'http://a/?Access_Token=***#f'),
    ('http://a/b?c=1', 'http://a/b?c=1'), ('a@b.mp4', 'a@b.mp4'), ('/x/y', '/x/y')])
def test_secrets_of_a_url_are_redacted(url, redacted):
    assert redact_url(url) == redacted == redact_url(redacted)


@given(user=st.text(max_size=9), password=st.text(min_size=1, max_size=9),
       scheme=st.sampled_from(['rtsp', 'http', 'https', 'srt']))
def test_any_password_is_redacted(user, password, scheme):
    assert redact_url(f'{scheme}://{user}:{password}@host:1/x') == f'{scheme}://***@host:1/x'


@pytest.mark.parametrize('url,full', [
    ('rtsp://camera.lan:554/x', 'rtsp://admin:s%40c%3Ar%2Fet@camera.lan:554/x'),
    ('http://CAMERA.lan/x', 'http://admin:s%40c%3Ar%2Fet@CAMERA.lan/x'),
    ('rtsp://other.lan/x', 'rtsp://other.lan/x'),  # default is ignored
    ('rtsp://camera.lan.evil/x', 'rtsp://camera.lan.evil/x'),
    ('rtsp://evil/camera.lan', 'rtsp://evil/camera.lan'),
    ('rtsp://camera.lan@evil/x', 'rtsp://camera.lan@evil/x'),
    ('rtsp://other:own@camera.lan/x', 'rtsp://other:own@camera.lan/x'),
    ('rtsp://[broken', 'rtsp://[broken'), ('clip.mp4', 'clip.mp4')])
def test_login_is_added_for_its_host_only(netrc, url, full):
    assert add_netrc_login(url) == full


@pytest.mark.parametrize('content', [b'machine a nonsense secret', b'secret\n', b'\xff\xfe', None])
def test_invalid_netrc_error_does_not_quote_the_file(netrc, content):
    netrc.unlink() if content is None else netrc.write_bytes(content)
    with pytest.raises(SourceError, match='NETRC .*logins. is not a valid netrc file') as e:
        add_netrc_login('rtsp://camera.lan/x')
    assert 'secret' not in str(e.value)


def test_login_reaches_the_camera_and_is_never_printed(netrc, capfd):
    seen = []

    def answer(request):
        seen.append(request.headers['Authorization'])
        send_status(401, WWW_Authenticate='Basic realm="x"')(request)

    with HttpServer(answer) as server:
        with pytest.raises(SourceError, match='cannot be opened') as e:
            open_source(f'{server.url}/x.mp4')
    assert 'Basic YTpi' in seen  # a:b
    out, err = capfd.readouterr()
    for text in (str(e.value), out, err):
        assert 'a:b' not in text and 'YTpi' not in text


@pytest.mark.parametrize(('text', 'path'), [
    ('/a/b.mp4', '/a/b.mp4'), ('b%20c.mp4', 'b%20c.mp4'), ('file:///a/b%20c.mp4', '/a/b c.mp4'),
    ('file://localhost/a/b.mp4', '/a/b.mp4'), ('FILE:///a/b.mp4', '/a/b.mp4'),
    ('file:/a/b.mp4', '/a/b.mp4'), ('file:///a/50%25#2?.mp4', '/a/50%#2?.mp4'),
    ('file:///caf%C3%A9', '/café'), ('file:///caf%E9', '/caf\udce9'),
    ('file://b.mp4', 'b.mp4'), ('file:b.mp4', 'file:b.mp4'), ('localhost/b', 'localhost/b')])
def test_path_of_a_text(text, path):
    assert str(local_path(text)) == path
