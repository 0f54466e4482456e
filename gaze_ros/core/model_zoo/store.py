"""Find model files on this machine: search folders and installed packages, check digests."""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
import logging
import os
from pathlib import Path
from typing import Optional

from gaze_ros.core.errors import ModelError
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.model_zoo.manifest import digest_mismatch, Generation, Model, ModelFile
from gaze_ros.core.system import import_errors
from gaze_ros.core.system.resources import share_path
import platformdirs

_log = logging.getLogger(__name__)

#: Environment variable with model folders, separated as in PATH.
VARIABLE = 'GAZE_ROS_MODELS'

#: Limits of the search in one folder, in levels and files: the user may name their home folder.
_MAX_DEPTH = 4
_MAX_FILES = 20_000


@dataclass(frozen=True)
class Candidate:
    """A file that belongs to a model by its digest, or at least by its name.

    :ivar generation: which known file it is; None if no digest is known for the name.
    :ivar problem: why it cannot be used; '' if it can.
    """

    path: Path
    file: ModelFile
    generation: Optional[Generation] = None
    problem: str = ''


def cache_folder() -> Path:
    """Return the user's folder into which models are fetched."""
    return Path(platformdirs.user_cache_dir('gaze_ros', appauthor=False))


def folders() -> list[Path]:
    """Return the folders searched for models, in order."""
    named = [_named(f) for f in os.environ.get(VARIABLE, '').split(os.pathsep) if f]
    return [*(f for f in named if f), share_path('weights'), cache_folder()]


@cache
def _named(folder: str) -> Optional[Path]:
    """Return a folder that the user named, None if unreadable; a problem is logged once."""
    try:
        path = Path(folder).expanduser()
        if not path.is_dir():
            _log.warning("$%s names '%s', which is not an existing folder", VARIABLE, folder)
        return path
    except (OSError, RuntimeError) as e:  # RuntimeError: no user has the name after ~
        _log.warning("$%s names '%s', which cannot be read: %s", VARIABLE, folder, e)
        return None


def locate(
        name: str, kind: str = 'gaze', suffixes: Sequence[str] = ()) -> Optional[Path]:
    """Return a usable file of the model, or None; of an OpenVINO IR the .xml.

    :param suffixes: wanted file suffixes with their dot, best first; empty for any.
    :raises ModelError: if the name is unknown.
    """
    for found in candidates(registry.entry(name, kind), suffixes):
        if not found.problem:
            return found.path
        _log.warning("model '%s': '%s' is ignored: %s", name, found.path, found.problem)
    return None


def find(name: str, kind: str = 'gaze', suffixes: Sequence[str] = ()) -> Path:
    """Return a usable file of the model; of an OpenVINO IR the .xml.

    :param suffixes: as of :func:`locate`.
    :raises ModelError: if there is none; names the folders searched and what to do.
    """
    if path := locate(name, kind, suffixes):
        return path
    model = registry.entry(name, kind)
    wanted = [f.name for f in _files(model, suffixes)]
    needed = f'one of its files ({", ".join(dict.fromkeys(wanted))})' if wanted else 'its file'
    if any(f.url for f in _files(model, suffixes)):
        several = suffixes and len({f.suffix for f in model.files}) > 1
        options = f' --suffix {suffixes[0]}' if several else ''
        options += '' if model.may_be_shipped else ' --accept-license'
        remedy = f"get it with 'gaze_ros models fetch {name}{options}'"
    elif package := next((f.package for f in _files(model, suffixes) if f.package), ''):
        remedy = f'get it with: {import_errors.pip_command(package)}'
    else:
        remedy = f'get it by hand ({model.source})'
    parameter = 'detector_weight' if kind == 'detector' else 'weight'
    or_set = '' if kind == 'part' else f', or set {parameter} to its path'
    raise ModelError(
        f"{'model' if kind == 'gaze' else kind} '{name}' needs {needed}; none was found "
        f'{searched_folders()}; {remedy}{or_set} (licence: {model.licence})')


def searched_folders() -> str:
    """Return the places searched for models, for an error message."""
    listed = ', '.join(f"'{f}'" for f in folders())
    return f'in {listed} or the installed packages (${VARIABLE} adds folders)'


def candidates(model: Model, suffixes: Sequence[str] = ()) -> Iterator[Candidate]:
    """Yield the files of a model on this machine, in order of preference.

    :param suffixes: as of :func:`locate`.
    """
    for suffix in suffixes or ('',):
        files = _files(model, (suffix,) if suffix else ())
        for folder in folders() if files else ():
            yield from _in_folder(folder, files)
        for file in files:
            if file.package:
                try:
                    path = registry.package_file(file.package, file.inside, '')
                except ModelError:
                    continue
                yield from _classify(path, [file])


def _files(model: Model, suffixes: Sequence[str]) -> list[ModelFile]:
    return [f for f in model.files if not suffixes or f.suffix in suffixes]


def _in_folder(folder: Path, files: list[ModelFile]) -> Iterator[Candidate]:
    names = {f.name for f in files}
    sizes = {f.size for f in files if f.digests and f.size}
    for path in _walk(folder):
        try:
            size = path.stat().st_size
            if path.name in names or size in sizes:
                yield from _classify(path, [f for f in files if path.name == f.name
                                            or (size == f.size and path.suffix == f.suffix)])
        except OSError as e:
            _log.warning("'%s' cannot be read: %s", path, e)


def _walk(folder: Path) -> Iterator[Path]:
    count = 0
    for top, subfolders, names in os.walk(folder):
        subfolders.sort()
        if len(Path(top).relative_to(folder).parts) >= _MAX_DEPTH:
            subfolders.clear()
        for name in sorted(names):
            count += 1
            if count > _MAX_FILES:
                _log.warning("'%s' holds more than %d files: the others are not searched",
                             folder, _MAX_FILES)
                return
            path = Path(top, name)
            if os.path.isfile(path):  # Path.is_file raises in a folder that may not be entered
                yield path


def _classify(path: Path, files: list[ModelFile]) -> Iterator[Candidate]:
    """Yield the candidate that a file is; nothing if neither its name nor its digest is known."""
    for file in files:
        if generation := file.match(path):
            yield Candidate(path, file, generation, _bin_problem(path, file.bin))
            return
    named = [f for f in files if f.name == path.name]
    if unknown := [f for f in named if not f.digests]:
        yield Candidate(path, unknown[0])
    elif named:
        digests = [d for f in named for d in f.digests]
        yield Candidate(path, named[0], None, digest_mismatch(path, digests))


def _bin_problem(path: Path, file: Optional[ModelFile]) -> str:
    """Return why the .bin of an .xml cannot be used, or ''."""
    if not file:
        return ''
    weights = path.with_suffix('.bin')
    if not weights.is_file():
        return f"its '{weights.name}' is not beside it"
    mismatch = digest_mismatch(weights, [*file.digests])
    return mismatch and f"its '{weights.name}': {mismatch}"
