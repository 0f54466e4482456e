"""Read and validate weights/manifest.yaml; compute file digests."""
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
import hashlib
from pathlib import Path
import re
from typing import Any, Optional
from urllib.parse import urlsplit

from gaze_ros.core.errors import ModelError
from gaze_ros.core.system.safe_files import MAX_WEIGHTS_BYTES, parse_yaml, read_problem, read_text

#: Kinds of entries; a name is unique within its kind.
KINDS = ('gaze', 'detector', 'part')

_HEAD_ORDERS = ('as_named', 'swapped')

#: Number of hex digits of a digest, by its algorithm's name in hashlib and in the manifest.
DIGITS = {'sha256': 64, 'sha384': 96}


@dataclass(frozen=True)
class Generation:
    """One of the files that were published under the same name.

    :ivar generation: its release, in words.
    :ivar head_order: ``as_named`` or ``swapped``; '' if the names of its heads do not matter.
    """

    generation: str
    head_order: str = ''


@dataclass(frozen=True)
class ModelFile:
    """A file that holds a model.

    :ivar size: bytes of every file in ``digests``; None if unknown.
    :ivar package: the installed package that contains it, at the path ``inside`` of its folder.
    :ivar bin: the weight file that an OpenVINO .xml needs beside it.
    :ivar digests: the files known by this name, by hex digest: SHA-256 (64 digits) or SHA-384
        (96 digits).
    """

    name: str
    size: Optional[int] = None
    url: str = ''
    package: str = ''
    inside: str = ''
    bin: Optional['ModelFile'] = None
    digests: Mapping[str, Generation] = field(default_factory=dict, hash=False)

    @property
    def suffix(self) -> str:
        """The name's ending, with its dot."""
        return Path(self.name).suffix

    def match(self, path: Path) -> Optional[Generation]:
        """Return which known file the one at ``path`` is, or None."""
        for algorithm in digest_algorithms([*self.digests]):
            if found := self.digests.get(cached_digest(path, algorithm)):
                return found
        return None


@dataclass(frozen=True)
class Model:
    """An entry of weights/manifest.yaml; the head of that file explains the fields."""

    name: str
    kind: str
    needs_weight: bool
    licence: str
    may_be_shipped: bool
    source: str
    family: str = ''
    architecture: str = ''
    accuracy: str = ''
    notes: str = ''
    parts: tuple[str, ...] = ()
    files: tuple[ModelFile, ...] = ()


#: Keys of an entry and of a file: their type, and whether they are required.
_MODEL = {
    'name': (str, True), 'kind': (str, True), 'needs_weight': (bool, True),
    'licence': (str, True), 'may_be_shipped': (bool, True), 'source': (str, True),
    'family': (str, False), 'architecture': (str, False), 'accuracy': (str, False),
    'notes': (str, False), 'parts': (list, False), 'files': (list, False)}
_FILE = {
    'name': (str, True), 'size': (int, False), 'url': (str, False), 'package': (str, False),
    'inside': (str, False), 'bin': (dict, False), 'sha256': (dict, False),
    'sha384': (dict, False)}
#: File names that are safe to create in any folder and to use in a shell.
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}')
_GENERATION = {'generation': (str, True), 'head_order': (str, False)}


def load(path: Path) -> tuple[Model, ...]:
    """Return the entries of a manifest.

    :raises ModelError: naming the entry that is invalid.
    """
    try:
        entries = tuple(_model(str(path), item) for item in _content(path)['models'])
    except (TypeError, KeyError) as e:
        raise ModelError(f"'{path}' holds no list of models: {e}") from e
    names = set()
    for model in entries:
        where = f"{path}: {model.kind} '{model.name}'"
        _require((model.kind, model.name) not in names, where, 'is listed twice')
        names.add((model.kind, model.name))
        for part in model.parts:
            _require(any(e.kind == 'part' and e.name == part for e in entries), where,
                     f"needs the part '{part}', which has no entry")
    return entries


