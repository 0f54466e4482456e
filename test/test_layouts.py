"""The layouts for RViz, rqt and Foxglove name what there is, in the way each of them reads it."""
import ast
import json
import math
import re

from gaze_ros.core.parameters import CAMERA
from gaze_ros.msg import Attention, GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.publishers.markers import NAMESPACES
from helpers.processes import ROOT
import numpy as np
import pytest
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray
import yaml

CONFIG = ROOT / 'config'
FRAME = next(spec.default for spec in CAMERA if spec.name == 'frame_id')

#: Every topic a layout may name, and its message.
KINDS = {
    f'/{topic}': kind for topic, kind in (
        (topics.GAZE, GazeArray), (topics.ATTENTION, Attention), (topics.MARKERS, MarkerArray),
        (topics.IMAGE_ANNOTATED, Image))}


def field_of(path):
    """Return the type of a field by a path like /gaze/gazes[0]/yaw or /gaze.gazes[0].yaw."""
    topic = max((t for t in KINDS if re.match(rf'{t}[./]', path)), key=len)
    kind = KINDS[topic]
    for name in re.split(r'[./]', path[len(topic) + 1:]):
        name, array = re.fullmatch(r'(\w+)(\[\d+\])?', name).groups()
        text = kind.get_fields_and_field_types()[name]
        inner = re.fullmatch(r'sequence<(.+)>', text)
        assert bool(inner) == bool(array), f'{path}: {name} is a {text}'
        text = inner.group(1) if inner else text
        if '/' in text:
            package, message = text.split('/')
            kind = getattr(__import__(f'{package}.msg', fromlist=['x']), message)
        else:
            kind = text
    return kind


