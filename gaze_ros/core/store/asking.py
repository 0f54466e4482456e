"""What a download asks for, and where it may be sent on to."""
from base64 import b64encode
from collections.abc import Collection
from urllib.parse import unquote, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from gaze_ros.core.errors import ModelError
from gaze_ros.core.urls import without_password

_REDIRECTS = 5


class _Redirects(HTTPRedirectHandler):
    """Follows a few redirects, within :func:`check_redirect`."""

    max_redirections = _REDIRECTS
    max_repeats = 2

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = hosts

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """Return the request that follows a redirect; it has no login."""
        check_redirect(req.full_url, newurl, self._hosts)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_redirect(url: str, target: str, hosts: Collection[str] = ()) -> None:
    """Refuse a redirect that leaves https, or the hosts that are allowed.

    :param hosts: that it may lead to beside the url's own.
    :raises ModelError: if so.
    """
    here, there = urlsplit(url), urlsplit(target)
    # Its query may hold what lets one in.
    refused = f"'{told(url)}' redirects to '{there.scheme}://{there.hostname}': refused, "
    if there.scheme != 'https' and (there.scheme, here.scheme) != ('http', 'http'):
        raise ModelError(f'{refused}it is not https')
    if there.hostname != here.hostname and there.hostname not in hosts:
        allowed = ', '.join(dict.fromkeys([str(here.hostname), *hosts]))
        raise ModelError(f'{refused}only {allowed} may have the file (weights/manifest.yaml)')


def request(url: str, start: int = 0) -> Request:
    """Return the request for what a file has from byte start on."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition('@')
    asked = Request(parts._replace(netloc=host).geturl(), headers={  # noqa: S310, see opener
        'User-Agent': 'gaze_ros', **({'Range': f'bytes={start}-'} if start else {})})
    if login:  # for this host alone: it goes with no redirect
        asked.add_unredirected_header(
            'Authorization', 'Basic ' + b64encode(unquote(login).encode()).decode())
    return asked


def opener(hosts: Collection[str]) -> OpenerDirector:
    """Return what opens https and http, by the environment's proxies, and no file or ftp."""
    director = OpenerDirector()
    for handler in (ProxyHandler(), UnknownHandler(), HTTPHandler(), HTTPSHandler(),
                    HTTPDefaultErrorHandler(), HTTPErrorProcessor(), _Redirects(hosts)):
        director.add_handler(handler)
    return director


def told(url: str) -> str:
    """Return a URL for a message: without a login, and the query that may be one."""
    return without_password(url).partition('?')[0]
