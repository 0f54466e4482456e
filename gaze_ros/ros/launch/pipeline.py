"""The arguments of pipeline.launch.py, and the processes they start."""
from collections.abc import Iterator, Mapping
import csv
import re
from typing import Any

from gaze_ros.core.parameters import NODES, Value
from gaze_ros.core.system import shared_images
from gaze_ros.ros.comm import dds_profile
from gaze_ros.ros.launch.parsing import (
    parameter_sections,
    parameter_spec,
    parameters_in_file,
    PARAMS_FILE,
    parse_bool,
    parse_value,
    process_for_nodes,
    ProcessSpec,
    subscribers_to_wait_for,
)
from gaze_ros.ros.launch.respawn_policy import (
    MAX_RESPAWNS,
    RESPAWN_DELAY,
    RESPAWN_WINDOW,
    STARTUP_TIME,
)

#: Arguments that set the parameter of the same name of these nodes; '' keeps the value in
#: params_file.
PARAMETERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(('source', 'rotate', 'frame_id', 'loop', 'exit_on_end',
                     'camera_info_url'), ('camera',)),
    **dict.fromkeys(('model', 'weight', 'dataset', 'detector', 'detector_weight', 'runtime',
                     'device', 'precision', 'max_faces', 'detector_size', 'detect_interval',
                     'input_size', 'frame_skip', 'max_age', 'track_prefix'), ('gaze',)),
    **dict.fromkeys(('view', 'output'), ('visualizer',)),
    **dict.fromkeys(('humans', 'publish_tf'), ('people',)),
    'image_transport': ('gaze', 'people', 'visualizer'),
    'autostart': tuple(NODES),
}

#: Arguments that are comma-separated lists, one value per camera, if cameras is given.
OF_ONE_CAMERA = ('source', 'rotate', 'frame_id', 'camera_info_url', 'track_prefix', 'output')


#: Viewers that the argument viewer may start.
VIEWERS = ('web',)


def _description(name: str) -> str:
    nodes = PARAMETERS[name]
    owners = 'all nodes' if nodes == tuple(NODES) else (
        f"{', '.join(nodes)} node{'s' * (len(nodes) > 1)}")
    return f'{parameter_spec(nodes[0], name).description} ({owners})'


#: Launch argument: (default, description).
ARGUMENTS: dict[str, tuple[str, str]] = {
    **{name: ('', _description(name)) for name in PARAMETERS},
    'params_file': (PARAMS_FILE, 'Parameter file for all nodes.'),
    'namespace': ('', 'Namespace of the nodes and their topics.'),
    'cameras': ('', 'Comma-separated names of several cameras; each gets a pipeline in the '
                f"namespace of that name. {', '.join(OF_ONE_CAMERA)} are then comma-separated "
                'lists.'),
    'nodes': (','.join(NODES), 'Comma-separated nodes to start on this machine.'),
    'driver': ('', 'Command that publishes the images instead of the camera node, such as a '
               'camera driver or ros2 bag play. It gets the Fast DDS profile that images need, '
               'unless you have set one. All processes stop when it ends.'),
    'link': ('', 'network: some nodes run on another machine; images are sent compressed and '
             'reliably, so that a lossy link carries them. Empty: the environment variable '
             f'{dds_profile.LINK}, else local.'),
    'use_sim_time': ('', 'Take the time from /clock.'),
    'viewer': ('', 'web: also serve the page of gaze_ros view, on port 8080 or the next free one, '
               'for browsers on this machine.'),
    'log_level': ('info', 'Log level: debug, info, warn, error or fatal.'),
    'processes': ('false', 'One process per node instead of one for all; with a camera node, '
                  'images then go through shared memory unless image_transport is set.'),
    'respawn': ('true', f'Restart a process {RESPAWN_DELAY:g} s after it was killed, crashed, '
                f'or failed after {STARTUP_TIME:g} s or more of work; at most {MAX_RESPAWNS} '
                f'times in {RESPAWN_WINDOW:g} s.'),
}


