"""Download one file: resumable, size-limited and verified; it appears only when complete."""
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

#: Seconds without data after which a connection attempt or a transfer is interrupted.
TIMEOUT = 30.0
#: Attempts in total for a transfer that is interrupted, and the seconds between them.
ATTEMPTS = 4
PAUSE = 2.0
#: Maximum bytes of a file whose size is not known.
LIMIT = MAX_WEIGHTS_BYTES

_CHUNK = 1 << 16
_FULL = (errno.ENOSPC, errno.EDQUOT)
# Follow no symlink out of the cache, and do not block on a pipe.
_OPEN_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_MAX_REDIRECTS = 5


class UnreachableError(ModelError):
    """The server cannot be reached at all."""


class NotFoundError(ModelError):
    """The server does not have the file."""


class _TransferInterruptedError(Exception):
    """The transfer was interrupted and can be resumed."""


def download(
        url: str, target: Path, digests: Sequence[str], size: Optional[int] = None, *,
        hosts: Collection[str] = (), quiet: bool = False) -> None:
    """Download a file to ``target`` + '.part'; rename it once it is complete and verified.

    :param url: https or http address, with or without a login; the caller decides which
        addresses are allowed.
    :param digests: hex digests; the file must match one of them.
    :param size: maximum size in bytes; None for :data:`LIMIT`.
    :param hosts: hosts that the server may redirect to, besides itself.
    :param quiet: show no progress bar; it is only shown on a terminal.
    :raises ModelError: naming the cause, what was kept and what to do.
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
            except _TransferInterruptedError as e:
                if attempt == ATTEMPTS:
                    kept = file.tell() and (
                        f": {file.tell()} bytes are kept in '{part}'; the next fetch resumes "
                        'there')
                    raise ModelError(f"download of '{display_url(url)}' was interrupted "
                                     f"{ATTEMPTS} times ({e}){kept or ''}") from e
                time.sleep(PAUSE)
                continue
            mismatch = digest_mismatch(part, digests, compute_digest)
            if not mismatch:
                os.replace(part, target)
                return
            _truncate(file, 0)
            # The part of an earlier attempt may belong to another file: try once from byte 0.
            if not resumed or attempt == ATTEMPTS:
                break
    raise ModelError(f"'{display_url(url)}' is not the file known as {target.name}: {mismatch}; "
                     'the download was removed')


@contextmanager
def _open(part: Path) -> Iterator[BinaryIO]:
    """Open the file for this process alone; remove it afterwards if it is empty."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | _OPEN_FLAGS, 0o666)
        file = open(descriptor, 'r+b', buffering=0)
    except OSError as e:
        reason = 'it is a symlink' if part.is_symlink() else e
        raise ModelError(f"'{part}' cannot be written: {reason}") from e
    with file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ModelError(f"'{part}' cannot be written: it is not a regular file")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = os.path.samestat(os.fstat(file.fileno()), part.stat())
        except OSError:
            locked = False
        if not locked:  # or another process has just completed and renamed it
            raise ModelError(f"'{part}' is being written: is another fetch running?")
        try:
            yield file
        finally:
            if not os.fstat(file.fileno()).st_size:
                part.unlink()


def _transfer(url: str, file: BinaryIO, name: str, size: Optional[int], hosts: Collection[str],
              quiet: bool) -> None:
    """Append the missing bytes of the URL to the file."""
    with _request(url, file.tell(), hosts) as response:
        start, total = _extent(response, file)
        if start != file.tell():
            _truncate(file, start)
        limit = LIMIT if size is None else size
        if total is not None and total > limit:
            _reject_size(url, file, f'{total} bytes', size)
        with tqdm(total=total or size, initial=start, desc=name, unit='B', unit_scale=True,
                  disable=quiet or None) as bar:
            while chunk := _read(response):
                if file.tell() + len(chunk) > limit:
                    _reject_size(url, file, 'more bytes', size)
                _write(file, chunk)
                bar.update(len(chunk))
        if file.tell() < (total or size or 0):
            raise _TransferInterruptedError(f'after {file.tell()} of {total or size} bytes')


def _request(url: str, start: int, hosts: Collection[str]) -> HTTPResponse:
    """Return the response to a request for everything from byte ``start`` on."""
    try:
        return make_opener(hosts).open(make_request(url, start), timeout=TIMEOUT)
    except HTTPError as e:
        e.close()
        if e.code == 416 and start:  # the part on disk does not belong to this file
            return _request(url, 0, hosts)
        if e.code in (408, 429) or e.code >= 500:
            raise _TransferInterruptedError(f'HTTP {e.code} {e.reason}') from e
        error = NotFoundError if e.code in (404, 410) else ModelError
        reason = ' '.join(str(e.reason).split())
        raise error(f"'{display_url(url)}': HTTP {e.code} {reason}") from e
    except URLError as e:
        host = urlsplit(url).netloc.rpartition('@')[2]
        raise UnreachableError(f'{host} cannot be reached ({e.reason})') from e
    except (OSError, HTTPException) as e:
        raise _TransferInterruptedError(f'{type(e).__name__}: {e}') from e


