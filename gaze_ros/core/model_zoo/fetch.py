"""Fetching a model into the user's cache, with its licence told and its digests verified."""
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
import os
from pathlib import Path
import re
from typing import Optional
from urllib.parse import urlsplit

from gaze_ros.core.errors import ModelError
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.model_zoo.download import download, GoneError, UnreachableError
from gaze_ros.core.model_zoo.manifest import Model, ModelFile
from gaze_ros.core.system.urls import redact_url

#: Environment variable with the address of a folder that has the files, instead of their own.
VARIABLE = 'GAZE_ROS_MODELS_URL'


def fetchable(model: Model, suffixes: Sequence[str] = ()) -> list[ModelFile]:
    """Return the files of a model whose address and digests are known, in the manifest's order."""
    return [f for f in _addressed(model, suffixes)
            if all(one.url and one.digests for one in _both(f))]


def fetch(
        model: Model, suffixes: Sequence[str] = (), *, accept_license: bool = False,
        sha256: str = '', quiet: bool = False) -> Path:
    """Download a file of a model into the user's cache; return its path.

    :param suffixes: endings of the files wanted, with their dot; none for any.
    :param accept_license: needed where the weights may not be shipped.
    :param sha256: of the file, where the manifest knows none.
    :param quiet: no progress bar.
    :raises ModelError: if the licence is not accepted, no address or digest is known, or the
        download fails.
    """
    if not model.needs_weight:
        raise ModelError(
            f"'{model.name}' is not fetched: {model.source}; pip install 'gaze_ros[mediapipe]'")
    if not model.may_be_shipped and not accept_license:
        raise ModelError(
            f"the weights of '{model.name}' may be neither passed on nor be part of a product; "
            f'their licence: {model.licence}; from: {model.source}. If your use is within it, '
            'say so by --accept-license')
    last: Optional[GoneError] = None
    for file in _choice(model, suffixes, sha256):
        try:
            for one in _both(file):
                download(_address(one), store.cache_folder() / one.name,
                         [sha256] if sha256 else [*one.digests],
                         None if sha256 else one.size, hosts=_redirects(one), quiet=quiet)
            return store.cache_folder() / file.name
        except GoneError as e:
            last = e
        except UnreachableError as e:
            raise ModelError(
                f"'{file.name}' of '{model.name}' was found neither {store.searched_folders()}, nor can it "
                f'be fetched: {e}. Copy it into one of these folders (from: {model.source}), or '
                f'name a mirror by ${VARIABLE}') from e
    raise ModelError(f'{last}; {_by_hand(model)}') from last


def _choice(model: Model, suffixes: Sequence[str], sha256: str) -> list[ModelFile]:
    """Return the files to try, the first first."""
    addressed = _addressed(model, suffixes)
    if not addressed:
        raise ModelError(f"no address of a file of '{model.name}' is known: {_by_hand(model)}")
    if sha256:
        unknown = [f for f in addressed if not f.digests]
        if not unknown:
            raise ModelError(
                f"the digests of '{addressed[0].name}' are known, and another file would not be "
                'used: leave out --sha256')
        return unknown[:1]
    if known := fetchable(model, suffixes):
        return known
    raise ModelError(
        f"no sha256 of '{addressed[0].name}' is known, so what comes could be anything: say by "
        '--sha256 DIGEST which file you trust')


def _addressed(model: Model, suffixes: Sequence[str]) -> list[ModelFile]:
    return [f for f in model.files if f.url and (not suffixes or f.suffix in suffixes)]


def _both(file: ModelFile) -> Iterator[ModelFile]:
    """Yield what the file needs beside it first: without it the file is passed over."""
    if file.bin:
        yield file.bin
    yield file


def _address(file: ModelFile) -> str:
    mirror = os.environ.get(VARIABLE, '')
    if not mirror:
        return file.url
    complaint = _complaint(mirror)
    if complaint:
        shown = ' '.join(redact_url(mirror).split())
        raise ModelError(f"${VARIABLE} '{shown}' {complaint}; https://HOST/FOLDER is expected")
    return f'{mirror.rstrip("/")}/{file.name}'


def _redirects(file: ModelFile) -> tuple[str, ...]:
    """Return the hosts that a file's own may redirect to; a mirror to itself alone."""
    if os.environ.get(VARIABLE):
        return ()
    return registry.redirects().get(urlsplit(file.url).hostname or '', ())


def _complaint(mirror: str) -> str:
    """Return why a mirror's address is not taken, or ''."""
    try:
        parts = urlsplit(mirror)
        host, _ = parts.hostname, parts.port
    except ValueError:  # its words may hold a password
        return 'is no address'
    if parts.scheme not in ('https', 'http'):
        return 'is no https address'
    if not host or re.search(r'[^!-~]', mirror):
        return 'is no address'
    if parts.query or parts.fragment:
        return 'is not the address of a folder'
    if parts.scheme == 'http' and not _near(host):
        return 'is not https, and so everybody on the way sees and changes what comes'
    return ''


def _near(host: str) -> bool:
    """Return whether a host is this machine, or an address that no router sends any further."""
    try:
        return host == 'localhost' or ip_address(host).is_private
    except ValueError:
        return False


def _by_hand(model: Model) -> str:
    return (f"get it by hand ({model.source}) and put it into '{store.cache_folder()}', or give "
            'its path by weight')
