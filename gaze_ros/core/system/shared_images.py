"""Images in shared memory, for other processes of the same user on the same machine.

A writer keeps its latest images in an anonymous file in memory (memfd_create(2)); a reference of a
few bytes tells a reader where one is. So an image is copied once, by the writer, where a message
is copied five times. Readers open the file as /proc/PID/fd/N and map it. It is sealed: it cannot
shrink while it is mapped, which would end the reader (SIGBUS). It needs no space in /dev/shm, and
the kernel frees it when the last process that has it open ends, however it ends.

The first page of the file holds what the readers tell the writer: when each of them can process
its next image.
"""
from dataclasses import dataclass
import fcntl
import mmap
import os
import re
import secrets
import struct
from threading import Lock
import time
from typing import Optional

from gaze_ros.core.system.native_threads import MAX_PIXELS
import numpy as np

#: Whether the system has what it takes: Linux.
AVAILABLE = hasattr(os, 'memfd_create')

#: Names of the files: the id of the writing process, its file descriptor, and random digits.
_NAME = re.compile(r'gaze_ros_images_([1-9][0-9]{0,9})_([0-9]{1,6})_[0-9a-f]{16}')

#: Where a process finds the file that another one has open.
_PATH = '/proc/{}/fd/{}'

#: Bytes of images that a writer keeps, and the fewest and most images. An image that is processed
#: where it is must stay until then: 8 images of a camera of 30 frames/s are 0.27 s.
_MEMORY, _MIN_IMAGES, _MAX_IMAGES = 96_000_000, 8, 64

#: The first page: entries of the readers: random id, time at which the reader needs an image and
#: time of this entry, both time.monotonic_ns(), and the number of the last image received.
_ENTRY, _ENTRIES = struct.Struct('<QQQQ'), 16
#: Behind it: of each image its number, 0 while it is written.
_NUMBER = struct.Struct('<Q')
_NUMBERS_AT, _IMAGES_AT = 4096, 8192

#: Nanoseconds without news after which an entry may be used by another reader.
_EXPIRY = 10_000_000_000

#: Nanoseconds that an image takes to its readers at most. Until then, a reader that has not
#: received the last image needs no other one.
_DELIVERY = 15_000_000

#: Time of a reader that takes only what others need.
NEVER = (1 << 64) - 1

#: Number of files that a reader keeps open.
_OPEN_FILES = 2