def programs(arguments: Mapping[str, str]) -> list[ProcessSpec]:
    """Return the processes to start.

    :param arguments: all of :data:`ARGUMENTS`, as strings.
    :raises ValueError: for an invalid argument; the text is one line.
    """
    nodes = _nodes(arguments)
    if arguments['link']:
        _check_choice('link', arguments['link'], dds_profile.LINKS)
    if arguments['viewer']:
        _check_choice('viewer', arguments['viewer'], VIEWERS)
    one_process = not parse_bool('processes', arguments['processes'])
    common: dict[str, Value] = {}
    # A camera in the same process passes images directly, which is cheaper than any message.
    if (arguments['link'] or dds_profile.link()) == 'network' and not (
            one_process and 'camera' in nodes):
        common['image_transport'] = 'compressed'
    elif not one_process and 'camera' in nodes and shared_images.AVAILABLE:
        common['image_transport'] = 'shared'
    if arguments['use_sim_time']:
        common['use_sim_time'] = parse_bool('use_sim_time', arguments['use_sim_time'])
    result = []
    for namespace, own_arguments in _pipelines(arguments):
        parameters = {node: _parameters(node, own_arguments, common) for node in nodes}
        if 'camera' in nodes:
            parameters['camera'].update(
                subscribers_to_wait_for('camera', namespace, nodes, arguments))
        groups = [parameters] if one_process else [{node: parameters[node]} for node in nodes]
        result += [process_for_nodes(namespace, group) for group in groups]
        if arguments['viewer']:
            result.append(_viewer(namespace, arguments['params_file']))
    return result


def _nodes(arguments: Mapping[str, str]) -> list[str]:
    """Return the nodes to start, in which each argument of a node has its node.

    :raises ValueError: for an invalid argument; the text is one line.
    """
    nodes = _names(arguments, 'nodes', 'node')
    for name in nodes:
        _check_choice('nodes', name, NODES)
    if arguments['driver']:
        nodes = [name for name in nodes if name != 'camera']
        if not nodes:
            raise ValueError(f"nodes is '{arguments['nodes']}', which driver replaces; expected "
                             'another node')
    for name, owners in PARAMETERS.items():
        if arguments[name] and not set(owners).intersection(nodes):
            cause = 'driver' if arguments['driver'] and 'camera' in owners else 'nodes'
            raise ValueError(f'{name} belongs to the {owners[0]} node, which '
                             f'{cause}:={arguments[cause]} does not start')
    return nodes


def _viewer(namespace: str, params_file: str) -> ProcessSpec:
    """Return the process of the viewer, which shows the targets of the people node, too."""
    people = parameters_in_file(parameter_sections(params_file), namespace, 'people')
    targets = people.get('targets_file') or ''
    return ProcessSpec(
        'gaze_ros', namespace, {}, ('view', *(('--targets', targets) if targets else ())))


def _pipelines(arguments: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the namespace and the arguments of each pipeline."""
    namespace = arguments['namespace'].strip('/')
    if not arguments['cameras']:
        yield namespace, dict(arguments)
        return
    cameras = _names(arguments, 'cameras', 'camera')
    lists = {name: _split(arguments[name]) for name in OF_ONE_CAMERA if arguments[name]}
    for name, values in lists.items():
        if len(values) != len(cameras):
            raise ValueError(
                f"{name} is '{arguments[name]}', which has {len(values)} of {len(cameras)} "
                'values; expected a comma-separated list with one for each camera (commas in '
                'values in "")')
    sections = parameter_sections(arguments['params_file'])
    for index, camera in enumerate(cameras):
        if not re.fullmatch('[a-zA-Z][a-zA-Z0-9_]*', camera):
            raise ValueError(f"cameras has '{camera}'; expected a name of letters, digits and _ "
                             'that starts with a letter')
        camera_namespace = f'{namespace}/{camera}'.lstrip('/')
        own = {**arguments, **{name: values[index] for name, values in lists.items()}}
        # Values in the file that hold for all cameras would give several of them the same TF frame
        # and track ids.
        for name, node, value in (('frame_id', 'camera', f'{camera}_camera_optical'),
                                  ('track_prefix', 'gaze', f'{camera}_f')):
            if name not in sections.get(f'{camera_namespace}/{node}', {}):
                own[name] = own[name] or value
        yield camera_namespace, own


def _parameters(
        node: str, arguments: Mapping[str, str], common: Mapping[str, Value]) -> dict[str, Value]:
    """Return the parameters of a node that the arguments set.

    :param common: parameters of all nodes that have them; arguments of the same name override.
    """
    result = {name: value for name, value in common.items()
              if node in PARAMETERS.get(name, NODES)}
    result.update({name: parse_value(name, parameter_spec(node, name), arguments[name])
                   for name, nodes in PARAMETERS.items() if arguments[name] and node in nodes})
    return result


def _split(text: str) -> list[str]:
    return [item.strip() for item in next(csv.reader([text], skipinitialspace=True))]


def _names(arguments: Mapping[str, str], argument: str, kind: str) -> list[str]:
    names = _split(arguments[argument]) if arguments[argument] else []
    if not all(names) or not names or len(set(names)) < len(names):
        raise ValueError(f"{argument} is '{arguments[argument]}'; expected a comma-separated list "
                         f'of {kind} names, each once')
    return names


def _check_choice(argument: str, value: str, choices: Any) -> None:
    if value not in choices:
        raise ValueError(f"{argument} has '{value}', which is not one of: {', '.join(choices)}")
