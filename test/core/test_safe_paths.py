"""Output paths stay below their root."""
import os

from gaze_ros.bags.writing import BagWriter
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import safe_paths
from gaze_ros.core.output.video_recorder import VideoRecorder
from gaze_ros.ros.publishers.snapshots import snapshot_folder
from hypothesis import given
from hypothesis import strategies as st
import pytest

TOPICS = {'/gaze': 'gaze_ros/msg/GazeArray'}


def video(path):
    VideoRecorder(str(path)).close()


def text(path):
    safe_paths.open_output(path).close()


def bag(path):
    pytest.importorskip('rosbags')
    BagWriter(path, TOPICS).discard()


def shot(path):
    snapshot_folder(str(path.parent))
    safe_paths.open_output(path).close()


#: Writers to a path of a parameter or an option, and the suffix each needs.
WRITERS = [(video, '.mp4'), (text, '.jsonl'), (bag, ''), (bag, '.mcap'), (shot, '.png')]


@pytest.fixture(autouse=True)
def no_root(monkeypatch):
    monkeypatch.delenv(safe_paths.VARIABLE, raising=False)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Return the output root, beside a folder that must not be written."""
    folder = tmp_path / 'root'
    folder.mkdir()
    (tmp_path / 'precious').mkdir()
    monkeypatch.setenv(safe_paths.VARIABLE, str(folder))
    return folder


@pytest.mark.parametrize('write,suffix', WRITERS)
def test_link_is_not_written_through(tmp_path, write, suffix):
    precious = tmp_path / f'precious{suffix}'
    precious.write_bytes(b'precious')
    for link, to in ((f'link{suffix}', precious), (f'dangling{suffix}', tmp_path / 'absent')):
        (tmp_path / link).symlink_to(to)
        with pytest.raises(GazeRosError, match='is a link to .*links are not written through'):
            write(tmp_path / link)
        assert (tmp_path / link).is_symlink()
    assert precious.read_bytes() == b'precious' and not (tmp_path / 'absent').exists()


@pytest.mark.parametrize('write,suffix', WRITERS)
@pytest.mark.parametrize('path', [
    '../precious/x', '/{}/precious/x', '{root}/../precious/x', 'link/x', 'link/new/x',
    '../root2/x', 'new/../../precious/x'])
def test_nothing_is_written_outside_the_root(tmp_path, root, write, suffix, path):
    (root / 'link').symlink_to(tmp_path / 'precious')
    given = path.format(str(tmp_path).strip('/'), root=root) + suffix
    with pytest.raises(GazeRosError, match='not below .GAZE_ROS_OUTPUT_ROOT'):
        write(root / given)
    assert os.listdir(tmp_path / 'precious') == [] and not (tmp_path / 'root2').exists()
    assert sorted(os.listdir(root)) in (['link'], ['link', 'new'])


def test_relative_paths_start_at_the_root(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / 'precious')
    assert safe_paths.safe_folder('') == root == snapshot_folder('')
    assert safe_paths.safe_path('a/b.mp4') == root / 'a' / 'b.mp4'
    assert VideoRecorder('c.mp4').path == root / 'c.mp4'
    assert safe_paths.safe_folder(root / 'inner') == root / 'inner'
    (root / 'inside').symlink_to(root / 'a')
    assert safe_paths.safe_path('inside/b.mp4').resolve() == root / 'a' / 'b.mp4'
    assert os.listdir() == []


def test_root_may_be_a_link(root, tmp_path, monkeypatch):
    (tmp_path / 'alias').symlink_to(root)
    monkeypatch.setenv(safe_paths.VARIABLE, str(tmp_path / 'alias'))
    assert safe_paths.safe_path('x.mp4').resolve() == root / 'x.mp4'
    assert safe_paths.safe_path(root / 'x.mp4') == root / 'x.mp4'


@pytest.mark.parametrize('value', ['relative', '/nowhere/at/all', '/etc/hostname'])
def test_invalid_root_refuses_all_output(monkeypatch, value):
    monkeypatch.setenv(safe_paths.VARIABLE, value)
    message = f"GAZE_ROS_OUTPUT_ROOT '{value}' is not the absolute path"
    with pytest.raises(GazeRosError, match=message):
        safe_paths.safe_folder('x')


def test_world_writable_folder_is_refused_below_the_root_only(root, tmp_path):
    for folder in (root / 'open', tmp_path / 'stick'):
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(GazeRosError, match='is world-writable'):
        safe_paths.open_output(root / 'open' / 'x.mp4')
    (root / 'open').chmod(0o1777)
    safe_paths.open_output(root / 'open' / 'x.mp4').close()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(safe_paths.VARIABLE)
        safe_paths.open_output(tmp_path / 'stick' / 'x.mp4').close()


@pytest.mark.parametrize('name', ['pipe', '/dev/null'])
def test_pipe_or_device_is_refused_without_blocking(tmp_path, name):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises((GazeRosError, OSError), match='not a file|No such device'):
        safe_paths.open_output(tmp_path / name)
    with os.fdopen(os.open(tmp_path / 'pipe', os.O_RDONLY | os.O_NONBLOCK)):
        with pytest.raises(GazeRosError, match='a device or a pipe'):  # with a reader
            safe_paths.open_output(tmp_path / 'pipe')


def test_file_is_emptied_unless_keep_is_set(tmp_path):
    path = tmp_path / 'new' / 'x.jsonl'
    for keep, wanted in ((False, b'a'), (True, b'aa'), (False, b'a')):
        with safe_paths.open_output(path, keep=keep) as file:
            file.write(b'a')
        assert path.read_bytes() == wanted
    assert not path.stat().st_mode & 0o133


@pytest.mark.parametrize('path', [
    '', '.', '..', 'a/..', 'a\0b', 'a\0b/c', '~nobody_of_that_name/x'])
def test_invalid_path_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GazeRosError, match='does not name a file|is not a valid'):
        safe_paths.open_output(path)
    assert os.listdir(tmp_path) == []


@given(parts=st.lists(st.sampled_from(['..', '.', '', 'a', 'link', 'up', '~', '/', 'ü']),
                      min_size=1, max_size=8))
def test_any_path_stays_below_the_root(tmp_path_factory, parts):
    top = tmp_path_factory.mktemp('top')
    root = top / 'root'
    (root / 'a').mkdir(parents=True)
    (top / 'beside').mkdir()
    (root / 'link').symlink_to(top / 'beside')
    (root / 'up').symlink_to('..')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(safe_paths.VARIABLE, str(root))
        patch.setenv('HOME', str(top / 'beside'))
        try:
            with safe_paths.open_output('/'.join([*parts, 'x.mp4'])) as file:
                written = os.path.realpath(f'/proc/self/fd/{file.fileno()}')
            assert written.startswith(f'{root}/')
        except (GazeRosError, OSError):
            pass
    assert os.listdir(top / 'beside') == [] and sorted(os.listdir(top)) == ['beside', 'root']