def _extent(response: HTTPResponse, file: BinaryIO) -> tuple[int, Optional[int]]:
    """Return the first byte of the response and the size of the whole file, None if unknown."""
    if response.status == 206:
        extent = re.fullmatch(r'bytes (\d+)-\d+/(\d+)', response.headers.get('Content-Range', ''))
        if not extent or int(extent[1]) != file.tell():
            _truncate(file, 0)
            raise _TransferInterruptedError('the server sent another range than the one requested')
        return int(extent[1]), int(extent[2])
    length = response.headers.get('Content-Length', '')
    return 0, int(length) if length.isdecimal() else None


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)
    except TimeoutError as e:
        raise _TransferInterruptedError(f'no data for {TIMEOUT:g} s') from e
    except (OSError, HTTPException) as e:
        raise _TransferInterruptedError(f'{type(e).__name__}: {e}') from e


def _write(file: BinaryIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    with _writing(file):
        while rest:
            rest = rest[file.write(rest):]


@contextmanager
def _writing(file: BinaryIO) -> Iterator[None]:
    """Turn a write error into a ModelError, and empty the file."""
    try:
        yield
    except OSError as e:
        _truncate(file, 0)
        reason = 'the disk is full' if e.errno in _FULL else str(e)
        raise ModelError(f"'{file.name}' cannot be written: {reason}; it was removed") from e


def _truncate(file: BinaryIO, size: int) -> None:
    file.truncate(size)
    file.seek(size)


def _reject_size(url: str, file: BinaryIO, found: str, size: Optional[int]) -> None:
    _truncate(file, 0)
    expected = f'{size} bytes were expected' if size else f'at most {LIMIT} are allowed'
    raise ModelError(f"'{display_url(url)}' has {found} where {expected}: it is another file")


class _RedirectHandler(HTTPRedirectHandler):
    """Follow a few redirects that :func:`check_redirect` allows."""

    max_redirections = _MAX_REDIRECTS
    max_repeats = 2

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = hosts

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """Return the request that follows a redirect, without the login."""
        check_redirect(req.full_url, newurl, self._hosts)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_redirect(url: str, target: str, hosts: Collection[str] = ()) -> None:
    """Refuse a redirect that leaves https or the allowed hosts.

    :param hosts: allowed hosts besides that of the URL.
    :raises ModelError: if the redirect is refused.
    """
    source, destination = urlsplit(url), urlsplit(target)
    # The query is left out: it may hold credentials.
    refused = (f"'{display_url(url)}' redirects to "
               f"'{destination.scheme}://{destination.hostname}': refused, ")
    if destination.scheme != 'https' and (destination.scheme, source.scheme) != ('http', 'http'):
        raise ModelError(f'{refused}it is not https')
    if destination.hostname != source.hostname and destination.hostname not in hosts:
        allowed = ', '.join(dict.fromkeys([str(source.hostname), *hosts]))
        raise ModelError(f'{refused}allowed hosts are {allowed} (weights/manifest.yaml)')


def make_request(url: str, start: int = 0) -> Request:
    """Return the request for a file from byte ``start`` on."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition('@')
    headers = {'User-Agent': 'gaze_ros', **({'Range': f'bytes={start}-'} if start else {})}
    url = parts._replace(netloc=host).geturl()
    request = Request(url, headers=headers)  # noqa: S310, see make_opener
    if login:  # for this host only: not sent on after a redirect
        request.add_unredirected_header(
            'Authorization', 'Basic ' + b64encode(unquote(login).encode()).decode())
    return request


def make_opener(hosts: Collection[str]) -> OpenerDirector:
    """Return an opener for https and http only; it uses the environment's proxies."""
    director = OpenerDirector()
    for handler in (ProxyHandler(), UnknownHandler(), HTTPHandler(), HTTPSHandler(),
                    HTTPDefaultErrorHandler(), HTTPErrorProcessor(), _RedirectHandler(hosts)):
        director.add_handler(handler)
    return director


def display_url(url: str) -> str:
    """Return a URL for messages: without its login and its query, which may hold credentials."""
    return redact_url(url).partition('?')[0]
