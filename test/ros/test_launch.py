"""The launch files, as far as they can be checked without launch, which no registry has.

Where launch is installed it runs the launch files; otherwise stand-ins record what they create.
"""
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
import logging
import os
from pathlib import Path
import re
import sys
import time
from types import ModuleType, SimpleNamespace

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from gaze_ros.core.parameters import NODES
from gaze_ros.core.system.resources import share_path
from gaze_ros.ros.comm import dds_profile
from gaze_ros.ros.launch import parsing, pipeline, replay, respawn_policy
from gaze_ros.ros.launch.parsing import ProcessSpec
from gaze_ros.ros.launch.pipeline import ARGUMENTS, PARAMETERS
from helpers.processes import Process, running, wait_until
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
import yaml

HAVE_LAUNCH = find_spec('launch_ros') is not None
DEFAULTS = {name: default for name, (default, _) in ARGUMENTS.items()}
EXECUTABLES = (*(f'{name}_node' for name in NODES), 'pipeline')
OF_REPLAY = {name: default or '' for name, (default, _) in replay.ARGUMENTS.items()}
CLASSES = (
    'LaunchContext', 'LaunchDescription', 'DeclareLaunchArgument', 'OpaqueFunction',
    'RegisterEventHandler', 'OnShutdown', 'ProcessExited', 'Shutdown', 'Node', 'ExecuteProcess')


