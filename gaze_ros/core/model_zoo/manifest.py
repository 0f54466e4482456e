"""What weights/manifest.yaml may hold, and reading it."""
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

#: What an entry may be; a name is unique within its kind.
KINDS = ('gaze', 'detector', 'part')

_HEAD_ORDERS = ('as_named', 'swapped')


@dataclass(frozen=True)
class Generation:
    """What is known of one file: files of one name were replaced by others.

    :ivar head_order: ``as_named`` or ``swapped``; '' where its heads have no names that matter.
    """

    generation: str
    head_order: str = ''


@dataclass(frozen=True)
class ModelFile:
    """A file that holds a model.

    :ivar size: bytes of every file in digests; None where it is not known.
    :ivar package: the installed package that has it, at the path ``inside`` of its folder.
    :ivar bin: what an OpenVINO .xml needs beside it.
    :ivar digests: the files known by that name, by hex digest: SHA-256 or, 96 digits, SHA-384.
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
        """Return which of the known files it is that lies at path, or None."""
        for algorithm in digest_algorithms([*self.digests]):
            if found := self.digests.get(cached_digest(path, algorithm)):
                return found
        return None


@dataclass(frozen=True)
class Model:
    """An entry of weights/manifest.yaml, which says what its keys mean."""

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


#: Keys of an entry and of a file: their type, and whether they must be there.
_MODEL = {
    'name': (str, True), 'kind': (str, True), 'needs_weight': (bool, True),
    'licence': (str, True), 'may_be_shipped': (bool, True), 'source': (str, True),
    'family': (str, False), 'architecture': (str, False), 'accuracy': (str, False),
    'notes': (str, False), 'parts': (list, False), 'files': (list, False)}
_FILE = {
    'name': (str, True), 'size': (int, False), 'url': (str, False), 'package': (str, False),
    'inside': (str, False), 'bin': (dict, False), 'sha256': (dict, False),
    'sha384': (dict, False)}
#: A name that is one in every folder, and nothing to a shell: a target's, so without '..'.
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}')
_GENERATION = {'generation': (str, True), 'head_order': (str, False)}


def load(path: Path) -> tuple[Model, ...]:
    """Return the entries of a manifest.

    :raises ModelError: naming the entry that is not as it should be.
    """
    try:
        entries = tuple(_model(str(path), one) for one in _content(path)['models'])
    except (TypeError, KeyError) as e:
        raise ModelError(f"'{path}' holds no list of models: {e}") from e
    seen = set()
    for one in entries:
        where = f"{path}: {one.kind} '{one.name}'"
        _demand((one.kind, one.name) not in seen, where, 'is there twice')
        seen.add((one.kind, one.name))
        for part in one.parts:
            _demand(any(e.kind == 'part' and e.name == part for e in entries), where,
                    f"needs the part '{part}', which is no entry")
    return entries


def load_redirects(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the hosts that each host may redirect to.

    :raises ModelError: if it is no such mapping.
    """
    content, where = _content(path), f"'{path}', redirects"
    _demand(isinstance(content, dict), where, 'the file is no mapping')
    given = content.get('redirects', {})
    _demand(isinstance(given, dict), where, f'{given!r} is not a mapping')
    for host, others in given.items():
        _demand(isinstance(others, list) and all(
            isinstance(one, str) and re.fullmatch('[a-z0-9.-]+', one) for one in (host, *others)),
            where, f"'{host}' has no list of hosts")
    return {host: tuple(others) for host, others in given.items()}


def _content(path: Path) -> Any:
    try:
        return parse_yaml(read_text(path))
    except (OSError, ValueError) as e:
        raise ModelError(f"'{path}' holds no list of models: {e}") from e


def _model(path: str, given: Any) -> Model:
    name = given.get('name') if isinstance(given, dict) else given
    where = f"{path}: entry '{name}'"
    _check(where, given, _MODEL)
    _demand(given['kind'] in KINDS, where, f"kind '{given['kind']}' is not one of: {KINDS}")
    _demand(bool(given.get('family')) == (given['kind'] == 'gaze'), where,
            'a gaze model has a family, and nothing else has')
    files = tuple(_file(where, one) for one in given.get('files', ()))
    return Model(**{**given, 'parts': tuple(given.get('parts', ())), 'files': files})


