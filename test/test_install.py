"""What pip installs: the wheel is built as a user's pip builds it, in isolation."""
from importlib.metadata import distributions
import subprocess
import sys
import zipfile

from helpers.processes import ROOT
import pytest


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    if not any(d.name in ('gaze_ros', 'gaze-ros') for d in distributions()):
        pytest.skip('gaze_ros was installed by colcon, not by pip')
    out = tmp_path_factory.mktemp('wheel')
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '-w', out, ROOT],
        check=True, timeout=600)
    return zipfile.ZipFile(next(out.glob('*.whl')))


def test_every_module_is_in_it(wheel):
    have = set(wheel.namelist())
    for path in (ROOT / 'gaze_ros').rglob('*.py'):
        inside = path.relative_to(ROOT).as_posix()
        assert inside in have, inside


def test_messages_data_and_scripts_are_in_it(wheel):
    have = wheel.namelist()

    def data(end):
        return [n for n in have if n.endswith(end) and '.data/data/' in n]

    for end in ('share/gaze_ros/package.xml', 'share/gaze_ros/launch/pipeline.launch.py',
                'share/gaze_ros/config/pipeline.yaml', 'share/gaze_ros/config/fastdds.xml',
                'share/gaze_ros/weights/manifest.yaml', 'share/gaze_ros/msg/GazeArray.msg',
                'share/gaze_ros/srv/CalibrateGaze.srv',
                'share/ament_index/resource_index/packages/gaze_ros',
                'share/ament_index/resource_index/rosidl_interfaces/gaze_ros',
                'lib/gaze_ros/pipeline', 'lib/gaze_ros/camera_node'):
        assert data(end), end
    assert 'gaze_ros/msg/_gaze_array.py' in have
    assert 'gaze_ros/srv/_calibrate_gaze.py' in have
    assert [n for n in have if n.startswith('gaze_ros/') and n.endswith('.so')]
    assert len(data('.so')) >= 5  # the typesupport libraries
    scripts = wheel.read(next(n for n in have if n.endswith('entry_points.txt'))).decode()
    for name in ('camera_node', 'gaze_node', 'visualizer_node', 'pipeline', 'gaze_ros'):
        assert f'{name} = gaze_ros.' in scripts


def test_no_weights_and_no_tests_are_in_it(wheel):
    for name in wheel.namelist():
        assert not name.endswith(('.pt', '.pth', '.onnx', '.task', '.bin', '.mp4')), name
        assert not name.startswith(('test', 'benchmarks')), name
