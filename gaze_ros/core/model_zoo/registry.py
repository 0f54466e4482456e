"""The models there are: weights/manifest.yaml, and where the files of installed packages are."""
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Optional

from gaze_ros.core.errors import ModelError
from gaze_ros.core.model_zoo.manifest import (
    cached_digest,
    Generation,
    KINDS,
    load,
    load_redirects,
    Model,
    ModelFile,
)
from gaze_ros.core.system.resources import share_path


@cache
def manifest() -> tuple[Model, ...]:
    """Return the entries of weights/manifest.yaml, in its order."""
    return load(share_path('weights') / 'manifest.yaml')


@cache
def redirects() -> dict[str, tuple[str, ...]]:
    """Return the hosts that each host of weights/manifest.yaml may redirect a download to."""
    return load_redirects(share_path('weights') / 'manifest.yaml')


def model_names(kind: str = 'gaze', *, with_weight: bool = False) -> list[str]:
    """Return the names of the models of a kind; ``with_weight``: only those that need a file."""
    return [m.name for m in manifest() if m.kind == kind and (m.needs_weight or not with_weight)]


def entry(name: str, kind: str = 'gaze') -> Model:
    """Return a model's entry.

    :raises ModelError: naming what there is.
    """
    for model in manifest():
        if (model.kind, model.name) == (kind, name):
            return model
    word = 'model' if kind == 'gaze' else kind
    raise ModelError(f"{word} '{name}' is not one of: auto, {', '.join(model_names(kind))}")


def entry_of_any_kind(name: str) -> Model:
    """Return the first entry of that name; a gaze model before a detector before a part.

    :raises ModelError: naming what there is.
    """
    for kind in KINDS:
        if name in model_names(kind):
            return entry(name, kind)
    every = dict.fromkeys(n for kind in KINDS for n in model_names(kind))
    raise ModelError(f"model '{name}' is not one of: {', '.join(every)}")


def identify(path: Path) -> Optional[tuple[ModelFile, Generation]]:
    """Return what a file is by its digest, whatever its name; None for a stranger."""
    size = path.stat().st_size
    for model in manifest():
        for file in model.files:
            # Only a file of another size or kind is surely another: the rest is told by hashing.
            if file.suffix == path.suffix and file.size in (None, size):
                if generation := file.match(path):
                    return file, generation
    return None


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
    return cached_digest(path, 'sha256')
