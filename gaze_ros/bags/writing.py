"""Writing bags: mcap, in a rosbag2 folder or as a single file."""
from collections.abc import Mapping
from contextlib import suppress
import math
import os
from pathlib import Path
import shutil
from time import monotonic
from typing import Union

from gaze_ros.bags.rosbags_library import rosbags, typestore
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import safe_paths
from gaze_ros.core.output.disk_guard import DiskSpaceGuard, next_free_path
from gaze_ros.core.system.utf8 import is_utf8

#: Version of metadata.yaml, as written by Jazzy and Kilted.
_VERSION = 9

#: Seconds between flushes; a process that is killed loses at most the messages of one.
_FLUSH_PERIOD = 2.0


class BagWriter:
    """Writes a bag that rosbag2 and every mcap reader can read; message definitions are included.

    Until it is closed, a folder has no metadata.yaml and a single file has another name. A process
    that is killed leaves all but the last seconds in an .mcap file without an index; 'mcap
    recover' restores it, and 'ros2 bag reindex' writes the metadata.yaml of a folder.

    :param path: a folder to create, or a file that ends in ``.mcap``.
    :param topics: type of each topic, by name.
    :param keep_since: Unix time, s. If an existing bag at ``path`` was written then or later, it
        is kept and PATH_2, PATH_3, ... is written: its process may have been killed and restarted.
    :raises GazeRosError: if an older bag exists there, or it cannot be written.
    :ivar path: where the bag is after it is closed.
    """

    def __init__(
            self, path: Path, topics: Mapping[str, str], keep_since: float = math.inf) -> None:
        if path.suffix == '.db3':
            raise GazeRosError(f"'{path}': bags are written as mcap: give a folder, or a name "
                               'that ends in .mcap')
        try:
            self.path = path = safe_paths.safe_path(path)
        except OSError as e:
            raise GazeRosError(f"bag '{path}' cannot be written: {e.strerror or e}") from e
        if not is_utf8(path.name):
            raise GazeRosError(f"bag '{path}' cannot be written: its name is not UTF-8, as its "
                               'metadata must be; give another name')
        if all(os.lstat(existing).st_mtime >= keep_since for existing in _existing(path)):
            self.path = path = free_path(path)
        self._single_file = path.suffix == '.mcap'
        self._incomplete, self._work = _other_paths(path)
        if existing := _existing(path):
            raise GazeRosError(f"'{existing[0]}' already exists, and no bag is overwritten: "
                               'remove it, or give another name')
        self._intact, self._flushed = True, monotonic()
        library, store = rosbags('rosbag2'), typestore()
        qos = [_reliable_qos()]
        folder = self._work / path.stem if self._single_file else path
        try:
            self._writer = library.Writer(
                folder, version=_VERSION, storage_plugin=library.StoragePlugin.MCAP)
            self._writer.open()
            # rosbag2's name of the first file of a bag: ros2 bag reindex takes no other.
            storage = self._writer.storage
            self._file = storage.path = storage.path.rename(folder / f'{folder.name}_0.mcap')
        except OSError as e:
            raise self._error(e) from e
        try:
            self._disk_space = DiskSpaceGuard(self._file)
        except GazeRosError:
            shutil.rmtree(self._work, ignore_errors=True)
            raise
        self._connections = {
            name: self._writer.add_connection(
                name, kind, typestore=store, offered_qos_profiles=qos)
            for name, kind in topics.items()}

    def add(self, topic: str, time: int, cdr: Union[bytes, memoryview]) -> None:
        """Add a message.

        :param time: time of recording, nanoseconds.
        :raises GazeRosError: if it cannot be written or its disk is almost full; close it then.
        """
        self._disk_space.check()
        try:
            self._writer.write(self._connections[topic], time, cdr)
            if monotonic() > self._flushed + _FLUSH_PERIOD:
                self._flush()
        except OSError as e:
            self._intact = False
            raise self._error(e) from e

    def close(self, complete: bool = True) -> Path:
        """Finish the bag so that it can be read; return its path.

        :param complete: whether it has all its messages; otherwise it is named ``incomplete``.
        :raises GazeRosError: if it cannot be written.
        """
        target = self.path if complete else self._incomplete
        if not self._disk_space.in_place:
            self.abort()
            raise GazeRosError(f"bag '{self.path}' was removed while it was written: nothing of "
                               'it is saved')
        if not self._intact:
            self.abort()
            raise GazeRosError(f"bag '{self.path}' could not be finished and has no index; "
                               "'mcap recover' restores its .mcap file")
        try:
            self._disk_space.release_reserve()
            self._writer.close()
            self._disk_space.close()
            if self._single_file:
                self._file.rename(target)
                shutil.rmtree(self._work)
            elif not complete:
                self.path.rename(target)
        except OSError as e:
            raise self._error(e) from e
        return target

    def abort(self) -> None:
        """Leave the file as it is after a failure: without an index, readable after recovery."""
        self._disk_space.close()
        with suppress(OSError):
            self._writer.abort()

    def discard(self) -> None:
        """Remove what was written."""
        self.abort()
        shutil.rmtree(self._work, ignore_errors=True)

    def _flush(self) -> None:
        """Write the current chunk early: gaze messages alone take half a minute to fill one."""
        self._flushed = monotonic()
        self._writer.storage.close_chunk()
        self._writer.storage.bio.flush()

    def _error(self, error: OSError) -> GazeRosError:
        return GazeRosError(f"bag '{self.path}' cannot be written: {error.strerror or error}")


def free_path(path: Path) -> Path:
    """Return the first of PATH, PATH_2, PATH_3, ... at which no bag exists."""
    return next_free_path(path, lambda candidate: bool(_existing(candidate)))


def _existing(path: Path) -> list[Path]:
    """Return the existing files that prevent writing a bag to a path."""
    return [p for p in (path, *_other_paths(path)) if os.path.lexists(p)]


def _other_paths(path: Path) -> tuple[Path, Path]:
    """Return the path of an incomplete bag, and the path while it is written."""
    if path.suffix == '.mcap':
        return (path.with_name(f'{path.stem}.incomplete.mcap'),
                path.with_name(f'{path.name}.writing'))
    return path.with_name(f'{path.name}.incomplete'), path


def _reliable_qos() -> object:
    """Return the QoS profile that ros2 bag play publishes with; it matches all subscribers."""
    i = rosbags('interfaces')
    none = i.QosTime(0, 0)
    return i.Qos(
        i.QosHistory.KEEP_LAST, 10, i.QosReliability.RELIABLE, i.QosDurability.VOLATILE, none,
        none, i.QosLiveliness.AUTOMATIC, none, avoid_ros_namespace_conventions=False)