class Recorded:
    """Stands in for an action of launch; it keeps its arguments."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


@pytest.fixture
def launching(monkeypatch):
    """Return the module that imports launch."""
    if not HAVE_LAUNCH:
        for name in ('launch', 'launch.actions', 'launch.event_handlers', 'launch.events',
                     'launch.events.process', 'launch.logging', 'launch_ros',
                     'launch_ros.actions'):
            module = ModuleType(name)
            module.get_logger = logging.getLogger
            for cls in CLASSES:
                setattr(module, cls, type(cls, (Recorded,), {}))
            monkeypatch.setitem(sys.modules, name, module)
    # Import it again, and do not keep a module that uses the stand-ins.
    monkeypatch.setitem(sys.modules, 'gaze_ros.ros.launch.processes', None)
    del sys.modules['gaze_ros.ros.launch.processes']
    return import_module('gaze_ros.ros.launch.processes')


def launch_file(name):
    loader = SourceFileLoader(f'{name}_launch', str(share_path('launch') / f'{name}.launch.py'))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def start(launching, programs, **given):
    """Return the processes that are started, and the function called at shutdown."""
    # These hide their arguments.
    for name in ('Node', 'ExecuteProcess', 'OnShutdown', 'RegisterEventHandler'):
        setattr(launching, name, type(name, (Recorded,), {}))
    handler, *nodes = launching.actions(programs, {**DEFAULTS, **given})
    return [n.kwargs for n in nodes], lambda: handler.args[0].kwargs['on_shutdown'](None, None)


def programs_of(**given):
    return pipeline.programs({**DEFAULTS, **given})


def parameters(**given):
    return {p.executable: p.parameters for p in programs_of(**given)}


@pytest.mark.parametrize(('name', 'arguments'), [
    ('pipeline', ARGUMENTS), ('replay', replay.ARGUMENTS)])
def test_launch_file_declares_every_argument_with_a_description(launching, name, arguments):
    description = launch_file(name).generate_launch_description()
    if not HAVE_LAUNCH:
        declared = {a.args[0]: a.kwargs for a in description.args[0]
                    if type(a).__name__ == 'DeclareLaunchArgument'}
        assert set(declared) == set(arguments)
        assert all(kwargs['description'] for kwargs in declared.values())
        # None: it is required.
        assert [n for n, k in declared.items() if k['default_value'] is None] == (
            ['bag'] if name == 'replay' else [])
    else:
        declared = {a.name: a for a in description.get_launch_arguments()}
        assert set(declared) == set(arguments)
        assert all(a.description for a in declared.values())


def test_requested_arguments_exist():
    assert set(ARGUMENTS) >= {
        'source', 'model', 'weight', 'detector', 'view', 'output', 'device', 'params_file',
        'namespace', 'frame_id', 'use_sim_time', 'log_level', 'processes', 'humans', 'autostart',
        'cameras', 'nodes', 'driver', 'link'}


@pytest.mark.parametrize('name', PARAMETERS)
def test_every_argument_reaches_an_existing_parameter(name):
    owners = PARAMETERS[name]
    for owner in owners:
        spec = next(spec for spec in NODES[owner] if spec.name == name)
    value, wanted = {bool: ('true', True), int: ('3', 3), float: ('0.5', 0.5),
                     str: ('something', 'something')}[type(spec.default)]
    if spec.choices:
        value, wanted = str(spec.choices[-1]), spec.choices[-1]
    one = parameters(**{name: value})
    assert set(one) == {'pipeline'}
    assert (one['pipeline'][name], type(one['pipeline'][name])) == (wanted, type(wanted))
    several = parameters(processes='true', **{name: value})
    assert set(several) == set(EXECUTABLES) - {'pipeline'}
    for executable, values in several.items():
        assert (name in values) == (executable in {f'{owner}_node' for owner in owners})


def test_missing_argument_keeps_the_value_of_the_parameter_file():
    assert parameters() == {'pipeline': {}}


def test_launch_arguments_reach_the_processes(launching, tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('/**/gaze:\n  ros__parameters:\n    max_faces: 5\n')
    given = {'params_file': str(file), 'log_level': 'debug', 'link': 'network'}
    (got,), end = start(launching, programs_of(
        namespace='robot1', use_sim_time='True', nodes='gaze,people', humans='1', **given),
        **given)
    try:
        assert got['executable'] == 'pipeline'
        assert got['arguments'] == ['--nodes', 'gaze,people']
        assert got['namespace'] == 'robot1'
        assert got['ros_arguments'] == ['--log-level', 'debug']
        since = float(got['additional_env'].pop('GAZE_ROS_LAUNCHED_AT'))
        assert -1 < time.time() - since < 60
        assert got['additional_env'] == {
            'GAZE_ROS_LINK': 'network', 'GAZE_ROS_LAUNCH': str(os.getpid())}
        assert (got['respawn'], got['respawn_delay']) == (True, 1.0)
        first, second = got['parameters']
        assert first == str(file)
        assert list(yaml.safe_load(Path(second).read_text()).values()) == [{'ros__parameters': {
            'humans': True, 'use_sim_time': True, 'image_transport': 'compressed'}}]
    finally:
        end()
    assert not Path(second).exists()
    end()  # the file is removed already


def test_driver_replaces_the_camera_node_and_gets_the_profile(launching, monkeypatch):
    for name in (*dds_profile.PROFILES, 'FASTDDS_BUILTIN_TRANSPORTS', 'RMW_IMPLEMENTATION'):
        monkeypatch.delenv(name, raising=False)
    given = {'driver': "env usb_cam_node_exe --ros-args -p frame_id:='my cam'"}
    (nodes, driver), end = start(launching, programs_of(**given), **given)
    end()
    assert nodes['arguments'] == ['--nodes', 'gaze,visualizer,people']
    assert driver['cmd'] == ['env', 'usb_cam_node_exe', '--ros-args', '-p', 'frame_id:=my cam']
    (name, profile), = driver['additional_env'].items()
    assert name in dds_profile.PROFILES and Path(profile) == dds_profile.foreign_profile()
    assert driver['respawn'] is True and isinstance(driver['on_exit'], launching.OnProcessExit)
    monkeypatch.setenv(name, '/mine.xml')
    (_, driver), end = start(launching, programs_of(**given), **given)
    end()
    assert driver['additional_env'] == {}
    with pytest.raises(ValueError, match="driver is 'env \"', which is not a command: No closing"):
        start(launching, [], driver='env "')
    with pytest.raises(ValueError, match="'no_such -x', but there is no program 'no_such'"):
        start(launching, [], driver='no_such -x')


@pytest.mark.parametrize('respawn', [True, False])
@pytest.mark.parametrize('code', [0, 1])
def test_exited_process_ends_the_others_and_a_failed_one_fails_launch(
        launching, code, respawn):
    on_exit = launching.OnProcessExit(respawn)
    event = SimpleNamespace(returncode=code, process_name='gaze_node-1')
    running, ending = SimpleNamespace(is_shutdown=False), SimpleNamespace(is_shutdown=True)
    if code:
        with pytest.raises(RuntimeError, match='gaze_node-1 failed with exit code 1'):
            on_exit(event, running)
    else:
        assert type(on_exit(event, running)).__name__ == 'Shutdown'
    assert type(on_exit(event, ending)).__name__ == 'Shutdown'


def test_killed_process_is_restarted_up_to_the_limit(launching):
    event = SimpleNamespace(returncode=-9, process_name='gaze_node-1')
    running, ending = SimpleNamespace(is_shutdown=False), SimpleNamespace(is_shutdown=True)
    on_exit = launching.OnProcessExit(True)
    for _ in range(respawn_policy.MAX_RESPAWNS):
        assert on_exit(event, running) is None  # launch restarts it
    with pytest.raises(RuntimeError, match=f'after {respawn_policy.MAX_RESPAWNS} restarts within'):
        on_exit(event, running)
    with pytest.raises(RuntimeError, match='gaze_node-1 was terminated by SIGKILL'):
        launching.OnProcessExit(False)(event, running)
    assert type(launching.OnProcessExit(True)(event, ending)).__name__ == 'Shutdown'


@pytest.mark.parametrize(('given', 'respawn'), [({}, True), ({'respawn': 'no'}, False)])
def test_pipeline_respawns_by_default_and_replay_never(launching, given, respawn):
    def got(programs, arguments):
        processes, end = start(launching, programs, **arguments)
        end()
        return {p['respawn'] for p in processes}

    assert got(programs_of(**given), given) == {respawn}
    of_replay = {**OF_REPLAY, 'bag': '/b'}
    handler, *nodes = launching.actions(replay.programs(of_replay), of_replay)
    handler.args[0].kwargs['on_shutdown'](None, None)
    assert {node.kwargs['respawn'] for node in nodes} == {False}
    with pytest.raises(ValueError, match="respawn is 'maybe'; expected true or false"):
        start(launching, programs_of(), respawn='maybe')


def test_viewer_is_started_beside_the_nodes_of_each_camera(tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('/right/people: {ros__parameters: {targets_file: /t.yaml}}')
    started = [(p.executable, p.namespace, p.arguments) for p in programs_of(
        viewer='web', cameras='left,right', params_file=str(file))]
    assert started == [
        ('pipeline', 'left', ()), ('gaze_ros', 'left', ('view',)),
        ('pipeline', 'right', ()), ('gaze_ros', 'right', ('view', '--targets', '/t.yaml'))]
    assert [p.executable for p in programs_of()] == ['pipeline']


def test_some_nodes_share_one_process_by_default():
    def started(**given):
        return [(p.executable, *p.arguments) for p in programs_of(**given)]

    assert started(nodes='camera') == [('camera_node',)]
    assert started(nodes='gaze, people') == [('pipeline', '--nodes', 'gaze,people')]
    every = ','.join(reversed(NODES))
    assert started(nodes=every) == [('pipeline',)]
    assert started(nodes=every, processes='yes') == [(f'{n}_node',) for n in reversed(NODES)]


def test_images_are_compressed_over_a_network_by_default(monkeypatch):
    def transport(**given):
        return {p.executable: p.parameters.get('image_transport') for p in programs_of(**given)}

    assert transport(link='network', nodes='gaze,people') == {'pipeline': 'compressed'}
    assert transport(link='network', nodes='gaze', image_transport='raw') == {'gaze_node': 'raw'}
    separate = {f'{name}_node' for name in ('camera', 'gaze', 'visualizer', 'people')}
    assert transport(processes='true') == dict.fromkeys(separate, 'shared') | {'camera_node': None}
    assert transport(processes='true', image_transport='raw')['gaze_node'] == 'raw'
    assert transport(processes='true', nodes='gaze,visualizer') == {
        'gaze_node': None, 'visualizer_node': None}, 'the camera may be anywhere'
    # Within one process images are passed directly.
    assert transport(link='network', nodes='gaze,camera') == {'pipeline': None}
    assert transport(link='network', nodes='gaze,camera', processes='1') == {
        'gaze_node': 'compressed', 'camera_node': None}
    monkeypatch.setenv('GAZE_ROS_LINK', 'network')
    assert transport(nodes='gaze') == {'gaze_node': 'compressed'}
    assert transport(nodes='gaze', link='local') == {'gaze_node': None}


@pytest.mark.parametrize(('given', 'file', 'count'), [
    ({'nodes': 'camera'}, '', 1), ({'nodes': 'camera,people'}, '', 1),
    ({'nodes': 'camera,gaze'}, '', 1), ({'nodes': 'camera,gaze,people'}, '', 1),
    ({}, '', 2), ({'humans': 'true'}, '', 3),
    ({'nodes': 'camera,people,gaze', 'humans': '1'}, '', 2),
    ({}, '/ns/people: {ros__parameters: {humans: true}}', 3),
    ({'humans': 'false'}, '/**: {ros__parameters: {humans: true}}', 2),
    ({}, '/other/people: {ros__parameters: {humans: true}}', 2),
    # A number other than the package's is the user's choice.
    ({'nodes': 'camera'}, '/*/camera: {ros__parameters: {wait_for_subscribers: 0}}', 0),
    ({'nodes': 'camera'}, '/other/camera: {ros__parameters: {wait_for_subscribers: 0}}', 1)])
@pytest.mark.parametrize('processes', ['true', 'false'])
def test_file_waits_for_all_nodes_that_take_images(tmp_path, given, file, count, processes):
    path = tmp_path / 'mine.yaml'
    path.write_text(f"{Path(DEFAULTS['params_file']).read_text()}\n{file}\n")
    got = programs_of(params_file=str(path), namespace='ns', processes=processes, **given)
    camera = next(p for p in got if p.executable in ('camera_node', 'pipeline'))
    sections = parsing.parameter_sections(str(path))
    values = parsing.parameters_in_file(sections, 'ns', 'camera')
    assert {**values, **camera.parameters}['wait_for_subscribers'] == count


def test_each_camera_has_its_own_pipeline_and_names():
    got = programs_of(cameras='front,rear', source='0,"http://cam/?size=640,480"', model='adas',
                      namespace='robot1', camera_info_url=',rear.yaml', rotate='90,auto')
    assert got == [
        ProcessSpec('pipeline', 'robot1/front', {
            'source': '0', 'frame_id': 'front_camera_optical', 'track_prefix': 'front_f',
            'model': 'adas', 'rotate': '90'}),
        ProcessSpec('pipeline', 'robot1/rear', {
            'source': 'http://cam/?size=640,480', 'frame_id': 'rear_camera_optical',
            'track_prefix': 'rear_f', 'model': 'adas', 'camera_info_url': 'rear.yaml',
            'rotate': 'auto'})]


@pytest.mark.parametrize(('text', 'front', 'rear'), [
    ('/**/camera:\n  ros__parameters: {frame_id: a}\n', 'front_camera_optical',
     'rear_camera_optical'),
    ('/front/camera:\n  ros__parameters: {frame_id: a}\n', None, 'rear_camera_optical'),
    ('rear:\n  camera:\n    ros__parameters: {frame_id: a}\n', 'front_camera_optical', None),
    ('/front/gaze:\n  ros__parameters: {frame_id: a}\n', 'front_camera_optical',
     'rear_camera_optical')])
def test_frame_id_of_a_named_camera_in_a_file_is_kept(tmp_path, text, front, rear):
    path = tmp_path / 'mine.yaml'
    path.write_text(text)
    got = [p.parameters.get('frame_id') for p in programs_of(
        cameras='front,rear', params_file=str(path))]
    assert got == [front, rear]


@pytest.mark.parametrize(('given', 'words'), [
    ({'view': 'perhaps'}, "view is 'perhaps'; expected true or false"),
    ({'max_faces': 'many'}, "max_faces is 'many'; expected an integer"),
    ({'max_faces': '-1'}, 'max_faces -1 is not in 0..'),
    ({'model': 'other'}, "model 'other' is not one of: auto"),
    ({'max_age': 'many'}, "max_age is 'many'; expected a number"),
    ({'nodes': 'camera,gase'}, "nodes has 'gase', which is not one of: camera, gaze, visualizer"),
    ({'nodes': ''}, "nodes is ''; expected a comma-separated list of node names"),
    ({'nodes': 'camera,camera'}, 'each once'),
    ({'nodes': 'gaze', 'source': '0'},
     'source belongs to the camera node, which nodes:=gaze does not start'),
    ({'driver': 'my_driver', 'source': '0'},
     'source belongs to the camera node, which driver:=my_driver does not start'),
    ({'driver': 'my_driver', 'nodes': 'camera'}, "nodes is 'camera', which driver replaces"),
    ({'link': 'wifi'}, "link has 'wifi', which is not one of: local, network"),
    ({'viewer': 'rerun'}, "viewer has 'rerun', which is not one of: web"),
    ({'cameras': 'front,front'}, 'each once'),
    ({'cameras': 'front,'}, "cameras is 'front,'; expected a comma-separated list of camera"),
    ({'cameras': 'front,2nd'}, "cameras has '2nd'; expected a name of letters, digits and _"),
    ({'cameras': 'front,rear', 'source': '0'},
     "source is '0', which has 1 of 2 values; expected a comma-separated list with one for each"),
    ({'cameras': 'front,rear', 'output': 'a,b,c'}, 'which has 3 of 2 values'),
    ({'cameras': 'front', 'params_file': '/nowhere.yaml'},
     "params_file '/nowhere.yaml' cannot be read")])
def test_invalid_argument_is_named_in_one_line(given, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        programs_of(**given)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('programs', [
    lambda file: pipeline.programs({**DEFAULTS, 'params_file': file}),
    lambda file: replay.programs({**OF_REPLAY, 'bag': '/b', 'params_file': file})])
def test_invalid_parameter_file_starts_nothing(programs, tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('a: [1\nb: }')
    with pytest.raises(ValueError, match=re.escape(f"params_file '{path}' cannot be read")):
        programs(str(path))


#: Sections of files, each of which matches the node /ns/camera.
SECTIONS = ('/**', '/**/camera', '/ns/camera', '/*/camera', '/ns/*', '/**/**', '/**/**/**')


def as_rcl_reads(node, *files):
    """Return the parameters that rcl reads from files for a node of this name in /ns."""
    context = Context()
    rclpy.init(context=context, args=[
        '--ros-args', *(word for file in files for word in ('--params-file', str(file)))])
    try:
        made = Node(node, namespace='ns', context=context, enable_rosout=False,
                    start_parameter_services=False,
                    automatically_declare_parameters_from_overrides=True)
        got = {name: p.value for name, p in made.get_parameters_by_prefix('').items()}
        made.destroy_node()
    finally:
        context.try_shutdown()
    return got


@given(sections=st.lists(st.sampled_from(SECTIONS), min_size=1, unique=True),
       text=st.one_of(st.text(st.characters(codec='utf-8', exclude_categories=('Cs', 'Cc'))),
                      st.sampled_from(['0', '1e3', '.5', 'yes', 'null', '~', '0x1f', '[1]', ''])),
       number=st.floats(allow_nan=False, allow_infinity=False,
                        allow_subnormal=False))  # Jazzy's parser reads them as strings
@settings(max_examples=40)
def test_arguments_override_every_kind_of_section(tmp_path_factory, sections, text, number):
    folder = tmp_path_factory.mktemp('files')
    values = {'text': text, 'number': number, 'whole': 3, 'truth': True}
    theirs = '\n'.join(
        f'{name}:\n  ros__parameters:\n' + ''.join(f'    {v}: theirs\n' for v in values)
        for name in sections)
    (folder / 'theirs.yaml').write_text(theirs)
    (folder / 'ours.yaml').write_text(
        parsing.overriding_parameter_file(values, theirs), encoding='utf-8')
    read = as_rcl_reads('camera', folder / 'theirs.yaml', folder / 'ours.yaml')
    got = {name: read[name] for name in values}
    assert got == values
    assert [type(v) for v in got.values()] == [type(v) for v in values.values()]


@given(st.lists(st.sampled_from((*SECTIONS, '/ns/gaze', '/*/*/camera', '/other/**')),
                min_size=1, unique=True))
@settings(max_examples=40)
def test_parameters_in_file_match_what_rcl_reads(tmp_path_factory, names):
    path = tmp_path_factory.mktemp('files') / 'theirs.yaml'
    path.write_text('\n'.join(
        f'{name}: {{ros__parameters: {{value: {number}, of_{number}: true}}}}'
        for number, name in enumerate(names)))
    got = as_rcl_reads('camera', path)
    sections = parsing.parameter_sections(str(path))
    assert parsing.parameters_in_file(sections, 'ns', 'camera') == {
        name: got[name] for name in got if name == 'value' or name.startswith('of_')}


@pytest.mark.parametrize('section', SECTIONS)
def test_replay_arguments_override_and_time_is_bag_time(launching, tmp_path, section):
    file = tmp_path / 'mine.yaml'
    file.write_text(f'{section}: {{ros__parameters: {{use_sim_time: false, rate: 5.0}}}}\n'
                    '/**/**/**: {ros__parameters: {rate: 6.0}}\n')
    given = {**OF_REPLAY, 'bag': '/b', 'rate': '2', 'record': '/o', 'namespace': '/ns/',
             'params_file': str(file)}
    processes, end = start(launching, replay.programs(given), **given)
    try:
        assert {p['namespace'] for p in processes} == {'ns'}
        got = {p['executable']: as_rcl_reads('camera', *p['parameters']) for p in processes}
    finally:
        end()
    assert {name: own['use_sim_time'] for name, own in got.items()} == {
        'replay_node': False, 'recorder_node': True, 'pipeline': True}
    assert got['replay_node']['rate'] == 2.0


def test_every_executable_and_file_is_installed():
    prefix = Path(get_package_prefix('gaze_ros'))
    for name in (*EXECUTABLES, 'gaze_ros'):
        path = prefix / 'lib' / 'gaze_ros' / name
        assert os.access(path, os.X_OK), path
    share = Path(get_package_share_directory('gaze_ros'))
    for name in ('package.xml', 'launch/pipeline.launch.py', 'launch/replay.launch.py',
                 'config/pipeline.yaml',
                 'config/fastdds.xml', 'config/fastdds_small.xml',
                 'config/fastdds_network.xml', 'config/fastdds_network_2.xml',
                 'weights/manifest.yaml', 'msg/Gaze.msg', 'msg/GazeArray.msg'):
        assert (share / name).is_file(), name


def test_executable_in_lib_takes_what_launch_passes(listener, tmp_path):
    """As launch_ros passes it: a namespace, the parameter file, and a file for the arguments."""
    path = tmp_path / 'launch_params.yaml'
    (program,) = programs_of(source='sample', frame_id='cam7_optical', namespace='r2',
                             output=str(tmp_path / 'o.mp4'))
    path.write_text(parsing.overriding_parameter_file(
        program.parameters, Path(DEFAULTS['params_file']).read_text()))
    executable = Path(get_package_prefix('gaze_ros')) / 'lib' / 'gaze_ros' / 'pipeline'
    from sensor_msgs.msg import Image
    frames = listener.subscribe(Image, '/r2/camera/image_raw', lambda m: m.header.frame_id)
    drawn = listener.subscribe(Image, '/r2/gaze/image_annotated')
    more = ('-r', '__ns:=/r2', '--params-file', DEFAULTS['params_file'],
            '--params-file', str(path), '--log-level', 'info')
    with running(str(executable), more=more):
        wait_until(lambda: len(frames) > 5 and drawn, 30, 'images')
    assert set(frames) == {'cam7_optical'}
    assert (tmp_path / 'o.mp4').is_file()


def test_one_process_runs_the_requested_nodes(listener):
    executable = Path(get_package_prefix('gaze_ros')) / 'lib' / 'gaze_ros' / 'pipeline'
    others = set(listener.node.get_node_names())
    with running(str(executable), words=('--nodes', 'visualizer,people')):
        wait_until(lambda: {'people', 'visualizer'} <= set(listener.node.get_node_names()), 30,
                   'both nodes')
        assert set(listener.node.get_node_names()) - others == {'people', 'visualizer'}


@pytest.mark.parametrize('words', [
    ('--nodes',), ('--nodes', ''), ('--nodes', 'gaze,gase'), ('--nodes', 'replay')])
def test_unknown_nodes_start_nothing(words):
    process = Process('pipeline', words=words)
    assert process.end(30) == 2
    assert 'list of some of gaze, people, visualizer, camera' in process.text
    assert 'Traceback' not in process.text
