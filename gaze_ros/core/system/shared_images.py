"""Images in shared memory, for other processes of the same user on the same machine.

A writer keeps its latest images in a file of the memory file system; a reference of a few bytes
tells a reader where one is. So an image is copied once by the writer and once by each reader,
where a message is copied five times: 1920x1080 takes 1 ms instead of 8 ms. The file is read and
written, not mapped: a file that shrinks while it is mapped would end the process (SIGBUS).

The first page of the file holds what the readers tell the writer: when each of them can process
its next image.
"""
from contextlib import suppress
from dataclasses import dataclass
import fcntl
import os
import re
import secrets
import stat
import struct
from threading import Lock
import time
from typing import Optional

from gaze_ros.core.system.native_threads import MAX_PIXELS
from gaze_ros.core.system.shared_memory import FOLDER
import numpy as np

#: Names of the files: the id of the writing process, and random digits.
_NAME = re.compile(r'gaze_ros_images_[0-9]+_[0-9a-f]{16}')

#: Bytes of images that a writer keeps, and the fewest and most images.
_MEMORY, _MIN_IMAGES, _MAX_IMAGES = 96_000_000, 4, 64

#: The first page: entries of the readers: random id, time at which the reader needs an image and
#: time of this entry, both time.monotonic_ns().
_ENTRY, _ENTRIES = struct.Struct('<QQQ'), 16
#: Behind it: of each image its number, 0 while it is written.
_NUMBER = struct.Struct('<Q')
_NUMBERS_AT, _IMAGES_AT = 4096, 8192

#: Nanoseconds without news after which an entry may be used by another reader.
_EXPIRY = 10_000_000_000

#: Time of a reader that takes only what others need.
NEVER = (1 << 64) - 1

#: Number of files that a reader keeps open.
_OPEN_FILES = 2


@dataclass(frozen=True)
class Reference:
    """Where an image is.

    :ivar name: of the file.
    :ivar number: of the image, from 1 on.
    :ivar slot: its place in the file.
    :ivar height: pixels.
    :ivar width: pixels.
    :ivar seen: number of images of the camera so far, with those that nobody needed.
    """

    name: str
    number: int
    slot: int
    height: int
    width: int
    seen: int

    def encode(self) -> bytes:
        """Return the reference as text, for a message."""
        return ' '.join(map(str, vars(self).values())).encode('ascii')

    @classmethod
    def decode(cls, data: bytes) -> 'Reference':
        """Return the reference in a message.

        :raises ValueError: if it is none.
        """
        name, *numbers = bytes(data[:200]).decode('ascii', 'replace').split(' ')
        if not _NAME.fullmatch(name) or len(numbers) != 5 or not all(
                re.fullmatch('[0-9]{1,18}', n) for n in numbers):
            raise ValueError('the message is not a reference to an image in shared memory')
        reference = cls(name, *map(int, numbers))
        if not 0 < reference.height * reference.width <= MAX_PIXELS or (
                reference.slot >= _MAX_IMAGES or not reference.number):
            raise ValueError(f'the reference to an image in shared memory has impossible numbers: '
                             f'{reference.width}x{reference.height} at {reference.slot}')
        return reference

    @property
    def nbytes(self) -> int:
        """The size of the image, bytes."""
        return 3 * self.height * self.width


