"""A small disk that only the processes of one test see."""
from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import shutil
import subprocess
import sys

_MOUNT = ('unshare', '--mount', 'sh', '-c',
          'mount -t tmpfs -o size="$1" none "$0" && echo up && exec sleep 600')


class SmallDisk:
    """A mounted tmpfs.

    :ivar prefix: words before the command line of a process that shall see the disk.
    :ivar folder: mount point in that process.
    :ivar visible_folder: the same folder as the test sees it.
    """

    def __init__(self, folder: Path, pid: int) -> None:
        self.prefix = ('nsenter', '--mount', f'--wd={os.getcwd()}', '-t', str(pid))
        self.folder = folder
        self.visible_folder = Path(f'/proc/{pid}/root{folder}')

    def fill(self) -> None:
        """Use up every free byte at once, as another recording does."""
        with open(self.visible_folder / 'filler', 'ab', buffering=0) as file:
            try:
                while file.write(bytes(1 << 20)):
                    pass
            except OSError:
                pass

    def free(self) -> None:
        """Free the space that :meth:`fill` used."""
        (self.visible_folder / 'filler').unlink()


def unavailable_reason() -> str:
    """Return why this machine cannot mount such a disk, or ''."""
    if sys.platform != 'linux' or os.geteuid():
        return 'mounting needs Linux and root'
    if not all(map(shutil.which, ('unshare', 'nsenter'))):
        return 'unshare and nsenter are not installed'
    tried = subprocess.run(
        ['unshare', '--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'], capture_output=True)
    return '' if tried.returncode == 0 else 'mounting is not permitted here'


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """Mount a disk of a size, such as 64m, for the length of a with-block."""
    folder.mkdir(exist_ok=True)
    words = [*_MOUNT, str(folder), size]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == 'up\n'
            yield SmallDisk(folder, holder.pid)
        finally:
            holder.kill()
