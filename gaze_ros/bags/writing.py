"""Writing bags: mcap, in a rosbag2 folder or alone."""
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
import shutil
from typing import Union

from gaze_ros.bags.library import rosbags, typestore
from gaze_ros.core.errors import GazeRosError

#: Version of metadata.yaml that Jazzy and Kilted write.
_VERSION = 9


class BagWriter:
    """Writes a bag that rosbag2 and every reader of mcap take; it holds its messages' definitions.

    Until it is closed the folder has no metadata.yaml, and a lone file has another name.

    :param path: a folder to make, or a file that ends in ``.mcap``.
    :param topics: type of each topic, by name.
    :raises GazeRosError: if something is there already, or it cannot be written.
    """

    def __init__(self, path: Path, topics: Mapping[str, str]) -> None:
        if path.suffix == '.db3':
            raise GazeRosError(f"'{path}': bags are written as mcap: give a folder, or a name "
                               'that ends in .mcap')
        self.path = path
        self._alone = path.suffix == '.mcap'
        self._incomplete = path.with_name(
            f'{path.stem}.incomplete.mcap' if self._alone else f'{path.name}.incomplete')
        self._work = path.with_name(f'{path.name}.writing') if self._alone else path
        for one in (path, self._incomplete, self._work):
            if one.exists():
                raise GazeRosError(f"'{one}' is there already, and no bag is overwritten: remove "
                                   'it, or give another name')
        library, store = rosbags('rosbag2'), typestore()
        qos = [_reliable()]
        try:
            self._writer = library.Writer(
                self._work / path.stem if self._alone else path, version=_VERSION,
                storage_plugin=library.StoragePlugin.MCAP)
            self._writer.open()
        except OSError as e:
            raise self._failed(e) from e
        self._connections = {
            name: self._writer.add_connection(
                name, kind, typestore=store, offered_qos_profiles=qos)
            for name, kind in topics.items()}

    def add(self, topic: str, time: int, cdr: Union[bytes, memoryview]) -> None:
        """Add a message.

        :param time: when it was recorded, nanoseconds.
        :raises GazeRosError: if it cannot be written.
        """
        try:
            self._writer.write(self._connections[topic], time, cdr)
        except OSError as e:
            raise self._failed(e) from e

    def close(self, whole: bool = True) -> Path:
        """End the bag so that it can be read; return where it is.

        :param whole: whether it has all it should; else it is named ``incomplete``.
        :raises GazeRosError: if it cannot be written.
        """
        target = self.path if whole else self._incomplete
        try:
            self._writer.close()
            if self._alone:
                (self._work / self.path.stem / self.path.name).rename(target)
                shutil.rmtree(self._work)
            elif not whole:
                self.path.rename(target)
        except OSError as e:
            raise self._failed(e) from e
        return target

    def abort(self) -> None:
        """Leave the file as it is, after a failure: without an index, and not readable as such."""
        with suppress(OSError):
            self._writer.abort()

    def discard(self) -> None:
        """Remove what was written."""
        self.abort()
        shutil.rmtree(self._work, ignore_errors=True)

    def _failed(self, error: OSError) -> GazeRosError:
        return GazeRosError(f"bag '{self.path}' cannot be written: {error.strerror or error}")


def _reliable() -> object:
    """Return the quality of service that ros2 bag play is to publish with: one for everybody."""
    i = rosbags('interfaces')
    none = i.QosTime(0, 0)
    return i.Qos(
        i.QosHistory.KEEP_LAST, 10, i.QosReliability.RELIABLE, i.QosDurability.VOLATILE, none,
        none, i.QosLiveliness.AUTOMATIC, none, avoid_ros_namespace_conventions=False)
