"""Shared memory of killed processes: the next process frees it, but not that of running ones."""
import fcntl
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from gaze_ros.core.system import shared_memory
from helpers import full_disk
from helpers.processes import Process, running, wait_until
import pytest

#: Age in seconds of a file that is old enough.
OLD = 60

#: Holds the lock of a segment, as Fast DDS does, until it is killed.
OWNER = ('import fcntl, sys, time\nfile = open(sys.argv[1])\nfcntl.flock(file, fcntl.LOCK_EX)\n'
         'print(flush=True)\ntime.sleep(60)')


@pytest.fixture
def own_folder(monkeypatch):
    """Give the nodes a /dev/shm of their own; return the prefix of their command lines.

    Any node that starts on this machine cleans the common one.
    """
    if full_disk.unavailable_reason():
        yield ()
        return
    with full_disk.small_disk(shared_memory.FOLDER, '1g') as disk:
        monkeypatch.setattr(shared_memory, 'FOLDER', disk.visible_folder)
        yield disk.prefix


def locks_of(process):
    """Return the locks of the segments of a process that uses Fast DDS."""
    names = []
    for file in Path(f'/proc/{process.pid}/fd').iterdir():
        try:
            names.append(Path(os.readlink(file)))
        except OSError:
            continue
    return [shared_memory.FOLDER / n.name for n in names if n.parent == Path('/dev/shm')
            and n.name.endswith('_el') and '_port' not in n.name]


def segments_of(process):
    return [lock.with_name(lock.name.removesuffix('_el')) for lock in locks_of(process)]


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='needs /proc')
def test_next_process_frees_the_segments_of_a_killed_one(own_folder):
    with running('visualizer_node', prefix=own_folder) as neighbour:
        killed = Process('people_node', prefix=own_folder)
        wait_until(lambda: len(locks_of(killed)) > 1 and locks_of(neighbour), 30, 'segments')
        left, living = segments_of(killed), segments_of(neighbour)
        assert sum(path.stat().st_size for path in left) > 16 << 20
        time.sleep(2)  # younger segments are kept
        assert not {s.path for s in shared_memory.stale_segments()}.intersection(left + living)
        killed.send(signal.SIGKILL)
        assert killed.end() == -signal.SIGKILL
        assert all(path.exists() for path in left)
        with running('people_node', prefix=own_folder) as following:
            wait_until(lambda: locks_of(following), 30, 'its own segments')
            following.wait_for('of shared memory left by killed processes')
            assert not [path for path in left if path.exists()]
            assert not [p for p in left if p.with_name(f'{p.name}_el').exists()]
            assert all(path.exists() for path in living)
    assert not [path for path in living if path.exists()]  # it ended in order


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, 'FOLDER', tmp_path)
    return tmp_path


def segment(folder, name, nbytes=100_000, age=OLD):
    """Create a segment and its lock; return both."""
    path, lock = folder / name, folder / f'{name}_el'
    path.write_bytes(bytes(nbytes))
    lock.touch()
    os.utime(lock, (time.time() - age,) * 2)
    return path, lock


@pytest.mark.parametrize('name', ['fastdds_0123456789abcdef', 'fastrtps_0123456789abcdef'])
def test_segment_is_stale_once_its_owner_is_killed(folder, name):
    path, lock = segment(folder, name)
    owner = subprocess.Popen([sys.executable, '-c', OWNER, lock], stdout=subprocess.PIPE)
    owner.stdout.readline()
    assert shared_memory.stale_segments() == []
    assert shared_memory.reclaim() == 0
    owner.kill()
    owner.wait()
    (found,) = shared_memory.stale_segments()
    assert found.path == path
    assert found.nbytes >= 100_000
    assert shared_memory.reclaim() == found.nbytes
    assert list(folder.iterdir()) == []
    assert shared_memory.reclaim() == 0


@pytest.mark.parametrize('name', [
    'fastdds_port7400', 'fastdds_0123456789abcde', 'fastdds_0123456789ABCDEF', 'other',
    'fast_datasharing_0123456789abcdef', 'fastdds_0123456789abcdef_el'])
def test_other_files_are_kept(folder, name):
    segment(folder, name)
    assert shared_memory.stale_segments() == []
    assert shared_memory.reclaim() == 0
    assert len(list(folder.iterdir())) == 2


def test_segment_under_creation_is_kept(folder):
    segment(folder, 'fastdds_0123456789abcdef', age=0)
    assert shared_memory.reclaim() == 0
    assert len(list(folder.iterdir())) == 2


def test_symbolic_links_are_not_followed(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('elsewhere') / 'precious'
    elsewhere.write_text('precious')
    (folder / 'fastdds_0000000000000000_el').symlink_to(elsewhere)
    path, lock = segment(folder, 'fastdds_1111111111111111')
    path.unlink()
    path.symlink_to(elsewhere)
    path, lock = segment(folder, 'fastdds_2222222222222222')
    lock.unlink()
    os.mkfifo(lock)  # opening one for reading waits for a writer
    assert shared_memory.reclaim() == 0
    assert elsewhere.read_text() == 'precious'
    assert len(list(folder.iterdir())) == 5


def test_lock_without_a_segment_is_removed(folder):
    path, lock = segment(folder, 'fastdds_0123456789abcdef')
    path.unlink()
    assert shared_memory.reclaim() == 0
    assert not lock.exists()


def test_segments_of_other_users_are_kept(folder, monkeypatch):
    segment(folder, 'fastdds_0123456789abcdef')
    monkeypatch.setattr(os, 'geteuid', lambda: os.getuid() + 1)
    assert shared_memory.stale_segments() == []


def test_nothing_is_freed_without_a_shared_memory_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(shared_memory, 'FOLDER', tmp_path / 'nowhere')
    assert shared_memory.stale_segments() == []
    assert shared_memory.reclaim() == 0


def test_lock_is_released(folder):
    path, lock = segment(folder, 'fastdds_0123456789abcdef')
    assert len(shared_memory.stale_segments()) == 1
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
