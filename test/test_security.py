"""Nothing that is loaded can run, and nothing that runs is put together from what is given."""
import ast
import os
from pathlib import Path
import pickle
import re
import subprocess
import sys

from gaze_ros.core.errors import ModelError
from gaze_ros.core.model_zoo.manifest import load
from gaze_ros.core.system import safe_files
from helpers.processes import BIN, ROOT
import pytest
import yaml

TOPS = ('gaze_ros', 'launch', 'benchmarks', 'setup.py')

#: Calls that run, unpack or trust what they are given, by the end of their dotted name.
NEVER = {
    'eval', 'exec', 'compile', '__import__', 'os.system', 'os.popen', 'os.execv', 'os.execvp',
    'os.spawnv', 'pty.spawn', 'commands.getoutput', 'subprocess.getoutput',
    'subprocess.getstatusoutput', 'create_subprocess_shell',
    'pickle.load', 'pickle.loads', 'Unpickler', 'marshal.load', 'marshal.loads', 'shelve.open',
    'dill.load', 'cloudpickle.load', 'joblib.load', 'pandas.read_pickle', 'torch.jit.load',
    'torch.hub.load', 'torch.package.PackageImporter', 'load_state_dict_from_url', 'load_url',
    'tempfile.mktemp', 'mktemp', 'extractall', 'extract', 'unpack_archive', 'tarfile.open',
    'TarFile', 'unsafe_load', 'full_load', 'load_all', 'yaml.full_load', 'urlopen', 'urlretrieve',
    'build_opener', 'install_opener', '_create_unverified_context', 'from_pretrained',
    'importlib.import_module', 'run_path', 'run_module'}

#: Places of such calls that are as they should be, and why.
EXCEPT = {}

#: Modules that are not imported at all.
MODULES = {'shelve', 'marshal', 'dill', 'joblib', 'cloudpickle', 'telnetlib', 'ftplib', 'xmlrpc',
           'tarfile', 'requests', 'pty', 'code', 'imp'}


def sources():
    for top in TOPS:
        path = ROOT / top
        for one in [path] if path.is_file() else sorted(path.rglob('*.py')):
            if not {'msg', 'srv'} & {*one.relative_to(ROOT).parts}:
                yield one


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f'{dotted(node.value)}.{node.attr}'
    return node.id if isinstance(node, ast.Name) else ''


def value(call: ast.Call, name: str):
    """Return a keyword's value, None where it is not given or no constant."""
    return next((k.value.value for k in call.keywords
                 if k.arg == name and isinstance(k.value, ast.Constant)), None)


def complaints(text: str) -> list[str]:
    """Return what in a source could run what is given to it."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            named = [a.name for a in node.names] if isinstance(node, ast.Import) else [
                node.module or '']
            found += [f'import {n}' for n in named if n.partition('.')[0] in MODULES]
            if isinstance(node, ast.ImportFrom) and node.module == 'pickle':
                found += [f'pickle.{a.name}' for a in node.names if a.name != 'UnpicklingError']
            if isinstance(node, ast.Import) and 'pickle' in named:
                found.append('import pickle')
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        last = name.rpartition('.')[2]
        method = isinstance(node.func, ast.Attribute)
        for never in NEVER:
            # re.compile and net.eval() are others.
            if name == never or (last == never and last not in ('eval', 'exec', 'compile')) or (
                    '.' in never and name.endswith(f'.{never}')):
                found.append(name)
        if value(node, 'shell') or value(node, 'trust_remote_code') or (
                value(node, 'verify') is False) or value(node, 'allow_pickle'):
            found.append(f'{name} of {[k.arg for k in node.keywords]}')
        if name == 'torch.load' and value(node, 'weights_only') is not True:
            found.append('torch.load without weights_only')
        if name.startswith('yaml.') and last == 'load' and not any(
                k.arg == 'Loader' and dotted(k.value).endswith(('SafeLoader', '_LOADER'))
                for k in node.keywords):
            found.append('yaml.load without a safe loader')
        if method and last in ('load', 'fromfile') and name.startswith(('np.', 'numpy.')):
            found.append(name)
    return found


def test_nothing_in_the_package_runs_what_it_is_given():
    found = {str(path.relative_to(ROOT)): bad for path in sources()
             if (bad := complaints(path.read_text(encoding='utf-8')))}
    assert found == EXCEPT
    assert len([*sources()]) > 100


@pytest.mark.parametrize('text', [
    'eval(x)', 'exec(x)', 'import os\nos.system(x)', 'subprocess.run(x, shell=True)',
    'import pickle', 'from pickle import loads', 'torch.load(x)', 'torch.load(x, weights_only=y)',
    'torch.load(x, weights_only=False)', 'yaml.load(x)', 'yaml.load(x, Loader=yaml.Loader)',
    'yaml.unsafe_load(x)', 'tempfile.mktemp()', 'ZipFile(x).extractall()', 'import tarfile',
    'shutil.unpack_archive(x)', 'requests.get(x, verify=False)', 'np.load(x)',
    'f(x, trust_remote_code=True)', 'urllib.request.urlopen(x)', 'a.b.urlopen(x)',
    'np.load(x, allow_pickle=True)', 'importlib.import_module(x)'])
def test_what_runs_what_it_is_given_would_be_found(text):
    assert complaints(text)


@pytest.mark.parametrize('text', [
    're.compile(x)', 'net.eval()', 'torch.load(x, weights_only=True)', 'yaml.safe_load(x)',
    'yaml.load(x, Loader=yaml.CSafeLoader)', 'from pickle import UnpicklingError',
    'subprocess.run([x])', 'ZipFile(x).read(y)', 'os.open(x)'])
def test_what_is_harmless_is_not(text):
    assert not complaints(text)


def test_the_loader_of_yaml_is_a_safe_one():
    assert issubclass(safe_files._LOADER, yaml.constructor.SafeConstructor)
    for tag in ('!!python/object/apply:os.system [id]', '!!python/name:os.system',
                '!!python/object:gaze_ros.core.model_zoo.manifest.Model {}'):
        with pytest.raises(ValueError, match='could not determine a constructor'):
            safe_files.parse_yaml(f'a: {tag}')


class Bomb:
    """What a hostile checkpoint holds: unpickled by itself it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize('suffix', ['.pt', '.pth', '.pkl', '.ckpt', '.safetensors'])
