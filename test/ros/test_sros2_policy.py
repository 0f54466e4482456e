"""config/sros2/gaze_ros.policy.xml grants exactly what the running nodes use."""
from collections import defaultdict
from importlib.util import find_spec
import re
import time
import xml.etree.ElementTree as ET

from gaze_ros.core.parameters import BAG_NODES, NODES
from helpers.processes import Process, ROOT, running, wait_until
from helpers.ros_client import Listener
import pytest
from rclpy.impl.implementation_singleton import rclpy_implementation

NodeNameNonExistentError = rclpy_implementation.NodeNameNonExistentError

POLICY = ROOT / 'config' / 'sros2' / 'gaze_ros.policy.xml'
DOC = ROOT / 'docs' / 'security.md'

#: Elements of a profile: their children, and the attributes that grant rights.
KINDS = {'topics': ('topic', ('publish', 'subscribe')),
         'services': ('service', ('reply', 'request'))}

#: A service of the ros2 command line tools, each named by its process.
TOOLS = '/_ros2cli_*/get_type_description'

#: What the people node uses only with a package that is in no package registry, by that package.
OPTIONAL = {('people', 'publish', '/gaze/annotations'): 'foxglove_msgs',
            ('people', 'publish', '/gaze/faces'): 'vision_msgs',
            ('people', 'subscribe', '/tf'): 'tf2_ros',
            ('people', 'subscribe', '/tf_static'): 'tf2_ros'}

#: Parameters with which the nodes need more rights than by default.
MORE = (('use_sim_time:=true', 'image_transport:=compressed', 'depth:=true'),
        ('image_transport:=shared',))


def full(name, namespace, node):
    """Return a name as sros2 expands it."""
    if name.startswith('~/'):
        name = f'{node}/{name[2:]}'
    return name if name.startswith('/') else f'{namespace.rstrip("/")}/{name}'


def profiles():
    """Return the granted names by enclave, node and right (publish, subscribe, reply, request)."""
    found = {}
    for enclave in ET.parse(POLICY).getroot().iter('enclave'):
        nodes = found[enclave.get('path')] = {}
        for profile in enclave.iter('profile'):
            grants = nodes[profile.get('node')] = defaultdict(set)
            for element in profile:
                for one in element:
                    for right in KINDS[element.tag][1]:
                        if element.get(right) == 'ALLOW':
                            grants[right].add(full(
                                one.text, profile.get('ns'), profile.get('node')))
    return found


def rights(node, names):
    """Return what nodes use in the running graph, as (node, right, name)."""
    of = {'publish': node.get_publisher_names_and_types_by_node,
          'subscribe': node.get_subscriber_names_and_types_by_node,
          'reply': node.get_service_names_and_types_by_node,
          'request': node.get_client_names_and_types_by_node}
    try:
        return {(name, right, topic) for name in names for right, ask in of.items()
                for topic, _ in ask(name, '/')}
    except NodeNameNonExistentError:  # one of them is not discovered yet
        return set()


def collect(listener, names, used):
    """Add what nodes use, once discovery is complete."""
    def complete():
        now = rights(listener.node, names)
        used.update(now)
        return all((n, 'publish', f'/{n}/transition_event') in now
                   and (n, 'reply', f'/{n}/set_parameters_atomically') in now for n in names)

    wait_until(lambda: set(names) <= set(listener.node.get_node_names()), 30, f'{names}')
    wait_until(complete, 30, f'all topics of {names}')
    time.sleep(0.5)
    assert complete()


