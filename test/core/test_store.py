import hashlib
import logging
import os
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory

from gaze_ros.core.errors import ModelError
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.model_zoo.manifest import Generation, Model, ModelFile
import pytest

OLD, NEW, LAYERS, WEIGHTS = b'old', b'new', b'<net/>', b'weights'


def model(name: str, *files: ModelFile, kind: str = 'gaze', **more) -> Model:
    return Model(**{
        'name': name, 'kind': kind, 'needs_weight': True, 'licence': 'MIT',
        'may_be_shipped': True, 'source': 'its authors', 'files': files, **more})


def digests(*contents: bytes, algorithm: str = 'sha256') -> dict:
    return {hashlib.new(algorithm, c).hexdigest(): Generation(c.decode()) for c in contents}


TWO = model('two', ModelFile('two.onnx', url='https://example.org/two.onnx',
                             digests=digests(OLD, NEW)),
            ModelFile('two.pt', url='https://example.org/two.pt'))
SIZED = model('sized', ModelFile('sized.onnx', size=3, digests=digests(OLD)), kind='detector')
IR = model('ir', ModelFile(
    'ir.xml', size=len(LAYERS), digests=digests(LAYERS, algorithm='sha384'),
    bin=ModelFile('ir.bin', size=len(WEIGHTS), digests=digests(WEIGHTS))), kind='part')
PACKED = model('packed', ModelFile(
    'astronaut.png', package='skimage', inside='data/astronaut.png'))
