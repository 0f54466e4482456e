import ast
from pathlib import Path
import subprocess
import sys

import gaze_ros.core
import pytest

CORE = Path(gaze_ros.core.__file__).parent
ROS = ('rclpy', 'sensor_msgs', 'std_msgs', 'geometry_msgs', 'builtin_interfaces',
       'rcl_interfaces', 'rosidl_runtime_py', 'ament_index_python', 'launch', 'launch_ros')

IMPORT_ALL = f"""
import sys
sys.modules.update(dict.fromkeys([*{ROS!r}, 'gaze_ros.ros', 'gaze_ros.msg']))
from gaze_ros.core.system import native_threads
native_threads.configure()
from importlib import import_module
from pkgutil import walk_packages
import gaze_ros.cli, gaze_ros.core
for package in gaze_ros.core, gaze_ros.cli:
    for module in walk_packages(package.__path__, package.__name__ + '.'):
        print(module.name)
        import_module(module.name)
assert not any(sys.modules.get(name) for name in {ROS!r})
"""


def test_core_and_command_line_import_without_ros():
    pytest.importorskip('torch')  # for the networks
    done = subprocess.run(
        [sys.executable, '-c', IMPORT_ALL], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert {'gaze_ros.core.pipeline.engine', 'gaze_ros.core.networks.resnet', 'gaze_ros.cli.video',
            'gaze_ros.core.sources.capture'} <= set(done.stdout.split())


@pytest.mark.parametrize('path', sorted(CORE.rglob('*.py')), ids=lambda p: str(
    p.relative_to(CORE)))
def test_no_module_of_the_core_names_ros(path):
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module, *(f'{node.module}.{alias.name}' for alias in node.names)]
        for name in names:
            assert name.split('.')[0] not in ROS
            assert not name.split('.')[0].endswith(('_msgs', '_interfaces'))
            assert not name.startswith(('gaze_ros.ros', 'gaze_ros.msg', 'gaze_ros.cli'))
