"""What the arguments of replay.launch.py mean."""
from collections.abc import Mapping
from typing import Optional

from gaze_ros.core.parameters import Value
from gaze_ros.ros.launch.arguments import (
    one_process,
    parameter_spec,
    PARAMS_FILE,
    parse_value,
    ProcessSpec,
    subscribers_to_wait_for,
)

#: Arguments that set a parameter of a node; '' leaves the parameter as params_file has it.
PARAMETERS = {
    'bag': ('replay', 'bag'), 'rate': ('replay', 'rate'), 'loop': ('replay', 'loop'),
    'image_topic': ('replay', 'image_topic'), 'record': ('recorder', 'output'),
    'record_images': ('recorder', 'images'), 'output': ('visualizer', 'output'),
    'view': ('visualizer', 'view'),
    **{name: ('gaze', name) for name in (
        'model', 'weight', 'dataset', 'detector', 'detector_weight', 'runtime', 'device',
        'precision', 'max_faces', 'detect_interval', 'input_size', 'frame_skip')},
    'humans': ('people', 'humans'),
}

#: Nodes of the one process beside the bag's.
_TOGETHER = ('gaze', 'people', 'visualizer')

#: Name of each launch argument: its default, None where one has to be given, and what it is.
ARGUMENTS: dict[str, tuple[Optional[str], str]] = {
    **{name: ('', f'{parameter_spec(node, parameter).description} ({node} node)')
       for name, (node, parameter) in PARAMETERS.items()},
    'bag': (None, parameter_spec('replay', 'bag').description),
    'record': ('', 'Folder to create and record gaze to; empty = no recording.'),
    'params_file': (PARAMS_FILE, 'Parameter file for all nodes.'),
    'namespace': ('', 'Namespace of the nodes and their topics.'),
    'log_level': ('info', 'Log level: debug, info, warn, error or fatal.'),
}


def programs(given: Mapping[str, str]) -> list[ProcessSpec]:
    """Return the processes to start: replay, the nodes that work, and the recorder if asked for.

    Replay and recorder have parameters that are called as those of other nodes, and times of
    their own.

    :param given: all of :data:`ARGUMENTS`, as strings.
    :raises ValueError: for an argument that cannot be what was meant, in one line.
    """
    namespace = given['namespace'].strip('/')
    # The replay node makes the time.
    values: dict[str, dict[str, Value]] = {
        'replay': {'use_sim_time': False,
                   **subscribers_to_wait_for('replay', namespace, _TOGETHER, given)},
        **{node: {'use_sim_time': True} for node in (*_TOGETHER, 'recorder')}}
    for argument, (node, parameter) in PARAMETERS.items():
        if given[argument]:
            values[node][parameter] = parse_value(argument, parameter_spec(node, parameter), given[argument])
    alone = ['replay', 'recorder'] if given['record'] else ['replay']
    return [*(one_process(namespace, {node: values[node]}) for node in alone),
            one_process(namespace, {node: values[node] for node in _TOGETHER})]