BARE = model('bare', may_be_shipped=False)


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Return the folders a and b of the variable, and the cache; all are empty."""
    a, b, cache = tmp_path / 'a', tmp_path / 'b', tmp_path / 'cache'
    for folder in (a, b, cache / 'gaze_ros'):
        folder.mkdir(parents=True)
    monkeypatch.setenv('GAZE_ROS_MODELS', f'{a}:{b}')
    monkeypatch.setenv('XDG_CACHE_HOME', str(cache))
    monkeypatch.setattr(registry, 'manifest', lambda: (TWO, SIZED, IR, PACKED, BARE))
    return a, b, cache / 'gaze_ros'


def test_first_folder_with_the_file_wins(folders, monkeypatch):
    a, b, cache = folders
    assert store.locate('two') is None
    for folder in (cache, b, a):
        (folder / 'two.onnx').write_bytes(NEW)
        assert store.locate('two') == folder / 'two.onnx'
    monkeypatch.delenv('GAZE_ROS_MODELS')
    assert store.locate('two') == cache / 'two.onnx'
    assert store.folders()[-1] == cache and store.folders()[0].name == 'weights'


def test_folders_are_searched_with_depth_and_count_limits(folders, monkeypatch, caplog):
    a = folders[0]
    deep = a / '1' / '2' / '3' / '4'
    (deep / '5').mkdir(parents=True)
    (a / 'loop').symlink_to(a)
    (deep / '5' / 'two.onnx').write_bytes(NEW)
    assert store.locate('two') is None
    (deep / 'two.onnx').write_bytes(NEW)
    assert store.locate('two') == deep / 'two.onnx'
    (a / '0').touch()
    monkeypatch.setattr(store, '_MAX_FILES', 1)
    assert store.locate('two') is None
    assert 'holds more than 1 files' in caplog.text


def test_known_file_is_found_by_digest_under_any_name(folders):
    (folders[0] / 'renamed.onnx').write_bytes(OLD)
    assert store.locate('sized', 'detector') == folders[0] / 'renamed.onnx'
    (folders[0] / 'renamed.onnx').write_bytes(b'not')
    assert store.locate('sized', 'detector') is None


def test_missing_folder_is_logged_once_and_the_others_are_searched(
        folders, monkeypatch, caplog):
    _, b, _ = folders
    (b / 'two.onnx').write_bytes(OLD)
    absent = b / 'absent'
    monkeypatch.setenv('GAZE_ROS_MODELS', f'{absent}:~no_such_user/x:{b}')
    for _ in range(2):
        assert store.locate('two') == b / 'two.onnx'
    assert caplog.text.count(
        f"GAZE_ROS_MODELS names '{absent}', which is not an existing folder") == 1
    assert caplog.text.count("'~no_such_user/x', which cannot be read") == 1


def test_folder_without_permission_is_skipped():
    code = ('import os; from gaze_ros.core.model_zoo import store;'
            'from gaze_ros.core.model_zoo.manifest import Model, ModelFile;'
            'os.getuid() or os.setuid(65534);'
            'print([found.path.name for found in store.candidates(Model('
            'name="m", kind="gaze", needs_weight=True, licence="MIT", may_be_shipped=True,'
            'source="x", files=(ModelFile("closed.onnx"), ModelFile("open.onnx"))))])')
    with TemporaryDirectory() as top:  # those of pytest are for one user
        for name in ('closed', 'open'):
            Path(top, name).mkdir()
            Path(top, name, f'{name}.onnx').touch()
        os.chmod(top, 0o755)
        os.chmod(Path(top, 'closed'), 0o644)
        done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                              timeout=60, env={**os.environ, 'GAZE_ROS_MODELS': top})
        os.chmod(Path(top, 'closed'), 0o755)
    assert done.stdout == "['open.onnx']\n", done.stderr


def test_file_with_wrong_digest_is_ignored_with_a_warning(folders, caplog):
    a, b, _ = folders
    (a / 'two.onnx').write_bytes(b'neither')
    with caplog.at_level(logging.WARNING):
        assert store.locate('two') is None
    for text in (str(a / 'two.onnx'), hashlib.sha256(b'neither').hexdigest(),
                 hashlib.sha256(OLD).hexdigest(), hashlib.sha256(NEW).hexdigest(), '7 bytes'):
        assert text in caplog.text
    (b / 'two.onnx').write_bytes(OLD)
    assert store.locate('two') == b / 'two.onnx'


def test_changed_file_is_checked_again(folders):
    path = folders[0] / 'two.onnx'
    path.write_bytes(OLD)
    assert store.locate('two') == path
    path.write_bytes(b'neither')
    assert store.locate('two') is None


def test_name_is_enough_if_no_digest_is_known(folders):
    (folders[0] / 'two.pt').write_bytes(b'anything')
    assert store.locate('two') == folders[0] / 'two.pt'
    found, = store.candidates(TWO)
    assert found.generation is None and not found.problem


def test_suffixes_filter_and_rank(folders):
    a, b, _ = folders
    (a / 'two.pt').write_bytes(b'anything')
    (b / 'two.onnx').write_bytes(OLD)
    assert store.locate('two', suffixes=('.onnx', '.pt')) == b / 'two.onnx'
    assert store.locate('two', suffixes=('.pt', '.onnx')) == a / 'two.pt'
    assert store.locate('two', suffixes=('.xml',)) is None


def test_xml_needs_its_bin_and_both_must_match(folders, caplog):
    a, b, _ = folders
    (a / 'ir.xml').write_bytes(LAYERS)
    assert store.locate('ir', 'part') is None
    assert "its 'ir.bin' is not beside it" in caplog.text
    (a / 'ir.bin').write_bytes(b'others')
    assert store.locate('ir', 'part') is None
    assert "its 'ir.bin': it has sha256" in caplog.text
    (b / 'renamed.xml').write_bytes(LAYERS)
    (b / 'renamed.bin').write_bytes(WEIGHTS)
    assert store.locate('ir', 'part') == b / 'renamed.xml'
    (a / 'ir.bin').write_bytes(WEIGHTS)
    assert store.locate('ir', 'part') == a / 'ir.xml'
    (a / 'ir.xml').write_bytes(b'<other/>')
    assert store.locate('ir', 'part') == b / 'renamed.xml'


def test_installed_packages_come_last(folders):
    pytest.importorskip('skimage')
    assert store.locate('packed').parts[-2:] == ('data', 'astronaut.png')
    (folders[2] / 'astronaut.png').touch()
    assert store.locate('packed') == folders[2] / 'astronaut.png'


@pytest.mark.parametrize('name,kind,suffixes,words', [
    ('two', 'gaze', (), ["model 'two' needs one of its files (two.onnx, two.pt)",
                         "'gaze_ros models fetch two'", 'set weight to its path', 'MIT']),
    ('two', 'gaze', ('.pt',), ['(two.pt)', "'gaze_ros models fetch two --suffix .pt'"]),
    ('sized', 'detector', (), ["detector 'sized'", 'get it by hand (its authors)',
                               'set detector_weight to its path']),
    ('ir', 'part', (), ["part 'ir'", '(ir.xml)', 'get it by hand']),
    ('bare', 'gaze', (), ["model 'bare' needs its file", 'get it by hand']),
])
def test_missing_model_error_is_one_line_with_folders_and_remedy(
        folders, name, kind, suffixes, words):
    with pytest.raises(ModelError) as e:
        store.find(name, kind, suffixes)
    error = str(e.value)
    assert '\n' not in error
    for part in [*words, *map(str, folders), 'installed packages', 'GAZE_ROS_MODELS']:
        assert part in error
    with pytest.raises(ModelError, match="'nothing' is not one of"):
        store.find('nothing')


def test_shared_models_are_found(shared, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv('GAZE_ROS_MODELS', str(shared / 'models'))
    adas = registry.entry('adas')
    assert store.find('adas') == shared / 'models' / 'intel' / 'gaze-estimation-adas-0002.xml'
    for part in adas.parts:
        assert store.find(part, 'part', ('.xml',)).is_relative_to(shared)
    for name in ('yunet', 'retinaface', 'retail-0004', 'adas-0001'):
        assert store.find(name, 'detector').is_relative_to(shared)
    assert store.find('mobileone_s0', suffixes=('.onnx',)).suffix == '.onnx'
