"""Two network namespaces joined by a link that delays and loses packets.

Run as a program, this file is the link: many kernels lack netem, so it carries Ethernet frames
between two TAP devices. Each machine has its own /dev/shm, so that shared memory does not bypass
the link.
"""
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, ExitStack
import os
from pathlib import Path
import random
import select
import shutil
import struct
import subprocess
import sys
import time

#: Addresses of the two machines.
ADDRESSES = ('10.66.0.1', '10.66.0.2')

#: From linux/if_tun.h: TUNSETIFF; IFF_TAP | IFF_NO_PI.
_TUNSETIFF, _TAP = 0x400454CA, 0x1002

#: Seconds that packets wait in the queue of a slow link before they are dropped.
_QUEUE = 0.2

_HOLD = ('unshare', '--net', '--mount', 'sh', '-c',
         'ip link set lo up && mount -t tmpfs none /dev/shm && echo up && exec sleep 600')


class TwoMachines:
    """The two machines.

    :ivar prefixes: words before a command line to run it on the first, and on the second.
    """

    def __init__(self, holders: list[subprocess.Popen], link: subprocess.Popen) -> None:
        self._pids = [str(holder.pid) for holder in holders]
        self._link = link
        self.prefixes = [
            ('nsenter', '--net', '--mount', f'--wd={os.getcwd()}', '-t', pid)
            for pid in self._pids]

    def set_link(self, delay: float, loss: float, rate: float = 0.0) -> None:
        """Change the link.

        :param delay: one way, s.
        :param loss: share of packets dropped, 0..1.
        :param rate: bytes/s; 0 = unlimited.
        """
        self._link.stdin.write(f'{delay} {loss} {rate}\n')
        self._link.stdin.flush()

    def plug(self, plugged: bool) -> None:
        """Unplug the first machine from the link, or plug it in again."""
        _in(self._pids[0], 'link', 'set', 'eth0', 'up' if plugged else 'down')
        if plugged:  # the kernel drops routes with the link; a real machine's has a default one
            _route(self._pids[0])


def unavailable_reason() -> str:
    """Return why this machine cannot make network namespaces, or ''."""
    if sys.platform != 'linux' or os.geteuid():
        return 'network namespaces need Linux and root'
    for name in ('ip', 'unshare', 'nsenter'):
        if not shutil.which(name):
            return f'{name} is not installed'
    if not os.access('/dev/net/tun', os.R_OK | os.W_OK):
        return 'no /dev/net/tun'
    tried = subprocess.run([*_HOLD[:-1], 'mount -t tmpfs none /dev/shm'], capture_output=True)
    return '' if tried.returncode == 0 else 'making namespaces is not permitted here'


@contextmanager
def two_machines(delay: float, loss: float, rate: float = 0.0) -> Iterator[TwoMachines]:
    """Run two machines for the length of a with-block; see :meth:`Machines.set_link`."""
    with ExitStack() as stack:
        def start(*words: str) -> subprocess.Popen:
            process = stack.enter_context(subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            assert process.stdout.readline() == 'up\n', words
            return process

        holders = [start(*_HOLD), start(*_HOLD)]
        link = start(sys.executable, str(Path(__file__)), *(str(h.pid) for h in holders))
        both = TwoMachines(holders, link)
        both.set_link(delay, loss, rate)
        yield both


def _in(pid: str, *words: str) -> None:
    subprocess.run(['nsenter', '--net', '-t', pid, 'ip', *words], check=True)


def _route(pid: str) -> None:
    _in(pid, 'route', 'replace', '224.0.0.0/4', 'dev', 'eth0')


def _connect(pids: list[str]) -> list[int]:
    """Give each machine an eth0; return the files with their frames."""
    import fcntl
    files = []
    for number, (pid, address) in enumerate(zip(pids, ADDRESSES)):
        name = f'gaze{os.getpid()}{"ab"[number]}'
        file = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(file, _TUNSETIFF, struct.pack('16sH', name.encode(), _TAP))
        files.append(file)
        subprocess.run(['ip', 'link', 'set', name, 'txqueuelen', '10000', 'netns', pid],
                       check=True)
        _in(pid, 'link', 'set', name, 'name', 'eth0')
        _in(pid, 'addr', 'add', f'{address}/24', 'dev', 'eth0')
        _in(pid, 'link', 'set', 'eth0', 'up')
        _route(pid)
    return files


def _carry(files: list[int]) -> None:
    """Carry frames as the lines on the standard input say, until it ends."""
    delay = loss = rate = 0.0
    chance = random.Random(1)
    queues: tuple[deque, ...] = (deque(), deque())
    free = [0.0, 0.0]  # when the link has carried what it was given
    poll = select.poll()
    for file in (0, *files):
        poll.register(file, select.POLLIN)
    while True:
        due = min((queue[0][0] for queue in queues if queue), default=time.monotonic() + 1.0)
        ready = [f for f, _ in poll.poll(max(0.0, 1e3 * (due - time.monotonic())))]
        if 0 in ready:
            line = os.read(0, 1000)
            if not line:
                return
            delay, loss, rate = map(float, line.split()[-3:])
        for number, file in enumerate(files):
            for frame in _frames(file) if file in ready else ():
                now = time.monotonic()
                begin = max(now, free[number]) if rate else now
                if chance.random() < loss or begin > now + _QUEUE:
                    continue
                end = begin + len(frame) / rate if rate else now
                free[number] = end
                queues[number].append((end + delay, frame))
        now = time.monotonic()
        for queue, other in zip(queues, reversed(files)):
            while queue and queue[0][0] <= now:
                try:
                    os.write(other, queue.popleft()[1])
                except OSError:
                    pass  # the other's link is down


def _frames(file: int) -> Iterator[bytes]:
    for _ in range(300):
        try:
            yield os.read(file, 2000)
        except OSError:  # no more, or the link is down
            return


if __name__ == '__main__':
    taps = _connect(sys.argv[1:3])
    print('up', flush=True)
    _carry(taps)
