"""Bags of strangers, looked through before the library opens their files."""
from contextlib import closing, ExitStack
from pathlib import Path
import sqlite3
import sys
import tempfile
from urllib.parse import quote

from gaze_ros.bags.limits import (
    decompress_file,
    ExcessError,
    MAX_COMPRESSION_RATIO,
    MAX_DECOMPRESSED_BYTES,
)
from gaze_ros.core.system.safe_files import parse_yaml, read_problem, read_text

#: Bytes of metadata.yaml: each of a split bag's files has some 200.
_MOST = 4 << 20
#: Version of metadata.yaml that Jazzy and Kilted write; what a later one means is not known.
_LATEST = 9

#: Anything a recorder makes none of: it computes what is read, and may do so for ever.
_COMPUTED = """
    SELECT m.type || ' ' || m.name FROM sqlite_master m
    WHERE m.type NOT IN ('table', 'index') OR m.sql LIKE 'CREATE VIRTUAL%'
    UNION ALL
    SELECT 'computed column ' || x.name FROM sqlite_master m, pragma_table_xinfo(m.name) x
    WHERE m.type = 'table' AND x.hidden > 0 LIMIT 1"""


def contents(path: Path, stack: ExitStack) -> tuple[list[Path], bool]:
    """Return the files of a bag, in order, and whether each message is packed by zstd.

    :param path: a folder with metadata.yaml, or a file.
    :param stack: removes files that were unpacked.
    :raises ValueError: if one is not to be opened: a pipe may never end, a view neither.
    :raises Exception: of the libraries', if one cannot be read.
    """
    files, mode = _listed(path) if path.is_dir() else ([path], '')
    for file in files:
        if why := read_problem(file, sys.maxsize):
            raise ValueError(f"'{file.name}': {why}")
    if mode == 'file':
        files = _unpacked(files, stack)
    for file in files:
        if file.suffix == '.db3' and (computed := _computed(file)):
            raise ValueError(f"'{file.name}': it holds a {computed}, which no recorder makes")
    return files, mode == 'message'


def _listed(path: Path) -> tuple[list[Path], str]:
    """Return the files that a metadata.yaml lists, and what is compressed: file or message."""
    content = parse_yaml(read_text(path / 'metadata.yaml', _MOST))
    info = content.get('rosbag2_bagfile_information') if isinstance(content, dict) else None
    names = info.get('relative_file_paths') if isinstance(info, dict) else None
    if not names or not isinstance(names, list):
        raise ValueError('its metadata.yaml has no list of files: rosbag2_bagfile_information '
                         'with relative_file_paths')
    version = info.get('version')
    if not isinstance(version, int) or version > _LATEST:
        raise ValueError(f'its metadata.yaml is of version {version}, at most {_LATEST} is known')
    mode, form = (str(info.get(f'compression_{key}') or '').lower() for key in ('mode', 'format'))
    mode = mode.replace('none', '')
    if mode and form != 'zstd':
        raise ValueError(f"its metadata.yaml tells a compression by '{form}': zstd is known")
    return [path / Path(str(name)).name for name in names], mode


def _unpacked(files: list[Path], stack: ExitStack) -> list[Path]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='gaze_ros_bag_')))
    left = max(MAX_DECOMPRESSED_BYTES, MAX_COMPRESSION_RATIO * sum(file.stat().st_size for file in files))
    targets = []
    for number, file in enumerate(files):
        place = folder / str(number)  # a list may name one twice
        place.mkdir()
        targets.append(place / file.stem)
        try:
            left -= decompress_file(file, targets[-1], left)
        except ExcessError as e:
            raise ExcessError(f"'{file.name}': {e}") from e
    return targets


def _computed(path: Path) -> str:
    with closing(sqlite3.connect(f'file:{quote(str(path))}?immutable=1', uri=True)) as base:
        found = base.execute(_COMPUTED).fetchone()
    return found[0] if found else ''
