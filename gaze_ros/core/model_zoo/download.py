"""One file over https: resumed, bounded, verified, and whole under its name or not there."""
from base64 import b64encode
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
import errno
import fcntl
from http.client import HTTPException, HTTPResponse
import os
from pathlib import Path
import re
import stat
import time
from typing import BinaryIO, Optional
from urllib.error import HTTPError, URLError
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
from gaze_ros.core.model_zoo.manifest import compute_digest, digest_mismatch
from gaze_ros.core.system.safe_files import MAX_WEIGHTS_BYTES
from gaze_ros.core.system.urls import redact_url
from tqdm import tqdm

#: Seconds without a byte, for connecting too.
TIMEOUT = 30.0
#: How often a transfer that breaks off is taken up, and the seconds in between.
ATTEMPTS = 4
PAUSE = 2.0
#: Bytes at most of a file whose size is not known.
LIMIT = MAX_WEIGHTS_BYTES

_CHUNK = 1 << 16
_FULL = (errno.ENOSPC, errno.EDQUOT)
# No link is followed out of the cache, and no pipe waited for.
_CAREFUL = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class UnreachableError(ModelError):
    """The server cannot be reached at all."""


class GoneError(ModelError):
    """The server has no such file."""


class _BrokenOffError(Exception):
    """A transfer that may be taken up where it ended."""


def download(
        url: str, target: Path, digests: Sequence[str], size: Optional[int] = None, *,
        hosts: Collection[str] = (), quiet: bool = False) -> None:
    """Download a file. Until it is whole and verified it is ``target`` + '.part'.

    :param url: https or http, whatever it is: who calls knows what may be; with a login or not.
    :param digests: hex digests; the file must have one of them.
    :param size: bytes it must not exceed; None for :data:`LIMIT`.
    :param hosts: to which the url's own may redirect.
    :param quiet: no progress bar, which there is only on a terminal anyway.
    :raises ModelError: saying what went wrong, what is left and what to do.
    """
    part = target.with_name(target.name + '.part')
    with _open(part) as file:
        for attempt in range(1, ATTEMPTS + 1):
            resumed = file.seek(0, os.SEEK_END)
            try:
                if resumed != size:
                    _transfer(url, file, target.name, size, hosts, quiet)
                    with _writing(file):
                        os.fsync(file.fileno())
            except _BrokenOffError as e:
                if attempt == ATTEMPTS:
                    kept = file.tell() and (
                        f": {file.tell()} bytes are kept in '{part}', and the next fetch goes on "
                        'from there')
                    raise ModelError(
                        f"'{display_url(url)}' broke off {ATTEMPTS} times ({e}){kept or ''}") from e
                time.sleep(PAUSE)
                continue
            complaint = digest_mismatch(part, digests, compute_digest)
            if not complaint:
                os.replace(part, target)
                return
            _cut(file, 0)
            # What was there before may have been the beginning of another file.
            if not resumed or attempt == ATTEMPTS:
                break
    raise ModelError(f"'{display_url(url)}' is not the file known as {target.name}: {complaint}; what "
                     'came was removed')


