"""Check the files of untrusted bags before the library rosbags opens them."""
from contextlib import closing, ExitStack
from pathlib import Path
import sqlite3
import sys
import tempfile
from urllib.parse import quote

from gaze_ros.bags.limits import (
    decompress_file,
    LimitExceededError,
    MAX_COMPRESSION_RATIO,
    MAX_DECOMPRESSED_BYTES,
)
from gaze_ros.core.system.safe_files import parse_yaml, read_problem, read_text

#: Maximum bytes of metadata.yaml; each file of a split bag adds about 200.
_MAX_METADATA_BYTES = 4 << 20
#: Version of metadata.yaml written by Jazzy and Kilted, the latest one known.
_LATEST_VERSION = 9

#: Finds views, triggers, virtual tables and computed columns. No recorder creates them, and
#: reading one may run for ever.
_COMPUTED_OBJECTS = """
    SELECT m.type || ' ' || m.name FROM sqlite_master m
    WHERE m.type NOT IN ('table', 'index') OR m.sql LIKE 'CREATE VIRTUAL%'
    UNION ALL
    SELECT 'computed column ' || x.name FROM sqlite_master m, pragma_table_xinfo(m.name) x
    WHERE m.type = 'table' AND x.hidden > 0 LIMIT 1"""


def checked_files(path: Path, stack: ExitStack) -> tuple[list[Path], bool]:
    """Return the files of a bag, in order, and whether each message is compressed by zstd.

    :param path: a folder with metadata.yaml, or a file.
    :param stack: on exit it removes the files that were unpacked here.
    :raises ValueError: if a file must not be opened, e.g. a pipe or a database with a view.
    :raises Exception: the libraries' own, if a file cannot be read.
    """
    files, mode = _files_in_metadata(path) if path.is_dir() else ([path], '')
    for file in files:
        if problem := read_problem(file, sys.maxsize):
            raise ValueError(f"'{file.name}': {problem}")
    if mode == 'file':
        files = _unpack(files, stack)
    for file in files:
        if file.suffix == '.db3' and (computed := _computed_object(file)):
            raise ValueError(f"'{file.name}': it holds a {computed}, which no recorder creates")
    return files, mode == 'message'


def _files_in_metadata(path: Path) -> tuple[list[Path], str]:
    """Return the files that a metadata.yaml lists, and what is compressed: file or message."""
    content = parse_yaml(read_text(path / 'metadata.yaml', _MAX_METADATA_BYTES))
    info = content.get('rosbag2_bagfile_information') if isinstance(content, dict) else None
    names = info.get('relative_file_paths') if isinstance(info, dict) else None
    if not names or not isinstance(names, list):
        raise ValueError('its metadata.yaml has no list of files: rosbag2_bagfile_information '
                         'with relative_file_paths')
    version = info.get('version')
    if not isinstance(version, int) or version > _LATEST_VERSION:
        raise ValueError(f'its metadata.yaml has version {version}; versions up to '
                         f'{_LATEST_VERSION} are supported')
    mode, codec = (str(info.get(f'compression_{key}') or '').lower() for key in ('mode', 'format'))
    mode = mode.replace('none', '')
    if mode and codec != 'zstd':
        raise ValueError(f"its metadata.yaml names the compression '{codec}'; only zstd is "
                         'supported')
    return [path / Path(str(name)).name for name in names], mode


def _unpack(files: list[Path], stack: ExitStack) -> list[Path]:
    """Unpack zstd files into a temporary folder; return the unpacked files."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='gaze_ros_bag_')))
    allowance = max(MAX_DECOMPRESSED_BYTES,
                    MAX_COMPRESSION_RATIO * sum(file.stat().st_size for file in files))
    targets = []
    for number, file in enumerate(files):
        subfolder = folder / str(number)  # the metadata may list a file twice
        subfolder.mkdir()
        targets.append(subfolder / file.stem)
        try:
            allowance -= decompress_file(file, targets[-1], allowance)
        except LimitExceededError as e:
            raise LimitExceededError(f"'{file.name}': {e}") from e
    return targets


def _computed_object(path: Path) -> str:
    """Return a computed object in a database, e.g. 'view messages', or ''."""
    with closing(sqlite3.connect(f'file:{quote(str(path))}?immutable=1', uri=True)) as database:
        row = database.execute(_COMPUTED_OBJECTS).fetchone()
    return row[0] if row else ''
