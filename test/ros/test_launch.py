"""What of `ros2 launch` can be checked without it: launch is in no package registry.

Where launch is installed, the launch file is run by it; else by stand-ins that only record.
"""
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
import os
from pathlib import Path
import sys
from types import ModuleType, SimpleNamespace

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from gaze_ros.core.parameters import NODES
from gaze_ros.core.share import share_path
from gaze_ros.ros.launching import ARGUMENTS, node_parameters, PARAMETERS
import pytest
from support import running, wait_until

HAVE_LAUNCH = find_spec('launch_ros') is not None
DEFAULTS = {name: default for name, (default, _) in ARGUMENTS.items()}
EXECUTABLES = ('camera_node', 'gaze_node', 'visualizer_node', 'pipeline')


class Recorded:
    """Stands in for an action of launch: keeps what it was made with."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


@pytest.fixture
def launch_file(monkeypatch):
    if not HAVE_LAUNCH:
        for name in ('launch', 'launch.actions', 'launch_ros', 'launch_ros.actions',
                     'launch_ros.parameter_descriptions'):
            module = ModuleType(name)
            for cls in ('LaunchDescription', 'DeclareLaunchArgument', 'OpaqueFunction',
                        'Shutdown', 'Node', 'ParameterValue'):
                setattr(module, cls, type(cls, (Recorded,), {}))
            monkeypatch.setitem(sys.modules, name, module)
    path = str(share_path('launch') / 'pipeline.launch.py')
    loader = SourceFileLoader('pipeline_launch', path)
    module = module_from_spec(spec_from_loader('pipeline_launch', loader))
    loader.exec_module(module)
    return module


def nodes(launch_file, **given):
    for name in ('Node', 'ParameterValue'):  # the real ones do not tell what they hold
        setattr(launch_file, name, type(name, (Recorded,), {}))
    context = SimpleNamespace(launch_configurations={**DEFAULTS, **given})
    return {n.kwargs['executable']: n.kwargs for n in launch_file.start(context)}


def test_the_launch_file_declares_every_argument_with_a_description(launch_file):
    description = launch_file.generate_launch_description()
    if not HAVE_LAUNCH:
        actions = description.args[0]
        declared = {a.args[0]: a.kwargs for a in actions if type(a).__name__ ==
                    'DeclareLaunchArgument'}
        assert set(declared) == set(ARGUMENTS)
        assert all(kwargs['description'] for kwargs in declared.values())
    else:
        declared = {a.name: a for a in description.get_launch_arguments()}
        assert set(declared) == set(ARGUMENTS)
        assert all(a.description for a in declared.values())


def test_the_arguments_of_the_issue_are_there():
    assert set(ARGUMENTS) >= {
        'source', 'model', 'weight', 'detector', 'view', 'output', 'device', 'params_file',
        'namespace', 'frame_id', 'use_sim_time', 'log_level', 'processes'}


@pytest.mark.parametrize('name', PARAMETERS)
def test_every_argument_reaches_a_parameter_that_exists(launch_file, name):
    owner = PARAMETERS[name]
    spec = next(spec for spec in NODES[owner] if spec.name == name)
    value, wanted = {bool: ('true', True), int: ('3', 3), float: ('0.5', 0.5),
                     str: ('something', 'something')}[type(spec.default)]
    one = nodes(launch_file, **{name: value})
    assert set(one) == {'pipeline'}
    got = one['pipeline']['parameters'][1][name].args[0]
    assert (got, type(got)) == (wanted, type(wanted))
    three = nodes(launch_file, processes='true', **{name: value})
    assert set(three) == {'camera_node', 'gaze_node', 'visualizer_node'}
    for executable, kwargs in three.items():
        assert (name in kwargs['parameters'][1]) == (executable == f'{owner}_node')


def test_an_argument_not_given_leaves_the_parameter_file_alone(launch_file):
    own = nodes(launch_file)['pipeline']['parameters']
    assert own[0] == DEFAULTS['params_file']
    assert own[1] == {}


def test_the_arguments_of_launch_itself_arrive(launch_file):
    got = nodes(launch_file, namespace='robot1', log_level='debug', use_sim_time='True',
                params_file='/mine.yaml')['pipeline']
    assert got['namespace'] == 'robot1'
    assert got['ros_arguments'] == ['--log-level', 'debug']
    assert got['parameters'][0] == '/mine.yaml'
    assert got['parameters'][1]['use_sim_time'].args[0] is True


def test_a_truth_value_that_is_none_is_refused():
    with pytest.raises(ValueError, match="view is 'perhaps'; true or false was expected"):
        node_parameters({**DEFAULTS, 'view': 'perhaps'})


@pytest.mark.parametrize(('name', 'words'), [
    ('max_faces', "max_faces is 'many'; a whole number was expected"),
    ('max_age', "max_age is 'many'; a number was expected")])
def test_a_number_that_is_none_is_refused(name, words):
    with pytest.raises(ValueError, match=words):
        node_parameters({**DEFAULTS, name: 'many'})


def test_every_executable_and_file_is_installed():
    prefix = Path(get_package_prefix('gaze_ros'))
    for name in (*EXECUTABLES, 'gaze_ros'):
        path = prefix / 'lib' / 'gaze_ros' / name
        assert os.access(path, os.X_OK), path
    share = Path(get_package_share_directory('gaze_ros'))
    for name in ('package.xml', 'launch/pipeline.launch.py', 'config/pipeline.yaml',
                 'config/fastdds.xml', 'config/fastdds_small.xml', 'weights/manifest.yaml',
                 'msg/Gaze.msg', 'msg/GazeArray.msg'):
        assert (share / name).is_file(), name


def test_what_launch_passes_is_taken_by_the_executable_in_lib(listener, tmp_path):
    """As launch_ros writes it: a namespace, the parameter file, and a file for the arguments."""
    path = tmp_path / 'launch_params.yaml'
    values = node_parameters({**DEFAULTS, 'source': 'sample', 'frame_id': 'cam7_optical',
                              'output': str(tmp_path / 'o.mp4')})['pipeline']
    lines = [f"    {k}: '{v}'" if isinstance(v, str) else f'    {k}: {str(v).lower()}'
             for k, v in values.items()]
    path.write_text('/**:\n  ros__parameters:\n' + '\n'.join(lines) + '\n')
    executable = Path(get_package_prefix('gaze_ros')) / 'lib' / 'gaze_ros' / 'pipeline'
    from sensor_msgs.msg import Image
    frames = listener.hear(Image, '/r2/camera/image_raw', lambda m: m.header.frame_id)
    more = ('-r', '__ns:=/r2', '--params-file', DEFAULTS['params_file'],
            '--params-file', str(path), '--log-level', 'info')
    with running(str(executable), more=more):
        wait_until(lambda: len(frames) > 5, 30, 'images')
    assert set(frames) == {'cam7_optical'}
    assert (tmp_path / 'o.mp4').is_file()
