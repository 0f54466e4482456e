"""Reading bags: rosbag2 folders and lone files, mcap and sqlite3."""
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Optional

from gaze_ros.bags import limits
from gaze_ros.bags.library import rosbags
from gaze_ros.bags.sanitizer import contents
from gaze_ros.core.errors import SourceError


class Topic(NamedTuple):
    """A topic of a bag: its type as ``sensor_msgs/msg/Image``, and how many messages it has."""

    name: str
    type: str
    count: int


class Record(NamedTuple):
    """A message of a bag.

    :ivar topic: its name.
    :ivar time: when it was recorded, nanoseconds.
    :ivar cdr: the message, serialized.
    """

    topic: str
    time: int
    cdr: bytes


class BagReader:
    """An open bag.

    Its storage is read as it is asked for. Nothing is known of what is in foreign files, so
    whatever goes wrong with them is a SourceError.

    :param path: a folder with metadata.yaml, or an .mcap or .db3 file.
    :raises SourceError: if it is no bag, or is broken.
    :raises GazeRosError: if rosbags is not installed.
    :ivar topics: by name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        library = rosbags('rosbag2')
        if not path.exists():
            raise SourceError(f"bag '{path}' does not exist")
        if path.is_dir() and not (path / 'metadata.yaml').is_file():
            raise SourceError(
                f"bag '{path}' has no metadata.yaml: was its recording broken off? "
                f"{self._other_ways()}")
        self._library = library
        self._stack = ExitStack()
        self._readers: list[tuple[Path, Any]] = []
        try:
            files, self._packed = contents(path, self._stack)
            for file in files:
                self._open(file)
        except Exception as e:
            self._stack.close()
            raise self._broken(e) from e
        self.topics = self._listed()

    def records(self, topics: Collection[str]) -> Iterator[Record]:
        """Yield the messages of some topics, in the order in which they were recorded.

        :raises SourceError: where the bag is broken, or unpacks to more than is taken; those
            before it have been yielded.
        """
        for file, reader in self._readers:
            connections = [c for c in reader.connections if c.topic in topics]
            if not connections:
                continue
            try:
                for connection, time, data in reader.messages(connections):
                    yield Record(connection.topic, time, self._cdr(connection, data))
            except Exception as e:
                raise self._broken(e, file, reader) from e

    def first(self, topic: str) -> Optional[Record]:
        """Return the first message of a topic; None where it has none.

        :raises SourceError: where the bag is broken.
        """
        return next(self.records([topic]), None)

    def close(self) -> None:
        """Close the bag."""
        self._stack.close()

    def _open(self, file: Path) -> None:
        try:
            reader = self._library.Reader(file)
            reader.open()
            self._stack.callback(reader.close)
            if why := limits.chunks_problem(getattr(reader.storage, 'chunks', ())):
                raise limits.ExcessError(why)
        except limits.ExcessError as e:
            raise limits.ExcessError(f"'{file.name}': {e}") from e
        self._readers.append((file, reader))

    def _listed(self) -> dict[str, Topic]:
        """Return the topics of all files; one of several types has none."""
        found: dict[str, Topic] = {}
        for connection in (c for _, reader in self._readers for c in reader.connections):
            # A foreign database may name a topic by a number, or not at all.
            name, kind = str(connection.topic), str(connection.msgtype or '')
            before = found.get(name, Topic(name, kind, 0))
            found[name] = Topic(name, kind if kind == before.type else '',
                                before.count + int(connection.msgcount or 0))
        return found

    def _cdr(self, connection: Any, data: bytes) -> bytes:
        if (form := connection.ext.serialization_format) != 'cdr':
            raise ValueError(f"the messages of '{connection.topic}' are in '{form}', not cdr")
        if not self._packed:
            return bytes(data)
        try:
            return limits.decompress(data)
        except limits.ExcessError as e:
            raise limits.ExcessError(f"a message of '{connection.topic}': {e}") from e

    def _other_ways(self) -> str:
        files = sorted(p.name for p in self.path.iterdir() if p.suffix in ('.mcap', '.db3'))
        if not files:
            return 'and it holds no .mcap or .db3 file'
        return f"'ros2 bag reindex' makes it, or give the file: {', '.join(files)}"

    def _broken(self, error: Exception, file: Optional[Path] = None, reader: Any = None
                ) -> SourceError:
        words = ' '.join(str(error).split()) or type(error).__name__
        if file is not None:
            at = getattr(reader.storage, 'bio', None)
            words = f"'{file.name}'{f', before byte {at.tell()}' if at else ''}: {words}"
        if isinstance(error, limits.ExcessError):
            return SourceError(f"bag '{self.path}' is not read: {words}")
        more = ''
        if self.path.suffix == '.mcap' or self.path.is_dir() and any(self.path.glob('*.mcap')):
            more = ("; 'mcap recover' saves what there is of a file that was broken off "
                    "(the mcap command line tool's)")
        return SourceError(
            f"bag '{self.path}' cannot be read as a rosbag2 folder, .mcap or .db3 file: "
            f'{words}{more}')
