"""Writing bags: mcap, in a rosbag2 folder or alone."""
from collections.abc import Mapping
from contextlib import suppress
import math
import os
from pathlib import Path
import shutil
from time import monotonic
from typing import Union

from gaze_ros.bags.library import rosbags, typestore
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import safe_paths
from gaze_ros.core.output.disk_guard import DiskSpaceGuard, next_free_path

#: Version of metadata.yaml that Jazzy and Kilted write.
_VERSION = 9

#: Seconds of messages that a process may take with it when it is killed.
_FLUSH = 2.0


class BagWriter:
    """Writes a bag that rosbag2 and every reader of mcap take; it holds its messages' definitions.

    Until it is closed the folder has no metadata.yaml, and a lone file has another name. A process
    that is killed leaves all but the last seconds in its .mcap file, without the index: 'mcap
    recover' makes a whole one of it.

    :param path: a folder to make, or a file that ends in ``.mcap``.
    :param topics: type of each topic, by name.
    :param kept: the time, in seconds, from which on what was written there then or later is no
        reason to refuse: this one's process may have been killed, and started again. The bag is
        made at PATH_2, PATH_3, ... then.
    :raises GazeRosError: if something is there already, or it cannot be written.
    :ivar path: where it is when it is closed.
    """

    def __init__(self, path: Path, topics: Mapping[str, str], kept: float = math.inf) -> None:
        if path.suffix == '.db3':
            raise GazeRosError(f"'{path}': bags are written as mcap: give a folder, or a name "
                               'that ends in .mcap')
        try:
            self.path = path = safe_paths.safe_path(path)
        except OSError as e:
            raise GazeRosError(f"bag '{path}' cannot be written: {e.strerror or e}") from e
        if all(os.lstat(one).st_mtime >= kept for one in _there(path)):
            self.path = path = free_path(path)
        self._alone = path.suffix == '.mcap'
        self._incomplete, self._work = _others(path)
        if taken := _there(path):
            raise GazeRosError(f"'{taken[0]}' is there already, and no bag is overwritten: remove "
                               'it, or give another name')
        self._whole, self._flushed = True, monotonic()
        library, store = rosbags('rosbag2'), typestore()
        qos = [_reliable()]
        try:
            self._writer = library.Writer(
                self._work / path.stem if self._alone else path, version=_VERSION,
                storage_plugin=library.StoragePlugin.MCAP)
            self._writer.open()
        except OSError as e:
            raise self._failed(e) from e
        inner = self._work / path.stem if self._alone else path
        try:
            self._room = DiskSpaceGuard(inner / f'{inner.name}.mcap')
        except GazeRosError:
            shutil.rmtree(self._work, ignore_errors=True)
            raise
        self._connections = {
            name: self._writer.add_connection(
                name, kind, typestore=store, offered_qos_profiles=qos)
            for name, kind in topics.items()}

    def add(self, topic: str, time: int, cdr: Union[bytes, memoryview]) -> None:
        """Add a message.

        :param time: when it was recorded, nanoseconds.
        :raises GazeRosError: if it cannot be written, or its disk is all but full: close it then.
        """
        self._room.check()
        try:
            self._writer.write(self._connections[topic], time, cdr)
            if monotonic() > self._flushed + _FLUSH:
                self._flush()
        except OSError as e:
            self._whole = False
            raise self._failed(e) from e

    def close(self, whole: bool = True) -> Path:
        """End the bag so that it can be read; return where it is.

        :param whole: whether it has all it should; else it is named ``incomplete``.
        :raises GazeRosError: if it cannot be written.
        """
        target = self.path if whole else self._incomplete
        if not self._room.in_place:
            self.abort()
            raise GazeRosError(f"bag '{self.path}' is not there any more: nothing of it is saved")
        if not self._whole:
            self.abort()
            raise GazeRosError(f"bag '{self.path}' was not ended: what there is of it has no "
                               "index; 'mcap recover' makes a whole one of its .mcap file")
        try:
            self._room.release_reserve()
            self._writer.close()
            self._room.close()
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
        self._room.close()
        with suppress(OSError):
            self._writer.abort()

    def discard(self) -> None:
        """Remove what was written."""
        self.abort()
        shutil.rmtree(self._work, ignore_errors=True)

    def _flush(self) -> None:
        """Write what waits for its megabyte to be full: gaze alone takes half a minute for it."""
        self._flushed = monotonic()
        self._writer.storage.close_chunk()
        self._writer.storage.bio.flush()

    def _failed(self, error: OSError) -> GazeRosError:
        return GazeRosError(f"bag '{self.path}' cannot be written: {error.strerror or error}")


def free_path(path: Path) -> Path:
    """Return the path, or the first of PATH_2, PATH_3, ... that a bag can be made at."""
    return next_free_path(path, lambda one: bool(_there(one)))


def _there(path: Path) -> list[Path]:
    """Return what keeps a bag from being made at a path."""
    return [one for one in (path, *_others(path)) if os.path.lexists(one)]


def _others(path: Path) -> tuple[Path, Path]:
    """Return where a bag is if it is incomplete, and where while it is written."""
    if path.suffix == '.mcap':
        return (path.with_name(f'{path.stem}.incomplete.mcap'),
                path.with_name(f'{path.name}.writing'))
    return path.with_name(f'{path.name}.incomplete'), path


def _reliable() -> object:
    """Return the quality of service that ros2 bag play is to publish with: one for everybody."""
    i = rosbags('interfaces')
    none = i.QosTime(0, 0)
    return i.Qos(
        i.QosHistory.KEEP_LAST, 10, i.QosReliability.RELIABLE, i.QosDurability.VOLATILE, none,
        none, i.QosLiveliness.AUTOMATIC, none, avoid_ros_namespace_conventions=False)
