"""Reading bags: rosbag2 folders and lone files, mcap and sqlite3."""
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple, Optional

from gaze_ros.bags.foreign import refusal
from gaze_ros.bags.library import rosbags
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
        try:
            if why := refusal(path):
                raise ValueError(why)
            self._reader = library.Reader(path)
            self._reader.open()
            self.topics = {
                # A foreign database may name a topic by a number, or not at all.
                str(name): Topic(str(name), str(info.msgtype or ''), int(info.msgcount or 0))
                for name, info in self._reader.topics.items()}
        except Exception as e:
            raise self._broken(e) from e

    def records(self, topics: Collection[str]) -> Iterator[Record]:
        """Yield the messages of some topics, in the order in which they were recorded.

        :raises SourceError: where the bag is broken; those before it have been yielded.
        """
        connections = [c for c in self._reader.connections if c.topic in topics]
        if not connections:
            return
        try:
            for connection, time, cdr in self._reader.messages(connections):
                yield Record(connection.topic, time, bytes(cdr))
        except Exception as e:
            raise self._broken(e) from e

    def first(self, topic: str) -> Optional[Record]:
        """Return the first message of a topic; None where it has none.

        :raises SourceError: where the bag is broken.
        """
        return next(self.records([topic]), None)

    def close(self) -> None:
        """Close the bag."""
        self._reader.close()

    def _other_ways(self) -> str:
        files = sorted(p.name for p in self.path.iterdir() if p.suffix in ('.mcap', '.db3'))
        if not files:
            return 'and it holds no .mcap or .db3 file'
        return f"'ros2 bag reindex' makes it, or give the file: {', '.join(files)}"

    def _broken(self, error: Exception) -> SourceError:
        words = ' '.join(str(error).split()) or type(error).__name__
        more = ''
        if self.path.suffix == '.mcap' or self.path.is_dir() and any(self.path.glob('*.mcap')):
            more = ("; 'mcap recover' saves what there is of a file that was broken off "
                    "(the mcap command line tool's)")
        return SourceError(
            f"bag '{self.path}' cannot be read as a rosbag2 folder, .mcap or .db3 file: "
            f'{words}{more}')