def test_a_checkpoint_that_would_run_is_refused(tmp_path, suffix):
    pytest.importorskip('torch')
    from gaze_ros.core.networks.checkpoints import read_state
    path = tmp_path / f'm{suffix}'
    for content in (Bomb(tmp_path / 'ran'), {'state_dict': Bomb(tmp_path / 'ran')}):
        path.write_bytes(pickle.dumps(content, protocol=2))
        with pytest.raises(ModelError, match=str(path)):
            read_state(str(path))
        assert not (tmp_path / 'ran').exists()
    pickle.loads(pickle.dumps(content))
    assert (tmp_path / 'ran').is_dir()  # so it would have been seen


def test_a_zipped_checkpoint_that_would_run_is_refused(tmp_path):
    torch = pytest.importorskip('torch')
    from gaze_ros.core.networks.checkpoints import read_state
    torch.save({'fc_yaw.weight': Bomb(tmp_path / 'ran')}, tmp_path / 'm.pt')
    with pytest.raises(ModelError, match='not a checkpoint that loads without running code'):
        read_state(str(tmp_path / 'm.pt'))
    assert not (tmp_path / 'ran').exists()


def test_a_manifest_that_would_run_is_refused(tmp_path):
    (tmp_path / 'm.yaml').write_text(
        f'models: !!python/object/apply:os.mkdir ["{tmp_path}/ran"]')
    with pytest.raises(ModelError, match='holds no list of models'):
        load(tmp_path / 'm.yaml')
    assert not (tmp_path / 'ran').exists()


def test_an_archive_is_read_and_never_unpacked(tmp_path):
    """A bundle's member is taken by its own name; what else is in it goes nowhere."""
    from zipfile import ZipFile
    pytest.importorskip('mediapipe')
    from gaze_ros.core.detectors.mediapipe_detector import MediaPipeDetector
    bundle = tmp_path / 'face_landmarker.task'
    with ZipFile(bundle, 'w') as archive:
        archive.writestr('../escaped', b'x')
        archive.writestr('/tmp/../escaped', b'x')
        archive.writestr('face_detector.tflite', b'no network')
    with pytest.raises(ModelError, match='is not a face_landmarker.task'):
        MediaPipeDetector('mediapipe', bundle, min_score=0.5, threads=1)
    assert os.listdir(tmp_path) == [bundle.name]


def test_an_archive_that_grows_without_end_is_not_read(tmp_path, monkeypatch):
    from zipfile import ZIP_DEFLATED, ZipFile
    pytest.importorskip('mediapipe')
    from gaze_ros.core.detectors import mediapipe_detector
    bundle = tmp_path / 'face_landmarker.task'
    with ZipFile(bundle, 'w', ZIP_DEFLATED) as archive:
        archive.writestr('face_detector.tflite', bytes(1 << 20))
    monkeypatch.setattr(mediapipe_detector, '_MAX_BYTES', 1 << 19)
    with pytest.raises(ModelError, match='has more than 524288 bytes'):
        mediapipe_detector.MediaPipeDetector('mediapipe', bundle, min_score=0.5, threads=1)


def test_every_test_that_the_page_names_is_there():
    text = (ROOT / 'docs' / 'security.md').read_text(encoding='utf-8')
    named = re.findall(r'`(test_\w+\.py)(?:::(test_\w+))?`', text)
    assert len(named) > 15
    for file, test in named:
        texts = [p.read_text(encoding='utf-8') for p in (ROOT / 'test').rglob(file)]
        assert any(f'def {test}' in text for text in texts), (file, test)


def test_options_of_commands_are_never_read_by_a_shell(tmp_path):
    """What is given as a file's name stays one."""
    name = f'$(mkdir {tmp_path}/ran);`mkdir {tmp_path}/ran`.mp4'.replace('/', ':')
    done = subprocess.run([BIN / 'gaze_ros', 'video', name], capture_output=True, text=True,
                          timeout=60, cwd=tmp_path)
    assert done.returncode == 1 and name in done.stderr and os.listdir(tmp_path) == []


def test_no_module_is_taken_from_the_folder_it_is_run_in(tmp_path):
    """A folder full of strangers' files may hold one that is called as a module."""
    for name in ('gaze_ros', 'numpy', 'cv2', 'yaml', 'rclpy', 'os'):
        (tmp_path / f'{name}.py').write_text('open("ran", "w")\nraise SystemExit(9)\n')
    done = subprocess.run(
        [BIN / 'gaze_ros', 'demo', '--seconds', '0', '--source', 'absent.mp4'], cwd=tmp_path,
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and 'absent.mp4' in done.stdout + done.stderr, done.stderr
    code = 'from gaze_ros.core.output.window import _check_display; _check_display()'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DISPLAY', ':99')
        subprocess.run([sys.executable, '-c', f'import sys; sys.path.pop(0); {code}'],
                       cwd=tmp_path, capture_output=True, timeout=60)
    assert not (tmp_path / 'ran').exists()
