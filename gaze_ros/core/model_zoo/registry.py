"""Look up the known models of weights/manifest.yaml, and files inside installed packages."""
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
    """Return the hosts to which each host of weights/manifest.yaml may redirect a download."""
    return load_redirects(share_path('weights') / 'manifest.yaml')


def model_names(kind: str = 'gaze', *, with_weight: bool = False) -> list[str]:
    """Return the names of the models of a kind.

    :param with_weight: only the models that need a weight file.
    """
    return [m.name for m in manifest() if m.kind == kind and (m.needs_weight or not with_weight)]


def entry(name: str, kind: str = 'gaze') -> Model:
    """Return a model's entry.

    :raises ModelError: if the name is unknown; lists the known ones.
    """
    for model in manifest():
        if (model.kind, model.name) == (kind, name):
            return model
    label = 'model' if kind == 'gaze' else kind
    raise ModelError(f"{label} '{name}' is not one of: auto, {', '.join(model_names(kind))}")


def entry_of_any_kind(name: str) -> Model:
    """Return the first entry of that name; a gaze model before a detector before a part.

    :raises ModelError: if the name is unknown; lists the known ones.
    """
    for kind in KINDS:
        if name in model_names(kind):
            return entry(name, kind)
    known = dict.fromkeys(n for kind in KINDS for n in model_names(kind))
    raise ModelError(f"model '{name}' is not one of: {', '.join(known)}")


def identify(path: Path) -> Optional[tuple[ModelFile, Generation]]:
    """Return the known file that a path is, by its digest and not its name; None if unknown."""
    size = path.stat().st_size
    for model in manifest():
        for file in model.files:
            # Hash the file only if its size and suffix can match.
            if file.suffix == path.suffix and file.size in (None, size):
                if generation := file.match(path):
                    return file, generation
    return None


def package_file(package: str, inside: str, why: str) -> Path:
    """Return the path of a file in an installed package, without importing the package.

    :param inside: path relative to the package's folder.
    :param why: what needs the file and what to install, for the error.
    :raises ModelError: if the package or the file is missing.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / inside).is_file():
            return path
    where = f'it has no {inside}' if spec else 'it is not installed'
    raise ModelError(f'the package {package} is needed, but {where}: {why}')


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hex, cached until the file changes."""
    return cached_digest(path, 'sha256')
