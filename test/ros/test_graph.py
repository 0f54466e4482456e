"""The running graph is what the README says: nodes, topics, services, parameters, states."""
import time

from gaze_ros.core.parameters import NODES
from gaze_ros.ros import topics
from lifecycle_msgs.srv import GetState
import pytest
from rcl_interfaces.srv import DescribeParameters, ListParameters
from rclpy.qos import qos_profile_sensor_data
from readme import names, table
from sensor_msgs.msg import CompressedImage, Image
from support import call, Listener, running, wait_until
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

#: Of every node, with a purpose of ROS's own.
OF_ROS = ('qos_overrides.', 'use_sim_time', 'start_type_description_service')


@pytest.fixture(scope='module')
def graph(ros):
    """Run the pipeline; give a listener that has heard of all its nodes."""
    with running('pipeline', 'source:=sample', 'loop:=true') as process:
        listener = Listener('test_graph')
        process.wait_for('FPS', 60)
        wait_until(lambda: set(NODES) <= set(listener.node.get_node_names()), 20, 'all nodes')
        yield listener
        listener.close()


def test_nodes_are_those_of_the_table_and_active(graph):
    for row in table('Nodes'):
        for node in names(row[1]):
            if node in NODES:
                state = call(graph.node, GetState, f'/{node}/get_state', GetState.Request())
                assert state.current_state.label == 'active', node


def test_topics_are_those_of_the_table(graph):
    wanted = {names(row[0])[0]: (names(row[1])[0], names(row[2])) for row in table('Topics')}

    def published() -> dict:
        found = {}
        for node in NODES:
            for topic, types in graph.node.get_publisher_names_and_types_by_node(node, '/'):
                found.setdefault(topic, (types[0], []))[1].append(node)
        return found

    def same() -> bool:
        found = published()
        return all(
            found.get(topic if topic.startswith('/') else f'/{topic}', ('', []))[0] == kind
            for topic, (kind, _) in wanted.items())

    wait_until(same, 20, f'{wanted} instead of {published()}')
    found = published()
    for topic, (_, nodes) in wanted.items():
        assert sorted(found[topic if topic.startswith('/') else f'/{topic}'][1]) == sorted(nodes)
    # ... and nothing beside them, but what ROS itself has of every node.
    ours = {topic for topic in found if not topic.endswith(
        ('/rosout', '/parameter_events', '/transition_event', '/compressed'))}
    assert ours == {t if t.startswith('/') else f'/{t}' for t in wanted}
    compressed = {topic for topic in found if topic.endswith('/compressed')}
    assert compressed == {f'/{topics.IMAGE}/compressed', f'/{topics.IMAGE_ANNOTATED}/compressed'}


def test_services_are_those_of_the_table(graph):
    wanted = {f'/{names(row[0])[0]}': names(row[1])[0] for row in table('Services')}

    def served() -> dict:
        return {name: types[0] for node in NODES for name, types in
                graph.node.get_service_names_and_types_by_node(node, '/')}

    wait_until(lambda: wanted.items() <= served().items(), 20, f'{wanted}')
    of_ros = {name for name in served() if any(word in name for word in (
        '/set_parameters', '/get_parameter', '/describe_parameters', '/list_parameters',
        '/get_type_description', '/change_state', '/get_state', '/get_available_',
        '/get_transition_graph'))}
    assert set(served()) - of_ros == set(wanted)


def test_parameters_are_those_of_the_table(graph):
    for node in NODES:
        listed = call(graph.node, ListParameters, f'/{node}/list_parameters',
                      ListParameters.Request()).result.names
        own = {name for name in listed if not name.startswith(OF_ROS)}
        assert own == {names(row[1])[0] for row in table('Parameters')
                       if names(row[0])[0] in (node, 'all')}
        described = call(
            graph.node, DescribeParameters, f'/{node}/describe_parameters',
            DescribeParameters.Request(names=sorted(own))).descriptors
        assert all(one.description for one in described)


@pytest.mark.parametrize('kind,topic', [
    (Image, topics.IMAGE), (Image, topics.IMAGE_ANNOTATED),
    (CompressedImage, f'{topics.IMAGE_ANNOTATED}/compressed')])
def test_pictures_come_on_every_documented_topic(graph, kind, topic):
    heard = []
    graph.node.create_subscription(
        kind, topic, lambda m: heard.append(m.header.frame_id), qos_profile_sensor_data)
    wait_until(lambda: heard, 20, topic)
    assert heard[0] == 'camera_optical'


def test_frames_are_those_of_the_table(graph):
    wanted = [names(row[0])[0].replace('<id>', '') for row in table('Frames')]
    heard = []
    graph.node.create_subscription(
        TFMessage, '/tf', lambda m: heard.extend(
            (t.header.frame_id, t.child_frame_id) for t in m.transforms), 100)

    def all_there() -> bool:
        return all(any(child.startswith(name) for _, child in heard) for name in wanted)

    wait_until(all_there, 20, f'{wanted} of {set(heard)}')
    time.sleep(0.5)
    assert {parent for parent, _ in heard} == {'camera_optical'}
    assert all(child.startswith(tuple(wanted)) for _, child in heard)


def test_markers_come_while_heard(graph):
    heard = []
    graph.node.create_subscription(
        MarkerArray, topics.MARKERS, heard.append, 10)
    wait_until(lambda: any(m.markers for m in heard), 20, 'markers')
    assert all(m.lifetime.sec or m.lifetime.nanosec or m.action
               for array in heard for m in array.markers)
