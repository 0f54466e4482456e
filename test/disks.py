"""A small disk that only processes of the test see."""
from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import shutil
import subprocess
import sys

_MOUNT = ('unshare', '--mount', 'sh', '-c',
          'mount -t tmpfs -o size="$1" none "$0" && echo up && exec sleep 600')


class Disk:
    """It.

    :ivar prefix: words that go before a command line of a process that is to see it.
    :ivar folder: where it is for that process.
    :ivar here: the same for the test.
    """

    def __init__(self, folder: Path, pid: int) -> None:
        self.prefix = ('nsenter', '--mount', f'--wd={os.getcwd()}', '-t', str(pid))
        self.folder = folder
        self.here = Path(f'/proc/{pid}/root{folder}')

    def fill(self) -> None:
        """Leave no byte free, at once, as somebody else's recording does."""
        with open(self.here / 'filler', 'ab', buffering=0) as file:
            try:
                while file.write(bytes(1 << 20)):
                    pass
            except OSError:
                pass

    def clear(self) -> None:
        """Make room again."""
        (self.here / 'filler').unlink()


def why_not() -> str:
    """Return why there can be no such disk here, or ''."""
    if sys.platform != 'linux' or os.geteuid():
        return 'mounting needs Linux and root'
    if not all(map(shutil.which, ('unshare', 'nsenter'))):
        return 'unshare and nsenter are not installed'
    tried = subprocess.run(
        ['unshare', '--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'], capture_output=True)
    return '' if tried.returncode == 0 else 'this place lets nobody mount'


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Disk]:
    """Have a disk of a size, such as 64m, in a folder for the length of a with-block."""
    folder.mkdir()
    words = [*_MOUNT, str(folder), size]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == 'up\n'
            yield Disk(folder, holder.pid)
        finally:
            holder.kill()