def eye_of(position, target, up):
    """Return right, up and forward (3, 3) of a view from a position at a target."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, up) / np.linalg.norm(np.cross(forward, up))
    return np.stack([right, np.cross(right, forward), forward])


def assert_behind_and_above(position, eye):
    """Check that right is right, up is up, and people before the camera are before the eye."""
    right, up, forward = eye @ np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, 1]]).T
    assert right == pytest.approx((1, 0, 0), abs=1e-3)
    assert up[1] > 0.3 and forward[2] > 0.7
    assert position[2] < -1 and position[1] < -1
    for place in ((0, 0, 1), (-1, 0, 2.5), (1, 0.5, 2.5), (0, 0, 0)):
        x, y, z = eye @ (np.array(place) - position)
        assert z > 0.5 and abs(x) < 0.6 * z and abs(y) < 0.5 * z


@pytest.fixture
def rviz():
    return yaml.safe_load((CONFIG / 'gaze.rviz').read_text())['Visualization Manager']


def test_rviz_subscribes_to_what_is_published(rviz):
    displays = {d['Class'].rpartition('/')[2]: d for d in rviz['Displays']}
    assert set(displays) == {'Image', 'MarkerArray', 'TF', 'Axes', 'Grid'}
    assert all(d['Enabled'] is d['Value'] is True for d in rviz['Displays'])
    for display, topic, reliability in (
            ('Image', topics.IMAGE_ANNOTATED, topics.default_qos().reliability),
            ('MarkerArray', topics.MARKERS, topics.reliable_qos(10).reliability)):
        named = displays[display]['Topic']
        assert named['Value'] == topic
        # As RViz words it: Best Effort, Reliable.
        assert named['Reliability Policy'].replace(' ', '_').upper() == reliability.name
        assert named['Durability Policy'] == 'Volatile'
    assert set(displays['MarkerArray']['Namespaces']) == set(NAMESPACES)
    assert rviz['Global Options']['Fixed Frame'] == FRAME


def test_every_class_of_rviz_is_one_of_its_own():
    text = (CONFIG / 'gaze.rviz').read_text()
    classes = set(re.findall(r'Class: (\w+/\w+)', text))
    assert classes == {
        'rviz_common/Displays', *(f'rviz_default_plugins/{name}' for name in (
            'Image', 'MarkerArray', 'TF', 'Axes', 'Grid', 'MoveCamera', 'Select', 'FocusCamera',
            'Measure', 'Orbit'))}


def test_window_of_rviz_has_a_large_image():
    geometry = yaml.safe_load((CONFIG / 'gaze.rviz').read_text())['Window Geometry']
    state = bytes.fromhex(geometry['QMainWindow State'])
    for name in ('Annotated image', 'Displays'):
        assert geometry[name] == {'collapsed': False}
        assert name.encode('utf-16-be') in state
    # After the marker, the version and the number of dock areas: the first area and its width.
    assert int.from_bytes(state[13:17], 'big') == 0  # left
    assert int.from_bytes(state[17:21], 'big') == 760
    assert geometry['Width'] > 2 * 760


def test_rviz_looks_from_behind_the_camera(rviz):
    view = rviz['Views']['Current']
    focus = np.array([view['Focal Point'][axis] for axis in 'XYZ'], float)
    yaw, pitch = view['Yaw'], view['Pitch']
    # As RViz's OrbitViewController places itself; its up is z.
    position = focus + view['Distance'] * np.array([
        math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)])
    assert_behind_and_above(position, eye_of(position, focus, [0, 0, 1]))


def test_rqt_opens_our_topics():
    perspective = json.loads((CONFIG / 'gaze.perspective').read_text())
    manager = perspective['groups']['pluginmanager']

    def values(group):
        for key, value in group['keys'].items():
            assert value['type'] == 'repr'
            yield key, ast.literal_eval(value['repr'])

    running = dict(values(manager))['running-plugins']
    assert running == {
        'rqt_image_view/ImageView': [1], 'rqt_plot/Plot': [1], 'rqt_topic/TopicPlugin': [1],
        'rqt_robot_monitor/RobotMonitor': [1]}
    settings = {name: dict(values(group['groups']['plugin']))
                for name, group in manager['groups'].items()}
    names = {f"plugin__{plugin.replace('/', '__')}__{number}"
             for plugin, numbers in running.items() for number in numbers}
    assert set(settings) <= names
    assert settings['plugin__rqt_image_view__ImageView__1']['topic'] == '/gaze/image_annotated'
    for path in settings['plugin__rqt_plot__Plot__1']['topics']:
        assert field_of(path) in ('float', 'double')


@pytest.fixture
def foxglove():
    return json.loads((CONFIG / 'gaze_foxglove.json').read_text())


def test_foxglove_shows_every_panel_once(foxglove):
    def panels(node):
        if isinstance(node, str):
            return [node]
        assert node['direction'] in ('row', 'column') and 0 < node['splitPercentage'] < 100
        return panels(node['first']) + panels(node['second'])

    assert sorted(panels(foxglove['layout'])) == sorted(foxglove['configById'])
    assert {name.partition('!')[0] for name in foxglove['configById']} == {
        'Image', '3D', 'Plot', 'RawMessages', 'DiagnosticSummary'}


def test_foxglove_and_lichtblick_show_the_same_titles(foxglove):
    for panel in foxglove['configById'].values():
        assert panel['foxglovePanelTitle'] == panel['lichtblickPanelTitle'] != ''


def test_foxglove_names_our_topics(foxglove):
    panels = {name.partition('!')[0]: config for name, config in foxglove['configById'].items()}
    assert KINDS[panels['Image']['imageMode']['imageTopic']] is Image
    assert [KINDS[topic] for topic in panels['3D']['topics']] == [MarkerArray]
    assert KINDS[panels['RawMessages']['topicPath']] is Attention
    assert panels['DiagnosticSummary']['topicToRender'] == '/diagnostics'
    for path in panels['Plot']['paths']:
        assert field_of(path['value']) in ('float', 'double') and path['enabled']
    assert panels['3D']['followTf'] == panels['3D']['layers']['grid']['frameId'] == FRAME


def test_foxglove_looks_from_behind_the_camera(foxglove):
    state = foxglove['configById']['3D!people']['cameraState']
    phi, theta = math.radians(state['phi']), -math.radians(state['thetaOffset'])
    focus = np.array(state['targetOffset'], float)
    # three.js' spherical coordinates, a quarter about x; its up is z.
    position = focus + state['distance'] * np.array([
        math.sin(phi) * math.sin(theta), -math.sin(phi) * math.cos(theta), math.cos(phi)])
    assert_behind_and_above(position, eye_of(position, focus, [0, 0, 1]))