_OVERWRITTEN = 'the image in shared memory has been overwritten: it came too late'


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
        #: time.monotonic_ns() at which the last image was written.
        self._written = 0
        #: The images, (count, nbytes) uint8.
        self._images = np.empty((0, 0), np.uint8)

    def write(self, image: np.ndarray) -> Reference:
        """Write a (H, W, 3) uint8 image; it stays until some later ones are written.

        :raises OSError: if there is no shared memory, or not enough.
        """
        if image.nbytes != self._nbytes or self._file is None:
            self._open(image.nbytes)
        self._number += 1
        slot = self._number % self._count
        at = _NUMBERS_AT + _NUMBER.size * slot
        os.pwrite(self._file, _NUMBER.pack(0), at)
        np.copyto(self._images[slot].reshape(image.shape), image)
        os.pwrite(self._file, _NUMBER.pack(self._number), at)
        self._written = time.monotonic_ns()
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
        delivering = now < self._written + _DELIVERY
        return readers > len(entries) or any(
            needed <= now + 1e9 * horizon and not (delivering and received < self._number)
            for _, needed, _, received in entries)

    def close(self) -> None:
        """Close the file; the images that readers have open stay readable."""
        file, self._file = self._file, None
        if file is not None:
            self._images = np.empty((0, 0), np.uint8)
            os.close(file)

    def _open(self, nbytes: int) -> None:
        self.close()
        if not AVAILABLE:
            raise OSError('this system has no memfd_create')
        self._count = max(_MIN_IMAGES, min(_MAX_IMAGES, _MEMORY // nbytes))
        self._nbytes, self._number = nbytes, 0
        token = secrets.token_hex(8)
        file = os.memfd_create(token, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(file, _IMAGES_AT + self._count * nbytes)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS,
                        fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            self._images = np.frombuffer(
                mmap.mmap(file, 0), np.uint8, offset=_IMAGES_AT).reshape(self._count, nbytes)
        except OSError:
            os.close(file)
            raise
        self._file, self._name = file, f'gaze_ros_images_{os.getpid()}_{file}_{token}'


class _OpenFile:
    """A file with images that a reader has open.

    :ivar in_place: whether no image was overwritten yet while it was used.
    :ivar received: number of the last image received.
    :raises OSError: if it does not exist, or cannot be opened or mapped.
    :raises ValueError: if it is not a file with images that cannot shrink.
    """

    def __init__(self, name: str) -> None:
        self.in_place, self.received = True, 0
        path = _PATH.format(*_NAME.fullmatch(name).groups())
        self.file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        try:
            # Not another file, which the process has opened under this number meanwhile.
            link = os.readlink(_PATH.format('self', self.file))
            if link != f"/memfd:{name.rpartition('_')[2]} (deleted)" or not (
                    fcntl.fcntl(self.file, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK):
                raise ValueError(f"'{path}' is not the file with images that was announced")
            self.data = np.frombuffer(mmap.mmap(self.file, 0, access=mmap.ACCESS_READ), np.uint8)
        except (OSError, ValueError):
            self.close()
            raise

    def close(self) -> None:
        """Close the file; views of images stay valid."""
        os.close(self.file)


class SharedImageReader:
    """Reads images from shared memory, and tells their writer when it needs the next one.

    Thread-safe.
    """

    def __init__(self) -> None:
        #: Held while a file is used, so that it is not closed meanwhile.
        self._lock = Lock()
        self._id = secrets.randbits(63) + 1
        #: Open files by name, the last one opened last.
        self._files: dict[str, _OpenFile] = {}

    def read(self, reference: Reference) -> np.ndarray:
        """Return an image as a new (H, W, 3) uint8 array.

        :raises ValueError: if it is not on this machine, belongs to another user, or has been
            overwritten.
        """
        _, image = self._intact(reference)
        image = image.copy()
        self._intact(reference)
        return image

    def view(self, reference: Reference) -> np.ndarray:
        """Return an image as a (H, W, 3) uint8 array without a copy; do not change it.

        The writer overwrites it after a while: call :meth:`check` after its use. Once that has
        failed, the reader is too slow for images in place and gets copies from this writer.

        :raises ValueError: as :meth:`read`.
        """
        file, image = self._intact(reference)
        return image if file.in_place else self.read(reference)

    def check(self, reference: Reference) -> None:
        """Check that the array that :meth:`view` returned has held its image until now.

        :raises ValueError: if the image has been overwritten, or as :meth:`read`.
        """
        with self._lock:
            file = self._open(reference.name)
        if file.in_place:
            try:
                self._intact(reference)
            except ValueError:
                file.in_place = False
                raise

    def _intact(self, reference: Reference) -> tuple[_OpenFile, np.ndarray]:
        """Return the file of an image, and the image as a read-only view.

        :raises ValueError: as :meth:`read`.
        """
        at = _IMAGES_AT + reference.slot * reference.nbytes
        with self._lock:
            file = self._open(reference.name)
            image = file.data[at:at + reference.nbytes]
            # A writer invalidates the number before it overwrites the image.
            number = os.pread(
                file.file, _NUMBER.size, _NUMBERS_AT + _NUMBER.size * reference.slot)
        if image.size != reference.nbytes or number != _NUMBER.pack(reference.number):
            raise ValueError(_OVERWRITTEN)
        return file, image.reshape(reference.height, reference.width, 3)

    def receive(self, reference: Reference) -> None:
        """Note that an image was received; its writer is the present one.

        :raises ValueError: as :meth:`read`.
        """
        with self._lock:
            self._open(reference.name).received = reference.number

    def tell(self, needed: int) -> None:
        """Tell the present writer when the next image is needed; nothing before the first.

        :param needed: time.monotonic_ns(), or :data:`NEVER`.
        """
        now = time.monotonic_ns()
        with self._lock:
            if not self._files:
                return
            last = [*self._files.values()][-1]
            file = last.file
            entries = _entries(file)
            own = next((i for i, entry in enumerate(entries) if entry[0] == self._id), None)
            if own is None:  # the first time, or the writer has another file
                own = next(
                    (i for i, entry in enumerate(entries) if entry[2] + _EXPIRY < now), None)
            if own is not None:
                os.pwrite(file, _ENTRY.pack(self._id, needed, now, last.received),
                          own * _ENTRY.size)

    def close(self) -> None:
        """Close the files and forget what was told."""
        with self._lock:
            files, self._files = self._files, {}
        for one in files.values():
            for i, entry in enumerate(_entries(one.file)):
                if entry[0] == self._id:
                    os.pwrite(one.file, bytes(_ENTRY.size), i * _ENTRY.size)
            one.close()

    def _open(self, name: str) -> _OpenFile:
        if (file := self._files.get(name)) is not None:
            return file
        try:
            file = _OpenFile(name)
        except OSError as e:
            raise ValueError(
                f"'{name}' cannot be read: {e.strerror}; set image_transport to raw if the camera "
                'node runs on another machine, in another container or as another user') from e
        while len(self._files) >= _OPEN_FILES:
            self._files.pop(next(iter(self._files))).close()
        self._files[name] = file
        return file


def _entries(file: int) -> list[tuple[int, int, int, int]]:
    data = os.pread(file, _ENTRIES * _ENTRY.size, 0)
    return [*_ENTRY.iter_unpack(data[:len(data) - len(data) % _ENTRY.size])]
