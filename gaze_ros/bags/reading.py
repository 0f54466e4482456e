"""Reading bags: rosbag2 folders and single .mcap and .db3 files."""
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Optional

from gaze_ros.bags import limits
from gaze_ros.bags.rosbags_library import rosbags
from gaze_ros.bags.sanitizer import checked_files
from gaze_ros.core.errors import SourceError


class Topic(NamedTuple):
    """A topic of a bag: name, type (e.g. ``sensor_msgs/msg/Image``) and number of messages."""

    name: str
    type: str
    count: int


class Record(NamedTuple):
    """A message of a bag.

    :ivar topic: name of its topic.
    :ivar time: time of recording, nanoseconds.
    :ivar cdr: the serialized message.
    """

    topic: str
    time: int
    cdr: bytes


class BagReader:
    """An open bag, read on demand.

    Bags are untrusted: any exception while reading one becomes a SourceError.

    :param path: a folder with metadata.yaml, or an .mcap or .db3 file.
    :raises SourceError: if it is not a bag, or is broken.
    :raises GazeRosError: if rosbags is not installed.
    :ivar topics: topics by name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        library = rosbags('rosbag2')
        if not path.exists():
            raise SourceError(f"bag '{path}' does not exist")
        if path.is_dir() and not (path / 'metadata.yaml').is_file():
            raise SourceError(
                f"bag '{path}' has no metadata.yaml: was its recording interrupted? "
                f'{self._alternatives()}')
        self._library = library
        self._stack = ExitStack()
        self._readers: list[tuple[Path, Any]] = []
        try:
            files, self._compressed = checked_files(path, self._stack)
            for file in files:
                self._open(file)
        except Exception as e:
            self._stack.close()
            raise self._error(e) from e
        self.topics = self._merged_topics()

    def records(self, topics: Collection[str]) -> Iterator[Record]:
        """Yield the messages of some topics, in the order in which they were recorded.

        :raises SourceError: if the bag is broken or exceeds a size limit; the messages before
            that have been yielded.
        """
        for file, reader in self._readers:
            connections = [c for c in reader.connections if c.topic in topics]
            if not connections:
                continue
            try:
                for connection, time, data in reader.messages(connections):
                    yield Record(connection.topic, time, self._cdr(connection, data))
            except Exception as e:
                raise self._error(e, file, reader) from e

    def first(self, topic: str) -> Optional[Record]:
        """Return the first message of a topic, None if it has none.

        :raises SourceError: if the bag is broken.
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
            if problem := limits.chunks_problem(getattr(reader.storage, 'chunks', ())):
                raise limits.LimitExceededError(problem)
        except limits.LimitExceededError as e:
            raise limits.LimitExceededError(f"'{file.name}': {e}") from e
        self._readers.append((file, reader))

    def _merged_topics(self) -> dict[str, Topic]:
        """Return the topics of all files; the type is '' for a topic with several types."""
        topics: dict[str, Topic] = {}
        for connection in (c for _, reader in self._readers for c in reader.connections):
            # A manipulated database may name a topic by a number, or not at all.
            name, kind = str(connection.topic), str(connection.msgtype or '')
            previous = topics.get(name, Topic(name, kind, 0))
            topics[name] = Topic(name, kind if kind == previous.type else '',
                                 previous.count + int(connection.msgcount or 0))
        return topics

    def _cdr(self, connection: Any, data: bytes) -> bytes:
        if (encoding := connection.ext.serialization_format) != 'cdr':
            raise ValueError(f"the messages of '{connection.topic}' are in '{encoding}', not cdr")
        if not self._compressed:
            return bytes(data)
        try:
            return limits.decompress(data)
        except limits.LimitExceededError as e:
            raise limits.LimitExceededError(f"a message of '{connection.topic}': {e}") from e

    def _alternatives(self) -> str:
        files = sorted(p.name for p in self.path.iterdir() if p.suffix in ('.mcap', '.db3'))
        if not files:
            return 'It holds no .mcap or .db3 file'
        return f"Create it with 'ros2 bag reindex', or give the file: {', '.join(files)}"

    def _error(self, error: Exception, file: Optional[Path] = None, reader: Any = None
               ) -> SourceError:
        reason = ' '.join(str(error).split()) or type(error).__name__
        if file is not None:
            stream = getattr(reader.storage, 'bio', None)
            reason = f"'{file.name}'{f', before byte {stream.tell()}' if stream else ''}: {reason}"
        if isinstance(error, limits.LimitExceededError):
            return SourceError(f"bag '{self.path}' exceeds a limit: {reason}")
        remedy = ''
        if self.path.suffix == '.mcap' or self.path.is_dir() and any(self.path.glob('*.mcap')):
            remedy = ("; 'mcap recover' of the mcap command line tool restores an interrupted "
                      'recording')
        return SourceError(
            f"bag '{self.path}' cannot be read as a rosbag2 folder, .mcap or .db3 file: "
            f'{reason}{remedy}')