def load_redirects(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the hosts to which each host may redirect.

    :raises ModelError: if ``redirects`` is not a mapping of host to list of hosts.
    """
    content, where = _content(path), f"'{path}', redirects"
    _require(isinstance(content, dict), where, 'the file is not a mapping')
    redirects = content.get('redirects', {})
    _require(isinstance(redirects, dict), where, f'{redirects!r} is not a mapping')
    for host, targets in redirects.items():
        _require(isinstance(targets, list) and all(
            isinstance(name, str) and re.fullmatch('[a-z0-9.-]+', name)
            for name in (host, *targets)), where, f"'{host}' has no list of hosts")
    return {host: tuple(targets) for host, targets in redirects.items()}


def _content(path: Path) -> Any:
    try:
        return parse_yaml(read_text(path))
    except (OSError, ValueError) as e:
        raise ModelError(f"'{path}' holds no list of models: {e}") from e


def _model(path: str, item: Any) -> Model:
    name = item.get('name') if isinstance(item, dict) else item
    where = f"{path}: entry '{name}'"
    _check_keys(where, item, _MODEL)
    _require(item['kind'] in KINDS, where, f"kind '{item['kind']}' is not one of: {KINDS}")
    _require(bool(item.get('family')) == (item['kind'] == 'gaze'), where,
             'a gaze model needs a family; other kinds have none')
    files = tuple(_file(where, file) for file in item.get('files', ()))
    return Model(**{**item, 'parts': tuple(item.get('parts', ())), 'files': files})


def _file(where: str, item: Any) -> ModelFile:
    _check_keys(where, item, _FILE)
    where = f"{where}, file '{item['name']}'"
    digests = {}
    for algorithm, digits in DIGITS.items():
        for hexdigest, generation in item.get(algorithm, {}).items():
            _require(re.fullmatch(f'[0-9a-f]{{{digits}}}', str(hexdigest)), where,
                     f'{algorithm} {hexdigest} is not {digits} lower-case hex digits')
            _check_keys(f'{where}, {hexdigest}', generation, _GENERATION)
            _require(generation.get('head_order', 'as_named') in _HEAD_ORDERS, where,
                     f'head_order is not one of: {_HEAD_ORDERS}')
            digests[hexdigest] = Generation(**generation)
    file = ModelFile(**{
        key: item[key] for key in ('name', 'size', 'url', 'package', 'inside') if key in item},
        bin=_file(where, item['bin']) if 'bin' in item else None, digests=digests)
    _require(_NAME.fullmatch(file.name), where,
             'a name has no folders and consists of letters, digits and _.+- only')
    _require(not file.url or urlsplit(file.url).scheme == 'https', where, 'url is not https')
    _require(bool(file.package) == bool(file.inside), where, 'package and inside go together')
    # find_spec would import the parent of a dotted name.
    _require(not file.package or file.package.isidentifier(), where,
             'package is not the name of a top-level package')
    _require(not Path(file.inside).is_absolute() and '..' not in Path(file.inside).parts, where,
             'inside leads out of the package')
    _require((file.suffix == '.xml') == bool(file.bin), where,
             'an .xml file needs a bin; other files have none')
    _require(not file.bin or file.bin.name == Path(file.name).stem + '.bin', where,
             f"its bin is named '{file.bin and file.bin.name}', "
             f"'{Path(file.name).stem}.bin' was expected")
    return file


def _check_keys(where: str, item: Any, keys: dict[str, tuple[type, bool]]) -> None:
    _require(isinstance(item, dict), where, f'{item!r} is not a mapping')
    for key, value in item.items():
        _require(key in keys, where, f"key '{key}' is not one of: {', '.join(keys)}")
        kind = keys[key][0]
        _require(type(value) is kind, where, f'{key} {value!r} is not a {kind.__name__}')
    for key, (_, required) in keys.items():
        _require(key in item or not required, where, f"has no key '{key}'")


def _require(condition: Any, where: str, problem: str) -> None:
    if not condition:
        raise ModelError(f'{where}: {problem}')


def digest_algorithms(hexdigests: Sequence[str]) -> list[str]:
    """Return the algorithms of some hex digests, by their lengths."""
    lengths = {len(d) for d in hexdigests}
    return [name for name, digits in DIGITS.items() if digits in lengths]


def compute_digest(path: Path, algorithm: str) -> str:
    """Return the hex digest of a file.

    :raises OSError: if it is not a regular file, cannot be read, or exceeds MAX_WEIGHTS_BYTES.
    """
    if problem := read_problem(path, MAX_WEIGHTS_BYTES):
        raise OSError(problem)
    state = hashlib.new(algorithm)
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def cached_digest(path: Path, algorithm: str) -> str:
    """Return the hex digest of a file, cached until its time or size changes.

    :raises OSError: as :func:`compute_digest`.
    """
    stat = path.stat()
    return _digest(path, algorithm, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _digest(path: Path, algorithm: str, _changed: int, _size: int) -> str:
    return compute_digest(path, algorithm)


def digest_mismatch(path: Path, expected: Sequence[str],
                    read: Callable[[Path, str], str] = cached_digest) -> str:
    """Return '' if a file has one of the digests, else a text with its own and the expected."""
    found = {name: read(path, name) for name in digest_algorithms(expected)}
    if set(found.values()) & set(expected):
        return ''
    has = ' and '.join(f'{name} {value}' for name, value in found.items())
    return f'it has {has} ({path.stat().st_size} bytes), expected {" or ".join(expected)}'
