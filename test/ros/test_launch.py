"""What of `ros2 launch` can be checked without it: launch is in no package registry.

Where launch is installed, the launch file is run by it; else by stand-ins that only record.
"""
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
import os
from pathlib import Path
import re
import sys
from types import ModuleType, SimpleNamespace

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from gaze_ros.core.parameters import NODES
from gaze_ros.core.share import share_path
from gaze_ros.ros import launching
from gaze_ros.ros.launching import ARGUMENTS, PARAMETERS
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from support import running, wait_until
import yaml

HAVE_LAUNCH = find_spec('launch_ros') is not None
DEFAULTS = {name: default for name, (default, _) in ARGUMENTS.items()}
EXECUTABLES = (*(f'{name}_node' for name in NODES), 'pipeline')
CLASSES = (
    'LaunchDescription', 'DeclareLaunchArgument', 'OpaqueFunction', 'RegisterEventHandler',
    'OnShutdown', 'Shutdown', 'Node')


class Recorded:
    """Stands in for an action of launch: keeps what it was made with."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


@pytest.fixture
def launch_file(monkeypatch):
    if not HAVE_LAUNCH:
        for name in ('launch', 'launch.actions', 'launch.event_handlers', 'launch_ros',
                     'launch_ros.actions'):
            module = ModuleType(name)
            for cls in CLASSES:
                setattr(module, cls, type(cls, (Recorded,), {}))
            monkeypatch.setitem(sys.modules, name, module)
    path = str(share_path('launch') / 'pipeline.launch.py')
    loader = SourceFileLoader('pipeline_launch', path)
    module = module_from_spec(spec_from_loader('pipeline_launch', loader))
    loader.exec_module(module)
    return module


def start(launch_file, **given):
    """Return what the launch file makes of arguments: its processes, and what ends it."""
    for name in ('Node', 'OnShutdown', 'RegisterEventHandler'):  # the real ones do not tell
        setattr(launch_file, name, type(name, (Recorded,), {}))
    context = SimpleNamespace(launch_configurations={**DEFAULTS, **given})
    handler, *nodes = launch_file.start(context)
    return [n.kwargs for n in nodes], lambda: handler.args[0].kwargs['on_shutdown'](None, context)


def programs_of(**given):
    return launching.programs({**DEFAULTS, **given})


def parameters(**given):
    return {p.executable: p.parameters for p in programs_of(**given)}


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


def test_the_arguments_of_the_issues_are_there():
    assert set(ARGUMENTS) >= {
        'source', 'model', 'weight', 'detector', 'view', 'output', 'device', 'params_file',
        'namespace', 'frame_id', 'use_sim_time', 'log_level', 'processes', 'humans', 'autostart',
        'cameras', 'nodes', 'link'}


@pytest.mark.parametrize('name', PARAMETERS)
def test_every_argument_reaches_a_parameter_that_exists(name):
    owners = PARAMETERS[name]
    for owner in owners:
        spec = next(spec for spec in NODES[owner] if spec.name == name)
    value, wanted = {bool: ('true', True), int: ('3', 3), float: ('0.5', 0.5),
                     str: ('something', 'something')}[type(spec.default)]
    one = parameters(**{name: value})
    assert set(one) == {'pipeline'}
    assert (one['pipeline'][name], type(one['pipeline'][name])) == (wanted, type(wanted))
    several = parameters(processes='true', **{name: value})
    assert set(several) == set(EXECUTABLES) - {'pipeline'}
    for executable, values in several.items():
        assert (name in values) == (executable in {f'{owner}_node' for owner in owners})


def test_an_argument_not_given_leaves_the_parameter_file_alone():
    assert parameters() == {'pipeline': {}}


def test_the_arguments_of_launch_itself_arrive(launch_file, tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('/**/camera:\n  ros__parameters:\n    rate: 5.0\n')
    (got,), end = start(launch_file, namespace='robot1', log_level='debug', use_sim_time='True',
                        source='0', params_file=str(file), link='network')
    try:
        assert got['executable'] == 'pipeline'
        assert got['namespace'] == 'robot1'
        assert got['ros_arguments'] == ['--log-level', 'debug']
        assert got['additional_env'] == {'GAZE_ROS_LINK': 'network'}
        first, second = got['parameters']
        assert first == str(file)
        assert list(yaml.safe_load(Path(second).read_text()).values()) == [{'ros__parameters': {
            'source': '0', 'use_sim_time': True, 'image_transport': 'compressed'}}]
    finally:
        end()
    assert not Path(second).exists()
    end()  # somebody cleaned up before


def test_some_of_the_nodes_are_started_by_themselves():
    assert list(parameters(nodes='camera')) == ['camera_node']
    assert list(parameters(nodes='gaze, people')) == ['gaze_node', 'people_node']
    every = ','.join(reversed(NODES))
    assert list(parameters(nodes=every)) == ['pipeline']
    assert list(parameters(nodes=every, processes='yes')) == [f'{n}_node' for n in reversed(NODES)]


def test_pictures_come_compressed_over_a_network_unless_said_otherwise(monkeypatch):
    assert parameters(link='network', nodes='gaze,camera') == {
        'gaze_node': {'image_transport': 'compressed'}, 'camera_node': {}}
    assert parameters(link='network', nodes='gaze', image_transport='raw') == {
        'gaze_node': {'image_transport': 'raw'}}
    monkeypatch.setenv('GAZE_ROS_LINK', 'network')
    assert parameters(nodes='gaze') == {'gaze_node': {'image_transport': 'compressed'}}
    assert parameters(nodes='gaze', link='local') == {'gaze_node': {}}


def test_each_camera_has_a_pipeline_of_its_own_names():
    got = programs_of(cameras='front,rear', source='0,"http://cam/?size=640,480"', model='adas',
                      namespace='robot1', camera_info_url=',rear.yaml')
    assert got == [
        launching.Program('pipeline', 'robot1/front', {
            'source': '0', 'frame_id': 'front_camera_optical', 'track_prefix': 'front_f',
            'model': 'adas'}),
        launching.Program('pipeline', 'robot1/rear', {
            'source': 'http://cam/?size=640,480', 'frame_id': 'rear_camera_optical',
            'track_prefix': 'rear_f', 'model': 'adas', 'camera_info_url': 'rear.yaml'})]


@pytest.mark.parametrize(('text', 'front', 'rear'), [
    ('/**/camera:\n  ros__parameters: {frame_id: a}\n', 'front_camera_optical',
     'rear_camera_optical'),
    ('/front/camera:\n  ros__parameters: {frame_id: a}\n', None, 'rear_camera_optical'),
    ('rear:\n  camera:\n    ros__parameters: {frame_id: a}\n', 'front_camera_optical', None),
    ('/front/gaze:\n  ros__parameters: {frame_id: a}\n', 'front_camera_optical',
     'rear_camera_optical')])
def test_a_camera_keeps_the_frame_that_a_file_gives_it_by_name(tmp_path, text, front, rear):
    path = tmp_path / 'mine.yaml'
    path.write_text(text)
    got = [p.parameters.get('frame_id') for p in programs_of(
        cameras='front,rear', params_file=str(path))]
    assert got == [front, rear]


@pytest.mark.parametrize(('given', 'words'), [
    ({'view': 'perhaps'}, "view is 'perhaps'; true or false was expected"),
    ({'max_faces': 'many'}, "max_faces is 'many'; a whole number was expected"),
    ({'max_age': 'many'}, "max_age is 'many'; a number was expected"),
    ({'nodes': 'camera,gase'}, "nodes has 'gase', which is not one of: camera, gaze, visualizer"),
    ({'nodes': ''}, "nodes is ''; a node or several were expected"),
    ({'nodes': 'camera,camera'}, 'each once'),
    ({'nodes': 'gaze', 'source': '0'},
     'source is of the camera node, which nodes:=gaze does not start'),
    ({'link': 'wifi'}, "link has 'wifi', which is not one of: local, network"),
    ({'cameras': 'front,front'}, 'each once'),
    ({'cameras': 'front,'}, "cameras is 'front,'; a camera or several were expected"),
    ({'cameras': 'front,2nd'}, "cameras has '2nd'; a name of letters, digits and _"),
    ({'cameras': 'front,rear', 'source': '0'},
     "source is '0', that is 1 for 2 cameras; one for each was expected"),
    ({'cameras': 'front,rear', 'output': 'a,b,c'}, 'that is 3 for 2 cameras'),
    ({'cameras': 'front', 'params_file': '/nowhere.yaml'},
     "params_file '/nowhere.yaml' cannot be read")])
def test_a_wrong_argument_is_named_in_one_line(given, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        programs_of(**given)
    assert '\n' not in str(caught.value)


def test_a_parameter_file_that_is_no_yaml_starts_nothing(launch_file, tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('a: [1\nb: }')
    with pytest.raises(ValueError, match=re.escape(f"params_file '{path}' cannot be read")):
        start(launch_file, params_file=str(path))


#: Sections of files, each of which matches the node /ns/camera.
SECTIONS = ('/**', '/**/camera', '/ns/camera', '/*/camera', '/ns/*', '/**/**', '/**/**/**')


@given(sections=st.lists(st.sampled_from(SECTIONS), min_size=1, unique=True),
       text=st.one_of(st.text(st.characters(codec='utf-8', exclude_categories=('Cs', 'Cc'))),
                      st.sampled_from(['0', '1e3', '.5', 'yes', 'null', '~', '0x1f', '[1]', ''])),
       number=st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=40)
def test_arguments_win_over_every_kind_of_section(tmp_path_factory, sections, text, number):
    folder = tmp_path_factory.mktemp('files')
    values = {'text': text, 'number': number, 'whole': 3, 'truth': True}
    theirs = '\n'.join(
        f'{name}:\n  ros__parameters:\n' + ''.join(f'    {v}: theirs\n' for v in values)
        for name in sections)
    (folder / 'theirs.yaml').write_text(theirs)
    (folder / 'ours.yaml').write_text(launching.parameter_file(values, theirs), encoding='utf-8')
    context = Context()
    rclpy.init(context=context, args=[
        '--ros-args', '--params-file', str(folder / 'theirs.yaml'),
        '--params-file', str(folder / 'ours.yaml')])
    try:
        node = Node('camera', namespace='ns', context=context, enable_rosout=False,
                    start_parameter_services=False,
                    automatically_declare_parameters_from_overrides=True)
        got = {name: node.get_parameter(name).value for name in values}
        node.destroy_node()
    finally:
        context.try_shutdown()
    assert got == values
    assert [type(v) for v in got.values()] == [type(v) for v in values.values()]


def test_every_executable_and_file_is_installed():
    prefix = Path(get_package_prefix('gaze_ros'))
    for name in (*EXECUTABLES, 'gaze_ros'):
        path = prefix / 'lib' / 'gaze_ros' / name
        assert os.access(path, os.X_OK), path
    share = Path(get_package_share_directory('gaze_ros'))
    for name in ('package.xml', 'launch/pipeline.launch.py', 'config/pipeline.yaml',
                 'config/fastdds.xml', 'config/fastdds_small.xml',
                 'config/fastdds_network.xml', 'config/fastdds_network_2.xml',
                 'weights/manifest.yaml', 'msg/Gaze.msg', 'msg/GazeArray.msg'):
        assert (share / name).is_file(), name


def test_what_launch_passes_is_taken_by_the_executable_in_lib(listener, tmp_path):
    """As launch_ros writes it: a namespace, the parameter file, and a file for the arguments."""
    path = tmp_path / 'launch_params.yaml'
    (program,) = programs_of(source='sample', frame_id='cam7_optical', namespace='r2',
                             output=str(tmp_path / 'o.mp4'))
    path.write_text(launching.parameter_file(
        program.parameters, Path(DEFAULTS['params_file']).read_text()))
    executable = Path(get_package_prefix('gaze_ros')) / 'lib' / 'gaze_ros' / 'pipeline'
    from sensor_msgs.msg import Image
    frames = listener.hear(Image, '/r2/camera/image_raw', lambda m: m.header.frame_id)
    more = ('-r', '__ns:=/r2', '--params-file', DEFAULTS['params_file'],
            '--params-file', str(path), '--log-level', 'info')
    with running(str(executable), more=more):
        wait_until(lambda: len(frames) > 5, 30, 'images')
    assert set(frames) == {'cam7_optical'}
    assert (tmp_path / 'o.mp4').is_file()
