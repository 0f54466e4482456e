"""The running graph is what docs/reference says: nodes, topics, services, parameters, states."""
import time

from gaze_ros.core.parameters import BAG_NODES, NODES
from gaze_ros.ros.comm import topics
from helpers.processes import running, wait_until
from helpers.readme_tables import as_shown, backticked, page, table
from helpers.ros_client import call_service, Listener
from lifecycle_msgs.srv import GetState
import pytest
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

#: Parameters that ROS adds to every node.
OF_ROS = ('qos_overrides.', 'use_sim_time', 'start_type_description_service')


#: Parameters that differ from the default.
GIVEN = {'source': 'sample', 'loop': 'true'}


@pytest.fixture(scope='module')
def graph(ros):
    """Run the pipeline; return a listener that has discovered all its nodes."""
    given = [f'{name}:={value}' for name, value in GIVEN.items()]
    with running('pipeline', *given) as process:
        listener = Listener('test_graph')
        process.wait_for('FPS', 60)
        wait_until(lambda: set(NODES) <= set(listener.node.get_node_names()), 20, 'all nodes')
        yield listener
        listener.close()


def test_nodes_match_the_table_and_are_active(graph):
    for row in table('topics', 'Nodes'):
        for node in backticked(row[1]):
            if node in NODES:
                state = call_service(
                    graph.node, GetState, f'/{node}/get_state', GetState.Request()
                )
                assert state.current_state.label == 'active', node


def published_topics():
    """Return the rows of topics that the nodes publish; others are those of a depth camera."""
    return [row for row in table('topics', 'Topics') if row[2].startswith('`')]


def test_topics_match_the_table(graph):
    wanted = {backticked(row[0])[0]: (backticked(row[1])[0], backticked(row[2]))
              for row in published_topics()}

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
    # And no others, except those of packages that are optional and those that ROS adds to every
    # node.
    optional = {f'/{backticked(row[0])[0]}' for row in table('topics', 'Topics')
                if row[2].startswith('where ')}
    ours = {topic for topic in found if not topic.endswith(
        ('/rosout', '/parameter_events', '/transition_event', '/compressed', '/shared'))}
    assert ours - optional == {t if t.startswith('/') else f'/{t}' for t in wanted}
    compressed = {topic for topic in found if topic.endswith('/compressed')}
    assert compressed == {f'/{topics.IMAGE}/compressed', f'/{topics.IMAGE_ANNOTATED}/compressed'}
    assert {topic for topic in found if topic.endswith('/shared')} == {f'/{topics.IMAGE}/shared'}


def test_qos_matches_the_documentation(graph):
    text = ' '.join(page('topics').split())
    assert ('Images, camera_info and gaze are best effort, keep last 2; the others are reliable'
            in text)
    assert '(`diagnostic_msgs/msg/DiagnosticArray`, reliable,' in text
    for row in published_topics():
        topic = backticked(row[0])[0]
        kind = backticked(row[1])[0].rpartition('/')[2]
        wait_until(lambda topic=topic: graph.node.count_publishers(topic), 20, topic)
        for info in graph.node.get_publishers_info_by_topic(topic):
            best_effort = kind in ('Image', 'CameraInfo', 'GazeArray')
            assert (info.qos_profile.reliability is ReliabilityPolicy.BEST_EFFORT) is best_effort
            assert info.qos_profile.durability is (
                DurabilityPolicy.TRANSIENT_LOCAL if topic == topics.ATTENTION  # docs/attention.md
                else DurabilityPolicy.VOLATILE), topic


@pytest.mark.parametrize('name', BAG_NODES)
def test_bag_nodes_wait_with_their_defaults(listener, name):
    assert name in {''.join(backticked(row[1])) for row in table('topics', 'Nodes')}
    with running(f'{name}_node', 'autostart:=false'):
        state = call_service(listener.node, GetState, f'/{name}/get_state', GetState.Request())
        assert state.current_state.label == 'unconfigured'
        assert values(listener.node, name) == {
            **{spec.name: spec.default for spec in BAG_NODES[name]}, 'autostart': False}


def test_services_match_the_table(graph):
    wanted = {
        f'/{backticked(row[0])[0]}': backticked(row[1])[0] for row in table('topics', 'Services')
    }

    def served() -> dict:
        return {name: types[0] for node in NODES for name, types in
                graph.node.get_service_names_and_types_by_node(node, '/')}

    wait_until(lambda: wanted.items() <= served().items(), 20, f'{wanted}')
    of_ros = {name for name in served() if any(word in name for word in (
        '/set_parameters', '/get_parameter', '/describe_parameters', '/list_parameters',
        '/get_type_description', '/change_state', '/get_state', '/get_available_',
        '/get_transition_graph'))}
    assert set(served()) - of_ros == set(wanted)


def values(node, name):
    """Return the parameters of a running node, without those of ROS."""
    listed = call_service(node, ListParameters, f'/{name}/list_parameters',
                          ListParameters.Request()).result.names
    own = [one for one in listed if not one.startswith(OF_ROS)]
    answer = call_service(
        node, GetParameters, f'/{name}/get_parameters', GetParameters.Request(names=own)
    )
    return {one: parameter_value_to_python(value) for one, value in zip(own, answer.values)}


def test_parameters_match_the_table(graph):
    for node in NODES:
        actual = values(graph.node, node)
        own = set(actual)
        wanted = {
            backticked(row[1])[0]: ''.join(backticked(row[2]))
            for row in table('parameters', 'Pipeline')
            if backticked(row[0])[0] in (node, 'all')
        }
        if node == 'camera':
            wanted |= GIVEN
        assert {name: as_shown(value) for name, value in actual.items()} == wanted
        described = call_service(
            graph.node, DescribeParameters, f'/{node}/describe_parameters',
            DescribeParameters.Request(names=sorted(own))).descriptors
        assert all(one.description for one in described)


@pytest.mark.parametrize('kind,topic', [
    (Image, topics.IMAGE), (Image, topics.IMAGE_ANNOTATED),
    (CompressedImage, f'{topics.IMAGE_ANNOTATED}/compressed')])
def test_images_arrive_on_every_documented_topic(graph, kind, topic):
    heard = []
    graph.node.create_subscription(
        kind, topic, lambda m: heard.append(m.header.frame_id), qos_profile_sensor_data)
    wait_until(lambda: heard, 20, topic)
    assert heard[0] == 'camera_optical'


def test_tf_frames_match_the_table(graph):
    wanted = [backticked(row[0])[0].replace('<id>', '') for row in table('topics', 'TF frames')
              if '`humans`' not in row[1]]
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


def test_markers_are_published_while_subscribed(graph):
    heard = []
    graph.node.create_subscription(
        MarkerArray, topics.MARKERS, heard.append, 10)
    wait_until(lambda: any(m.markers for m in heard), 20, 'markers')
    assert all(m.lifetime.sec or m.lifetime.nanosec or m.action
               for array in heard for m in array.markers)