class SharedImageWriter:
    """Writes images to shared memory.

    :ivar seen: number of images so far, with those that were not written.
    """

    def __init__(self) -> None:
        self.seen = 0
        self._file: Optional[int] = None
        self._name = ''
        self._nbytes = self._count = self._number = 0

    def write(self, image: np.ndarray) -> Reference:
        """Write a (H, W, 3) uint8 image; it stays until some later ones are written.

        :raises OSError: if there is no shared memory, or not enough.
        """
        image = np.ascontiguousarray(image)
        if image.nbytes != self._nbytes or self._file is None:
            self._open(image.nbytes)
        self._number += 1
        slot = self._number % self._count
        at = _NUMBERS_AT + _NUMBER.size * slot
        os.pwrite(self._file, _NUMBER.pack(0), at)
        _write_all(self._file, memoryview(image).cast('B'), _IMAGES_AT + slot * self._nbytes)
        os.pwrite(self._file, _NUMBER.pack(self._number), at)
        return Reference(self._name, self._number, slot, *image.shape[:2], self.seen)

    def wanted(self, horizon: float, readers: int) -> bool:
        """Return whether a reader needs an image that is written now.

        :param horizon: seconds until the next image.
        :param readers: number of readers; one that has not told its needs needs every image.
        """
        if self._file is None:
            return readers > 0
        now = time.monotonic_ns()
        entries = [entry for entry in _entries(self._file)
                   if entry[0] and entry[2] + _EXPIRY > now]
        return readers > len(entries) or any(
            needed <= now + 1e9 * horizon for _, needed, _ in entries)

    def close(self) -> None:
        """Remove the file; what readers hold open stays readable."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                (FOLDER / self._name).unlink()
            os.close(file)

    def _open(self, nbytes: int) -> None:
        self.close()
        reclaim()
        self._name = f'gaze_ros_images_{os.getpid()}_{secrets.token_hex(8)}'
        self._nbytes, self._number = nbytes, 0
        self._count = max(_MIN_IMAGES, min(_MAX_IMAGES, _MEMORY // nbytes))
        self._file = os.open(
            FOLDER / self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_SH)  # held as long as the process lives
        os.ftruncate(self._file, _IMAGES_AT + self._count * nbytes)


class SharedImageReader:
    """Reads images from shared memory, and tells their writer when it needs the next one.

    Thread-safe.
    """

    def __init__(self) -> None:
        #: Held while a file is used, so that it is not closed meanwhile.
        self._lock = Lock()
        self._id = secrets.randbits(63) + 1
        #: Open files by name, the last one read last.
        self._files: dict[str, int] = {}

    def read(self, reference: Reference) -> np.ndarray:
        """Return an image as a new (H, W, 3) uint8 array.

        :raises ValueError: if it is not on this machine, belongs to another user, or has been
            overwritten.
        """
        image = np.empty((reference.height, reference.width, 3), np.uint8)
        at = _NUMBERS_AT + _NUMBER.size * reference.slot
        with self._lock:
            file = self._open(reference.name)
            complete = _read_all(
                file, memoryview(image).cast('B'), _IMAGES_AT + reference.slot * reference.nbytes)
            # Afterwards: a writer invalidates the number before it overwrites the image.
            number = os.pread(file, _NUMBER.size, at)
        if not complete or number != _NUMBER.pack(reference.number):
            raise ValueError('the image in shared memory has been overwritten: it came too late')
        return image

    def open(self, name: str) -> None:
        """Open a file, if it is not open yet, as that of the present writer.

        :raises ValueError: as :meth:`read`.
        """
        with self._lock:
            self._open(name)

    def tell(self, needed: int) -> None:
        """Tell the present writer when the next image is needed; nothing before the first.

        :param needed: time.monotonic_ns(), or :data:`NEVER`.
        """
        now = time.monotonic_ns()
        with self._lock:
            if not self._files:
                return
            *_, file = self._files.values()
            entries = _entries(file)
            own = next((i for i, entry in enumerate(entries) if entry[0] == self._id), None)
            if own is None:  # the first time, or the writer has another file
                own = next(
                    (i for i, entry in enumerate(entries) if entry[2] + _EXPIRY < now), None)
            if own is not None:
                os.pwrite(file, _ENTRY.pack(self._id, needed, now), own * _ENTRY.size)

    def close(self) -> None:
        """Close the files and forget what was told."""
        with self._lock:
            files, self._files = self._files, {}
        for file in files.values():
            for i, entry in enumerate(_entries(file)):
                if entry[0] == self._id:
                    os.pwrite(file, bytes(_ENTRY.size), i * _ENTRY.size)
            os.close(file)

    def _open(self, name: str) -> int:
        if (file := self._files.get(name)) is not None:
            return file
        try:
            file = os.open(FOLDER / name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as e:
            raise ValueError(
                f"'{FOLDER / name}' cannot be read: {e.strerror}; set image_transport to raw if "
                'the camera node runs on another machine, in another container or as another '
                'user') from e
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or (
                status.st_size < _IMAGES_AT):
            os.close(file)
            raise ValueError(f"'{FOLDER / name}' is not a file of this user with images")
        while len(self._files) >= _OPEN_FILES:
            os.close(self._files.pop(next(iter(self._files))))
        self._files[name] = file
        return file


def reclaim() -> None:
    """Remove the files of this user whose writers were killed."""
    with suppress(OSError), os.scandir(FOLDER) as found:
        for entry in found:
            if not _NAME.fullmatch(entry.name):
                continue
            with suppress(OSError):
                file = os.open(entry.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    # The writer holds a shared lock, readers hold none. It locks the file right
                    # after creating it, and a file that is still empty is left alone.
                    if os.fstat(file).st_size:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        os.unlink(entry.path)
                finally:
                    os.close(file)


def _entries(file: int) -> list[tuple[int, int, int]]:
    data = os.pread(file, _ENTRIES * _ENTRY.size, 0)
    return [*_ENTRY.iter_unpack(data[:len(data) - len(data) % _ENTRY.size])]


def _write_all(file: int, data: memoryview, at: int) -> None:
    while data:
        count = os.pwrite(file, data, at)
        data, at = data[count:], at + count


def _read_all(file: int, data: memoryview, at: int) -> bool:
    """Fill data from a file; return False if the file ends before."""
    while data:
        count = os.preadv(file, [data], at)
        if not count:
            return False
        data, at = data[count:], at + count
    return True
