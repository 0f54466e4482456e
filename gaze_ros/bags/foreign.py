"""Bags of strangers, looked through before the library opens them."""
from contextlib import closing
from pathlib import Path
import sqlite3
import sys
from urllib.parse import quote

from gaze_ros.core.files import parse_yaml, read_text, unreadable

#: Bytes of metadata.yaml: each of a split bag's files has some 200.
_MOST = 4 << 20

#: Anything a recorder makes none of: it computes what is read, and may do so for ever.
_COMPUTED = """
    SELECT m.type || ' ' || m.name FROM sqlite_master m
    WHERE m.type NOT IN ('table', 'index') OR m.sql LIKE 'CREATE VIRTUAL%'
    UNION ALL
    SELECT 'computed column ' || x.name FROM sqlite_master m, pragma_table_xinfo(m.name) x
    WHERE m.type = 'table' AND x.hidden > 0 LIMIT 1"""


def refusal(path: Path) -> str:
    """Return why a bag is not opened, or '': a pipe in it may never end, a view neither.

    :param path: a folder with metadata.yaml, or a file.
    :raises ValueError: if its metadata.yaml is none, OSError, sqlite3.Error: if it cannot be read.
    """
    if not path.is_dir():
        return _of_file(path)
    content = parse_yaml(read_text(path / 'metadata.yaml', _MOST))
    info = content.get('rosbag2_bagfile_information') if isinstance(content, dict) else None
    names = info.get('relative_file_paths') if isinstance(info, dict) else None
    for name in names if isinstance(names, list) else ():
        if why := _of_file(path / Path(str(name)).name):
            return f"'{name}': {why}"
    return ''


def _of_file(path: Path) -> str:
    if why := unreadable(path, sys.maxsize):
        return why
    if path.suffix != '.db3':
        return ''
    with closing(sqlite3.connect(f'file:{quote(str(path))}?immutable=1', uri=True)) as base:
        found = base.execute(_COMPUTED).fetchone()
    return f'it holds a {found[0]}, which no recorder makes' if found else ''
