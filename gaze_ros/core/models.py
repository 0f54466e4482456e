"""The models there are: weights/manifest.yaml, and where the files of installed packages are."""
from functools import cache
import hashlib
from importlib.util import find_spec
from pathlib import Path

from gaze_ros.core.errors import ModelError
from gaze_ros.core.share import share_path
import yaml

#: The licence-clean model that arrives with pip.
DEFAULT = 'mediapipe'


@cache
def manifest() -> dict[str, dict]:
    """Return the entries of weights/manifest.yaml by name."""
    with open(share_path('weights') / 'manifest.yaml', encoding='utf-8') as file:
        return {entry['name']: entry for entry in yaml.safe_load(file)['models']}


def names(*, with_weight: bool = False) -> list[str]:
    """Return the names of the gaze models; ``with_weight``: only those that need a file."""
    return [n for n, e in manifest().items() if e['needs_weight'] or not with_weight]


def entry(name: str) -> dict:
    """Return a model's entry.

    :raises ModelError: naming what there is.
    """
    try:
        return manifest()[name]
    except KeyError:
        raise ModelError(f"model '{name}' is not one of: auto, {', '.join(names())}") from None


def package_file(package: str, inside: str, why: str) -> Path:
    """Return a file carried by an installed package, without importing the package.

    :param inside: path relative to the package's folder.
    :param why: who needs it and what to install, for the error.
    :raises ModelError: if the package or the file is missing.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / inside).is_file():
            return path
    where = f'it has no {inside}' if spec else 'it is not installed'
    raise ModelError(f'the package {package} is needed, but {where}: {why}')


def sha256(path: Path) -> str:
    """Return the hex digest of a file."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest() if hasattr(
            hashlib, 'file_digest') else hashlib.sha256(file.read()).hexdigest()