@contextmanager
def _open(part: Path) -> Iterator[BinaryIO]:
    """Open the file for one process at a time; it does not stay if nothing is in it."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(part, os.O_RDWR | os.O_CREAT | _CAREFUL, 0o666)
        file = open(number, 'r+b', buffering=0)
    except OSError as e:
        why = 'it is a link' if part.is_symlink() else e
        raise ModelError(f"'{part}' cannot be written: {why}") from e
    with file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise ModelError(f"'{part}' cannot be written: it is no file")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = os.path.samestat(os.fstat(file.fileno()), part.stat())
        except OSError:
            ours = False
        if not ours:  # or it was, and is whole by now
            raise ModelError(f"'{part}' is being written: is another fetch running?")
        try:
            yield file
        finally:
            if not os.fstat(file.fileno()).st_size:
                part.unlink()


def _transfer(url: str, file: BinaryIO, name: str, size: Optional[int], hosts: Collection[str],
              quiet: bool) -> None:
    """Append to file what it has not yet of the url."""
    with _ask(url, file.tell(), hosts) as response:
        start, end = _extent(response, file)
        if start != file.tell():
            _cut(file, start)
        limit = LIMIT if size is None else size
        if end is not None and end > limit:
            _refuse(url, file, f'{end} bytes', size)
        with tqdm(total=end or size, initial=start, desc=name, unit='B', unit_scale=True,
                  disable=quiet or None) as bar:
            while chunk := _read(response):
                if file.tell() + len(chunk) > limit:
                    _refuse(url, file, 'more', size)
                _write(file, chunk)
                bar.update(len(chunk))
        if file.tell() < (end or size or 0):
            raise _BrokenOffError(f'after {file.tell()} of {end or size} bytes')


def _ask(url: str, start: int, hosts: Collection[str]) -> HTTPResponse:
    """Return the answer to a request for what there is from byte start on."""
    try:
        return make_opener(hosts).open(make_request(url, start), timeout=TIMEOUT)
    except HTTPError as e:
        e.close()
        if e.code == 416 and start:  # what is there is no beginning of it
            return _ask(url, 0, hosts)
        if e.code in (408, 429) or e.code >= 500:
            raise _BrokenOffError(f'HTTP {e.code} {e.reason}') from e
        kind = GoneError if e.code in (404, 410) else ModelError
        raise kind(f"'{display_url(url)}': HTTP {e.code} {' '.join(str(e.reason).split())}") from e
    except URLError as e:
        host = urlsplit(url).netloc.rpartition('@')[2]
        raise UnreachableError(f'{host} cannot be reached ({e.reason})') from e
    except (OSError, HTTPException) as e:
        raise _BrokenOffError(f'{type(e).__name__}: {e}') from e


def _extent(response: HTTPResponse, file: BinaryIO) -> tuple[int, Optional[int]]:
    """Return the first byte that comes and the size of the whole file, if it is told."""
    if response.status == 206:
        extent = re.fullmatch(r'bytes (\d+)-\d+/(\d+)', response.headers.get('Content-Range', ''))
        if not extent or int(extent[1]) != file.tell():
            _cut(file, 0)
            raise _BrokenOffError('the server sent another range than was asked for')
        return int(extent[1]), int(extent[2])
    length = response.headers.get('Content-Length', '')
    return 0, int(length) if length.isdecimal() else None


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)
    except TimeoutError as e:
        raise _BrokenOffError(f'nothing came for {TIMEOUT:g} s') from e
    except (OSError, HTTPException) as e:
        raise _BrokenOffError(f'{type(e).__name__}: {e}') from e


def _write(file: BinaryIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    with _writing(file):
        while rest:
            rest = rest[file.write(rest):]


@contextmanager
def _writing(file: BinaryIO) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        _cut(file, 0)
        why = 'the disk is full' if e.errno in _FULL else str(e)
        raise ModelError(f"'{file.name}' cannot be written: {why}; it was removed") from e


def _cut(file: BinaryIO, size: int) -> None:
    file.truncate(size)
    file.seek(size)


def _refuse(url: str, file: BinaryIO, came: str, size: Optional[int]) -> None:
    _cut(file, 0)
    expected = f'{size} bytes were expected' if size else f'at most {LIMIT} are taken'
    raise ModelError(f"'{display_url(url)}' has {came} where {expected}: it is another file")


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
    refused = f"'{display_url(url)}' redirects to '{there.scheme}://{there.hostname}': refused, "
    if there.scheme != 'https' and (there.scheme, here.scheme) != ('http', 'http'):
        raise ModelError(f'{refused}it is not https')
    if there.hostname != here.hostname and there.hostname not in hosts:
        allowed = ', '.join(dict.fromkeys([str(here.hostname), *hosts]))
        raise ModelError(f'{refused}only {allowed} may have the file (weights/manifest.yaml)')


def make_request(url: str, start: int = 0) -> Request:
    """Return the request for what a file has from byte start on."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition('@')
    asked = Request(parts._replace(netloc=host).geturl(), headers={  # noqa: S310, see opener
        'User-Agent': 'gaze_ros', **({'Range': f'bytes={start}-'} if start else {})})
    if login:  # for this host alone: it goes with no redirect
        asked.add_unredirected_header(
            'Authorization', 'Basic ' + b64encode(unquote(login).encode()).decode())
    return asked


def make_opener(hosts: Collection[str]) -> OpenerDirector:
    """Return what opens https and http, by the environment's proxies, and no file or ftp."""
    director = OpenerDirector()
    for handler in (ProxyHandler(), UnknownHandler(), HTTPHandler(), HTTPSHandler(),
                    HTTPDefaultErrorHandler(), HTTPErrorProcessor(), _Redirects(hosts)):
        director.add_handler(handler)
    return director


def display_url(url: str) -> str:
    """Return a URL for a message: without a login, and the query that may be one."""
    return redact_url(url).partition('?')[0]
