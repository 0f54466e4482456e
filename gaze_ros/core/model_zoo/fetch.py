"""Fetch a model into the user's cache: check its licence, download it, verify its digest."""
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
import os
from pathlib import Path
import re
from typing import Optional
from urllib.parse import urlsplit

from gaze_ros.core.errors import ModelError
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.model_zoo.download import download, NotFoundError, UnreachableError
from gaze_ros.core.model_zoo.manifest import Model, ModelFile
from gaze_ros.core.system import import_errors
from gaze_ros.core.system.urls import redact_url

#: Environment variable with the URL of a mirror: a folder that holds the files by name.
VARIABLE = 'GAZE_ROS_MODELS_URL'


def fetchable(model: Model, suffixes: Sequence[str] = ()) -> list[ModelFile]:
    """Return the files of a model whose URL and digests are known, in the manifest's order."""
    return [f for f in _with_url(model, suffixes)
            if all(part.url and part.digests for part in _with_bin(f))]


def fetch(
        model: Model, suffixes: Sequence[str] = (), *, accept_license: bool = False,
        sha256: str = '', quiet: bool = False) -> Path:
    """Download a file of a model into the user's cache; return its path.

    :param suffixes: wanted file suffixes with their dot, e.g. '.onnx'; empty for any.
    :param accept_license: must be True for weights that may not be redistributed.
    :param sha256: digest of the file, if the manifest has none.
    :param quiet: show no progress bar.
    :raises ModelError: if the licence is not accepted, no URL or digest is known, or the
        download fails.
    """
    if not model.needs_weight:
        module = next((f.package for f in model.files if f.package), model.name)
        if model.family == 'mediapipe':  # it needs the library, too
            module = 'mediapipe'
        raise ModelError(f"'{model.name}' is not fetched: {model.source}; "
                         f'{import_errors.pip_command(module)}')
    if not model.may_be_shipped and not accept_license:
        raise ModelError(
            f"the weights of '{model.name}' may not be redistributed or shipped in a product; "
            f'licence: {model.licence}; from: {model.source}. If the licence covers your use, '
            'add --accept-license')
    not_found: Optional[NotFoundError] = None
    for file in _files_to_try(model, suffixes, sha256):
        try:
            for part in _with_bin(file):
                download(_download_url(part), store.cache_folder() / part.name,
                         [sha256] if sha256 else [*part.digests],
                         None if sha256 else part.size, hosts=_redirect_hosts(part), quiet=quiet)
            return store.cache_folder() / file.name
        except NotFoundError as e:
            not_found = e
        except UnreachableError as e:
            raise ModelError(
                f"'{file.name}' of '{model.name}' was not found {store.searched_folders()} and "
                f'cannot be fetched: {e}. Copy it into one of these folders (from: '
                f'{model.source}), or set ${VARIABLE} to a mirror') from e
    raise ModelError(f'{not_found}; {_manual_steps(model)}') from not_found


def _files_to_try(model: Model, suffixes: Sequence[str], sha256: str) -> list[ModelFile]:
    """Return the files to try, in order."""
    files = _with_url(model, suffixes)
    if not files:
        raise ModelError(f"no URL of a file of '{model.name}' is known: {_manual_steps(model)}")
    if sha256:
        unknown = [f for f in files if not f.digests]
        if not unknown:
            raise ModelError(
                f"the digests of '{files[0].name}' are known, and a file with another digest "
                'would not be used: leave out --sha256')
        return unknown[:1]
    if known := fetchable(model, suffixes):
        return known
    raise ModelError(
        f"no sha256 of '{files[0].name}' is known, so the download cannot be verified: give the "
        'digest of the file you trust with --sha256 DIGEST')


def _with_url(model: Model, suffixes: Sequence[str]) -> list[ModelFile]:
    return [f for f in model.files if f.url and (not suffixes or f.suffix in suffixes)]


def _with_bin(file: ModelFile) -> Iterator[ModelFile]:
    """Yield the file, after its .bin if it has one: an .xml without its .bin is skipped."""
    if file.bin:
        yield file.bin
    yield file


def _download_url(file: ModelFile) -> str:
    mirror = os.environ.get(VARIABLE, '')
    if not mirror:
        return file.url
    problem = _mirror_problem(mirror)
    if problem:
        shown = ' '.join(redact_url(mirror).split())
        raise ModelError(f"${VARIABLE} '{shown}' {problem}; https://HOST/FOLDER is expected")
    return f'{mirror.rstrip("/")}/{file.name}'


def _redirect_hosts(file: ModelFile) -> tuple[str, ...]:
    """Return the hosts that the file's host may redirect to; a mirror only to itself."""
    if os.environ.get(VARIABLE):
        return ()
    return registry.redirects().get(urlsplit(file.url).hostname or '', ())


def _mirror_problem(mirror: str) -> str:
    """Return why a mirror's URL is not accepted, or ''."""
    try:
        parts = urlsplit(mirror)
        host, _ = parts.hostname, parts.port
    except ValueError:  # the exception's text may hold a password
        return 'is not a URL'
    if parts.scheme not in ('https', 'http'):
        return 'is not an https URL'
    if not host or re.search(r'[^!-~]', mirror):
        return 'is not a URL'
    if parts.query or parts.fragment:
        return 'is not the URL of a folder'
    if parts.scheme == 'http' and not _is_local(host):
        return 'is not https, so anyone on the network path could read and change the download'
    return ''


def _is_local(host: str) -> bool:
    """Return whether a host is this machine or a private address, which is not routed."""
    try:
        return host == 'localhost' or ip_address(host).is_private
    except ValueError:
        return False


def _manual_steps(model: Model) -> str:
    return (f"get it by hand ({model.source}) and put it into '{store.cache_folder()}', or set "
            'weight to its path')
