"""What the arguments of pipeline.launch.py mean."""
from collections.abc import Iterator, Mapping
import csv
import re
from typing import Any

from gaze_ros.core.parameters import NODES, Value
from gaze_ros.ros.comm import dds_profile
from gaze_ros.ros.launch.arguments import (
    one_process,
    parameter_sections,
    parameter_spec,
    PARAMS_FILE,
    parse_bool,
    parse_value,
    ProcessSpec,
    subscribers_to_wait_for,
)
from gaze_ros.ros.launch.respawn_policy import (
    MAX_RESPAWNS,
    RESPAWN_DELAY,
    RESPAWN_WINDOW,
    STARTUP_TIME,
)

#: Arguments that set the parameter of the same name of these nodes; '' leaves the parameter as
#: params_file has it.
PARAMETERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(('source', 'frame_id', 'loop', 'exit_on_end', 'camera_info_url'),
                    ('camera',)),
    **dict.fromkeys(('model', 'weight', 'dataset', 'detector', 'detector_weight', 'runtime',
                     'device', 'precision', 'max_faces', 'detect_interval', 'input_size',
                     'frame_skip', 'max_age', 'track_prefix'), ('gaze',)),
    **dict.fromkeys(('view', 'output'), ('visualizer',)),
    **dict.fromkeys(('humans', 'publish_tf'), ('people',)),
    'image_transport': ('gaze', 'people', 'visualizer'),
    'autostart': tuple(NODES),
}

#: Those of which each camera has its own: with cameras, a list with commas between.
OF_ONE_CAMERA = ('source', 'frame_id', 'camera_info_url', 'track_prefix', 'output')


def _description(name: str) -> str:
    nodes = PARAMETERS[name]
    whose = 'all nodes' if nodes == tuple(NODES) else (
        f"{', '.join(nodes)} node{'s' * (len(nodes) > 1)}")
    return f'{parameter_spec(nodes[0], name).description} ({whose})'


#: Name of each launch argument: its default and what it is.
ARGUMENTS: dict[str, tuple[str, str]] = {
    **{name: ('', _description(name)) for name in PARAMETERS},
    'params_file': (PARAMS_FILE, 'Parameter file for all nodes.'),
    'namespace': ('', 'Namespace of the nodes and their topics.'),
    'cameras': ('', 'Comma-separated names of several cameras; each gets a pipeline in the '
                f"namespace of that name. {', '.join(OF_ONE_CAMERA)} are then comma-separated "
                'lists.'),
    'nodes': (','.join(NODES), 'Comma-separated nodes to start on this machine.'),
    'link': ('', 'network: some nodes run on another machine; images are sent compressed and '
             'reliably, so that a lossy link carries them. Empty: the environment variable '
             f'{dds_profile.LINK}, else local.'),
    'use_sim_time': ('', 'Take the time from /clock.'),
    'log_level': ('info', 'Log level: debug, info, warn, error or fatal.'),
    'processes': ('false', 'One process per node instead of one for all.'),
    'respawn': ('true', f'Restart a process {RESPAWN_DELAY:g} s after it was killed, crashed, or failed '
                f'after {STARTUP_TIME:g} s or more of work; at most {MAX_RESPAWNS} times in {RESPAWN_WINDOW:g} s.'),
}


def programs(given: Mapping[str, str]) -> list[ProcessSpec]:
    """Return the processes to start.

    :param given: all of :data:`ARGUMENTS`, as strings.
    :raises ValueError: for an argument that cannot be what was meant, in one line.
    """
    nodes = _names(given, 'nodes', 'a node')
    for name in nodes:
        _one_of('nodes', name, NODES)
    if given['link']:
        _one_of('link', given['link'], dds_profile.LINKS)
    for name, owners in PARAMETERS.items():
        if given[name] and not set(owners).intersection(nodes):
            raise ValueError(f'{name} is of the {owners[0]} node, which nodes:='
                             f"{given['nodes']} does not start")
    together = not parse_bool('processes', given['processes'])
    own: dict[str, Value] = {}
    # A camera of the same process hands its pictures over, which is cheaper than any message.
    if (given['link'] or dds_profile.link()) == 'network' and not (together and 'camera' in nodes):
        own['image_transport'] = 'compressed'
    if given['use_sim_time']:
        own['use_sim_time'] = parse_bool('use_sim_time', given['use_sim_time'])
    result = []
    for namespace, arguments in _pipelines(given):
        of_node = {node: _parameters(node, arguments, own) for node in nodes}
        if 'camera' in nodes:
            of_node['camera'].update(subscribers_to_wait_for('camera', namespace, nodes, given))
        groups = [of_node] if together else [{node: of_node[node]} for node in nodes]
        result += [one_process(namespace, group) for group in groups]
    return result


def _pipelines(given: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the namespace and the arguments of each pipeline."""
    namespace = given['namespace'].strip('/')
    if not given['cameras']:
        yield namespace, dict(given)
        return
    cameras = _names(given, 'cameras', 'a camera')
    own = {name: _list(given[name]) for name in OF_ONE_CAMERA if given[name]}
    for name, values in own.items():
        if len(values) != len(cameras):
            raise ValueError(
                f"{name} is '{given[name]}', that is {len(values)} for {len(cameras)} cameras; "
                'one for each was expected, with commas between (one with a comma in it in "")')
    of_file = parameter_sections(given['params_file'])
    for number, camera in enumerate(cameras):
        if not re.fullmatch('[a-zA-Z][a-zA-Z0-9_]*', camera):
            raise ValueError(f"cameras has '{camera}'; a name of letters, digits and _ was "
                             'expected, with a letter at its beginning')
        place = f'{namespace}/{camera}'.lstrip('/')
        arguments = {**given, **{name: values[number] for name, values in own.items()}}
        # What the file says of every camera would be the same for each: TF has one such frame.
        for name, node, value in (('frame_id', 'camera', f'{camera}_camera_optical'),
                                  ('track_prefix', 'gaze', f'{camera}_f')):
            if name not in of_file.get(f'{place}/{node}', {}):
                arguments[name] = arguments[name] or value
        yield place, arguments


def _parameters(
        node: str, arguments: Mapping[str, str], own: Mapping[str, Value]) -> dict[str, Value]:
    """Return the parameters that the arguments set of a node.

    :param own: those that no argument of the same name sets.
    """
    result = {name: value for name, value in own.items()
              if node in PARAMETERS.get(name, NODES)}
    result.update({name: parse_value(name, parameter_spec(node, name), arguments[name])
                   for name, nodes in PARAMETERS.items() if arguments[name] and node in nodes})
    return result


def _list(text: str) -> list[str]:
    return [word.strip() for word in next(csv.reader([text], skipinitialspace=True))]


def _names(given: Mapping[str, str], argument: str, what: str) -> list[str]:
    names = _list(given[argument]) if given[argument] else []
    if not all(names) or not names or len(set(names)) < len(names):
        raise ValueError(f"{argument} is '{given[argument]}'; {what} or several were expected, "
                         'with commas between, each once')
    return names


def _one_of(argument: str, value: str, choices: Any) -> None:
    if value not in choices:
        raise ValueError(f"{argument} has '{value}', which is not one of: {', '.join(choices)}")
