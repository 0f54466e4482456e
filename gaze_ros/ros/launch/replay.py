"""The arguments of replay.launch.py, and the processes they start."""
from collections.abc import Mapping
from typing import Optional

from gaze_ros.core.parameters import Value
from gaze_ros.ros.launch.parsing import (
    parameter_spec,
    PARAMS_FILE,
    parse_value,
    process_for_nodes,
    ProcessSpec,
    subscribers_to_wait_for,
)

#: Arguments that set a parameter of a node; '' keeps the value in params_file.
PARAMETERS = {
    'bag': ('replay', 'bag'), 'rate': ('replay', 'rate'), 'loop': ('replay', 'loop'),
    'image_topic': ('replay', 'image_topic'), 'record': ('recorder', 'output'),
    'record_images': ('recorder', 'images'), 'output': ('visualizer', 'output'),
    'view': ('visualizer', 'view'),
    **{name: ('gaze', name) for name in (
        'model', 'weight', 'dataset', 'detector', 'detector_weight', 'runtime', 'device',
        'precision', 'max_faces', 'detector_size', 'detect_interval', 'input_size',
        'frame_skip')},
    'humans': ('people', 'humans'),
}

#: Nodes that share one process; replay and recorder have their own.
_PIPELINE_NODES = ('gaze', 'people', 'visualizer')

#: Launch argument: (default or None if it is required, description).
ARGUMENTS: dict[str, tuple[Optional[str], str]] = {
    **{name: ('', f'{parameter_spec(node, parameter).description} ({node} node)')
       for name, (node, parameter) in PARAMETERS.items()},
    'bag': (None, parameter_spec('replay', 'bag').description),
    'record': ('', 'Folder to create and record gaze to; empty = no recording.'),
    'params_file': (PARAMS_FILE, 'Parameter file for all nodes.'),
    'namespace': ('', 'Namespace of the nodes and their topics.'),
    'log_level': ('info', 'Log level: debug, info, warn, error or fatal.'),
}


def programs(arguments: Mapping[str, str]) -> list[ProcessSpec]:
    """Return the processes to start: replay, the pipeline, and the recorder if requested.

    Replay and recorder have processes of their own, since their parameters have the same names as
    those of other nodes, with other values.

    :param arguments: all of :data:`ARGUMENTS`, as strings.
    :raises ValueError: for an invalid argument; the text is one line.
    """
    namespace = arguments['namespace'].strip('/')
    # The replay node publishes /clock.
    values: dict[str, dict[str, Value]] = {
        'replay': {'use_sim_time': False,
                   **subscribers_to_wait_for('replay', namespace, _PIPELINE_NODES, arguments)},
        **{node: {'use_sim_time': True} for node in (*_PIPELINE_NODES, 'recorder')}}
    for argument, (node, parameter) in PARAMETERS.items():
        if text := arguments[argument]:
            values[node][parameter] = parse_value(
                argument, parameter_spec(node, parameter), text)
    separate = ['replay', 'recorder'] if arguments['record'] else ['replay']
    return [*(process_for_nodes(namespace, {node: values[node]}) for node in separate),
            process_for_nodes(namespace, {node: values[node] for node in _PIPELINE_NODES})]
