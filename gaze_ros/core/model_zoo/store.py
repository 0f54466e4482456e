"""Where the files of models are: looked for in folders, known by their digests."""
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
from gaze_ros.core.system.resources import share_path
import platformdirs

_log = logging.getLogger(__name__)

#: Environment variable with folders of models, separated as in PATH.
VARIABLE = 'GAZE_ROS_MODELS'

#: How deep and how many files a folder is searched: someone will name their home.
_DEPTH = 4
_MOST = 20_000


@dataclass(frozen=True)
class Candidate:
    """A file that is one of a model's, by its digest or at least by its name.

    :ivar generation: which of the known ones it is; None where no digest is known for the name.
    :ivar complaint: why it cannot be used; '' if it can.
    """

    path: Path
    file: ModelFile
    generation: Optional[Generation] = None
    complaint: str = ''


def cache_folder() -> Path:
    """Return the user's folder that models are fetched into."""
    return Path(platformdirs.user_cache_dir('gaze_ros', appauthor=False))


def folders() -> list[Path]:
    """Return the folders models are looked for in, first first."""
    named = [_named(f) for f in os.environ.get(VARIABLE, '').split(os.pathsep) if f]
    return [*(f for f in named if f), share_path('weights'), cache_folder()]


@cache
def _named(folder: str) -> Optional[Path]:
    """Return a folder the user named, None where it can be none; told once if it is not there."""
    try:
        path = Path(folder).expanduser()
        if not path.is_dir():
            _log.warning("$%s names '%s', which is no folder that is there", VARIABLE, folder)
        return path
    except (OSError, RuntimeError) as e:  # RuntimeError: nobody has the name after ~
        _log.warning("$%s names '%s', which cannot be looked into: %s", VARIABLE, folder, e)
        return None


def locate(
        name: str, kind: str = 'gaze', suffixes: Sequence[str] = ()) -> Optional[Path]:
    """Return a file of the model that can be used, or None; of an OpenVINO IR the .xml.

    :param suffixes: endings of the files wanted, with their dot, the best first; none for any.
    :raises ModelError: if the name is unknown.
    """
    for found in candidates(registry.entry(name, kind), suffixes):
        if not found.complaint:
            return found.path
        _log.warning("model '%s': '%s' is passed over: %s", name, found.path, found.complaint)
    return None


def find(name: str, kind: str = 'gaze', suffixes: Sequence[str] = ()) -> Path:
    """Return a file of the model that can be used; of an OpenVINO IR the .xml.

    :param suffixes: as of :func:`locate`.
    :raises ModelError: if there is none, saying where it was looked for and what to do.
    """
    if path := locate(name, kind, suffixes):
        return path
    model = registry.entry(name, kind)
    wanted = [f.name for f in _files(model, suffixes)]
    what = f'one of its files ({", ".join(dict.fromkeys(wanted))})' if wanted else 'its file'
    if any(f.url for f in _files(model, suffixes)):
        several = suffixes and len({f.suffix for f in model.files}) > 1
        options = f' --suffix {suffixes[0]}' if several else ''
        options += '' if model.may_be_shipped else ' --accept-license'
        do = f"get it with 'gaze_ros models fetch {name}{options}'"
    else:
        do = f'get it by hand ({model.source})'
    parameter = 'detector_weight' if kind == 'detector' else 'weight'
    or_set = '' if kind == 'part' else f', or set {parameter} to its path'
    raise ModelError(
        f"{'model' if kind == 'gaze' else kind} '{name}' needs {what}; none was found "
        f'{searched_folders()}; {do}{or_set} (licence: {model.licence})')


def searched_folders() -> str:
    """Return where models are looked for, for a message."""
    listed = ', '.join(f"'{f}'" for f in folders())
    return f'in {listed} or the installed packages (${VARIABLE} names further folders)'


def candidates(model: Model, suffixes: Sequence[str] = ()) -> Iterator[Candidate]:
    """Yield what there is of a model, in the order in which it would be taken.

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
                yield from _judge(path, [file])


def _files(model: Model, suffixes: Sequence[str]) -> list[ModelFile]:
    return [f for f in model.files if not suffixes or f.suffix in suffixes]


def _in_folder(folder: Path, files: list[ModelFile]) -> Iterator[Candidate]:
    names = {f.name for f in files}
    sizes = {f.size for f in files if f.digests and f.size}
    for path in _walk(folder):
        try:
            size = path.stat().st_size
            if path.name in names or size in sizes:
                yield from _judge(path, [f for f in files if path.name == f.name
                                         or (size == f.size and path.suffix == f.suffix)])
        except OSError as e:
            _log.warning("'%s' cannot be read: %s", path, e)


def _walk(folder: Path) -> Iterator[Path]:
    count = 0
    for top, inner, names in os.walk(folder):
        inner.sort()
        if len(Path(top).relative_to(folder).parts) >= _DEPTH:
            inner.clear()
        for name in sorted(names):
            count += 1
            if count > _MOST:
                _log.warning("'%s' holds more than %d files: only so many are looked at",
                             folder, _MOST)
                return
            path = Path(top, name)
            if os.path.isfile(path):  # Path's own raises where the folder may not be entered
                yield path


def _judge(path: Path, files: list[ModelFile]) -> Iterator[Candidate]:
    """Yield what a file is; nothing where neither its name nor its digest is known."""
    for file in files:
        if generation := file.match(path):
            yield Candidate(path, file, generation, _complaint_of_bin(path, file.bin))
            return
    named = [f for f in files if f.name == path.name]
    if unknown := [f for f in named if not f.digests]:
        yield Candidate(path, unknown[0])
    elif named:
        yield Candidate(path, named[0], None, digest_mismatch(path, [d for f in named for d in f.digests]))


def _complaint_of_bin(path: Path, file: Optional[ModelFile]) -> str:
    if not file:
        return ''
    beside = path.with_suffix('.bin')
    if not beside.is_file():
        return f"its '{beside.name}' is not beside it"
    complaint = digest_mismatch(beside, [*file.digests])
    return complaint and f"of its '{beside.name}': {complaint}"