@pytest.fixture(scope='module')
def used(ros, tmp_path_factory):
    """Run all nodes, with default parameters and with MORE; return what they used."""
    pytest.importorskip('rosbags')
    from helpers.bag_files import camera_messages, write_bag
    folder = tmp_path_factory.mktemp('policy')
    (folder / 'targets.yaml').write_text('targets: [{name: cup, frame: table}]')
    bag = write_bag(folder / 'in', camera_messages(3, compressed=True))
    used = set()
    listener = Listener('test_policy')
    try:
        for more in ((), *MORE):
            record = (f'output:={folder}/{len(more)}', 'images:=true', 'overlays:=true', *more[:1])
            with running('pipeline', 'source:=sample', f'targets_file:={folder}/targets.yaml',
                         *more) as process, \
                    running('recorder_node', *record) as recorder, \
                    running('replay_node', f'bag:={bag}', 'loop:=true') as replay:
                recorder.wait_for('recording', 60)
                # The camera starts last, when it has subscribers.
                process.wait_for('camera]:', 60)
                wait_until(lambda: ('camera', 'publish', '/camera/camera_info') in rights(
                    listener.node, ['camera']), 60, 'the camera')
                collect(listener, [*NODES, *BAG_NODES], used)
                assert replay.running and process.running
    finally:
        listener.close()
    return used


def granted():
    """Return what the policy grants, in the form of rights()."""
    return {(node, right, name) for nodes in profiles().values() for node, grants in nodes.items()
            if node != 'operator' for right, names in grants.items() for name in names}


def test_everything_the_running_nodes_use_is_granted(used):
    assert used - granted() == set()


def test_nothing_is_granted_that_the_running_nodes_do_not_use(used):
    absent = {right for right, package in OPTIONAL.items() if find_spec(package) is None}
    assert granted() - used == absent


def test_policy_follows_the_sros2_schema():
    root = ET.parse(POLICY).getroot()
    assert (root.tag, root.attrib, [e.tag for e in root]) == (
        'policy', {'version': '0.2.0'}, ['enclaves'])
    for enclave in root.iter('enclave'):
        assert [e.tag for e in enclave] == ['profiles'] and set(enclave.attrib) == {'path'}
        for profile in enclave[0]:
            assert profile.tag == 'profile' and set(profile.attrib) == {'ns', 'node'}
            for element in profile:
                inner, allowed = KINDS[element.tag]
                assert len(element) and {e.tag for e in element} == {inner}
                assert set(element.attrib) <= set(allowed) and set(element.attrib.values()) == {
                    'ALLOW'}
                texts = [e.text for e in element]
                assert texts == sorted(set(texts))
                assert [t for t in texts if '*' in t] in ([], [TOOLS])


def test_each_process_has_an_enclave():
    found = profiles()
    assert set(found) == {f'/gaze_ros/{n}' for n in (*NODES, *BAG_NODES, 'pipeline', 'operator')}
    for node in (*NODES, *BAG_NODES):
        assert set(found[f'/gaze_ros/{node}']) == {node}
    assert found['/gaze_ros/pipeline'] == {n: found[f'/gaze_ros/{n}'][n] for n in NODES}


def test_operator_may_subscribe_and_call_but_publish_nothing_nodes_subscribe_to():
    operator = profiles()['/gaze_ros/operator']['operator']
    assert operator['publish'] == {'/parameter_events', '/rosout'}
    assert operator['subscribe'] == {name for _, right, name in granted() if right == 'publish'}
    assert operator['request'] == {name for _, right, name in granted() if right == 'reply'}
    assert operator['reply'] == {TOOLS}


def test_documented_commands_cover_every_enclave():
    text = DOC.read_text(encoding='utf-8')
    loop = re.search(r'for name in ([a-z ]+); do', text)[1].split()
    assert {f'/gaze_ros/{name}' for name in loop} == set(profiles())
    for word in ('ros2 security create_keystore', 'ros2 security create_enclave',
                 'ros2 security create_permission', 'config/sros2/gaze_ros.policy.xml',
                 'ROS_SECURITY_ENABLE=true', 'ROS_SECURITY_STRATEGY=Enforce', '--enclave'):
        assert word in text


def test_node_without_keys_does_not_start(tmp_path):
    process = Process('people_node', more=('--enclave', '/gaze_ros/people'), env={
        'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce',
        'ROS_SECURITY_KEYSTORE': str(tmp_path)})
    assert process.end(30) == 1
    assert 'SECURITY ERROR' in process.text and 'Traceback' not in process.text