def _file(where: str, given: Any) -> ModelFile:
    _check(where, given, _FILE)
    where = f"{where}, file '{given['name']}'"
    digests = {}
    for algorithm, digits in DIGITS.items():
        for hexdigest, about in given.get(algorithm, {}).items():
            _demand(re.fullmatch(f'[0-9a-f]{{{digits}}}', str(hexdigest)), where,
                    f'{algorithm} {hexdigest} is not {digits} lower-case hex digits')
            _check(f'{where}, {hexdigest}', about, _GENERATION)
            _demand(about.get('head_order', 'as_named') in _HEAD_ORDERS, where,
                    f'head_order is not one of: {_HEAD_ORDERS}')
            digests[hexdigest] = Generation(**about)
    file = ModelFile(**{
        key: given[key] for key in ('name', 'size', 'url', 'package', 'inside') if key in given},
        bin=_file(where, given['bin']) if 'bin' in given else None, digests=digests)
    _demand(_NAME.fullmatch(file.name), where,
            'a name has no folders, and is of letters, digits and _.+- alone')
    _demand(not file.url or urlsplit(file.url).scheme == 'https', where, 'url is not https')
    _demand(bool(file.package) == bool(file.inside), where, 'package and inside go together')
    # What has a dot is imported to be found.
    _demand(not file.package or file.package.isidentifier(), where, 'package is no name of one')
    _demand(not Path(file.inside).is_absolute() and '..' not in Path(file.inside).parts, where,
            'inside leads out of the package')
    _demand((file.suffix == '.xml') == bool(file.bin), where, 'an .xml has a bin, no other has')
    _demand(not file.bin or file.bin.name == Path(file.name).stem + '.bin', where,
            f"its bin is named '{file.bin and file.bin.name}', not as it is")
    return file


def _check(where: str, given: Any, keys: dict[str, tuple[type, bool]]) -> None:
    _demand(isinstance(given, dict), where, f'{given!r} is not a mapping')
    for key, value in given.items():
        _demand(key in keys, where, f"key '{key}' is not one of: {', '.join(keys)}")
        kind = keys[key][0]
        _demand(type(value) is kind, where, f'{key} {value!r} is not a {kind.__name__}')
    for key, (_, needed) in keys.items():
        _demand(key in given or not needed, where, f"has no key '{key}'")


def _demand(condition: Any, where: str, complaint: str) -> None:
    if not condition:
        raise ModelError(f'{where}: {complaint}')


#: Hex digits of a digest, by the name hashlib and the manifest have for it.
DIGITS = {'sha256': 64, 'sha384': 96}


def digest_algorithms(hexdigests: Sequence[str]) -> list[str]:
    """Return which algorithms have digests of so many digits."""
    lengths = {len(d) for d in hexdigests}
    return [name for name, digits in DIGITS.items() if digits in lengths]


def compute_digest(path: Path, algorithm: str) -> str:
    """Return the hex digest of a file.

    :raises OSError: if it is no file, cannot be read, or is larger than any model.
    """
    if why := read_problem(path, MAX_WEIGHTS_BYTES):
        raise OSError(why)
    state = hashlib.new(algorithm)
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def cached_digest(path: Path, algorithm: str) -> str:
    """Return the hex digest of a file; it is read again only when it has changed.

    :raises OSError: as :func:`compute`.
    """
    stat = path.stat()
    return _digest(path, algorithm, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _digest(path: Path, algorithm: str, _changed: int, _size: int) -> str:
    return compute_digest(path, algorithm)


def digest_mismatch(path: Path, expected: Sequence[str],
             read: Callable[[Path, str], str] = cached_digest) -> str:
    """Return '' if a file has one of the digests, else what it has and what was expected."""
    found = {name: read(path, name) for name in digest_algorithms(expected)}
    if set(found.values()) & set(expected):
        return ''
    has = ' and '.join(f'{name} {value}' for name, value in found.items())
    return f'it has {has} ({path.stat().st_size} bytes), expected {" or ".join(expected)}'
