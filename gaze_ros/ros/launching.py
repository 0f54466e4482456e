"""What the launch file's arguments mean; without importing launch, so that tests can read it."""
from gaze_ros.core.parameters import NODES, Value
from gaze_ros.core.share import share_path

#: Arguments that set the parameter of the same name of this node; '' leaves the parameter as
#: params_file has it.
PARAMETERS = {
    'source': 'camera', 'frame_id': 'camera', 'loop': 'camera', 'exit_on_end': 'camera',
    'model': 'gaze', 'weight': 'gaze', 'dataset': 'gaze', 'detector': 'gaze',
    'detector_weight': 'gaze', 'runtime': 'gaze', 'device': 'gaze', 'precision': 'gaze',
    'max_faces': 'gaze', 'detect_interval': 'gaze', 'input_size': 'gaze', 'frame_skip': 'gaze',
    'max_age': 'gaze', 'view': 'visualizer', 'output': 'visualizer',
}


def _description(name: str) -> str:
    return next(s.description for s in NODES[PARAMETERS[name]] if s.name == name)


#: Name of each launch argument: its default and what it is.
ARGUMENTS: dict[str, tuple[str, str]] = {
    **{name: ('', f'{_description(name)} ({node} node)') for name, node in PARAMETERS.items()},
    'params_file': (str(share_path('config') / 'pipeline.yaml'), 'parameters of all nodes'),
    'namespace': ('', 'namespace of the nodes and their topics'),
    'use_sim_time': ('', 'take the time from /clock'),
    'log_level': ('info', 'debug, info, warn, error or fatal'),
    'processes': ('false', 'three processes instead of one'),
}

_BOOLEANS = {'true': True, '1': True, 'yes': True, 'false': False, '0': False, 'no': False}


def node_parameters(given: dict[str, str]) -> dict[str, dict[str, Value]]:
    """Return the executables to start, each with the parameters that the arguments set.

    :param given: all of :data:`ARGUMENTS`, as strings.
    :raises ValueError: for a truth value that is neither true nor false, and for what should be a
        number and is none.
    """
    parameters: dict[str, dict[str, Value]] = {name: {} for name in NODES}
    for name, node in PARAMETERS.items():
        if given[name]:
            default = next(s.default for s in NODES[node] if s.name == name)
            parameters[node][name] = _typed(name, given[name], type(default))
    if given['use_sim_time']:
        for values in parameters.values():
            values['use_sim_time'] = _truth('use_sim_time', given['use_sim_time'])
    if _truth('processes', given['processes']):
        return {f'{node}_node': values for node, values in parameters.items()}
    return {'pipeline': {k: v for values in parameters.values() for k, v in values.items()}}


def _typed(name: str, value: str, kind: type) -> Value:
    if kind is bool:
        return _truth(name, value)
    try:
        return kind(value)
    except ValueError:
        raise ValueError(
            f"{name} is '{value}'; a {'whole ' * (kind is int)}number was expected") from None


def _truth(name: str, value: str) -> bool:
    try:
        return _BOOLEANS[value.lower()]
    except KeyError:
        raise ValueError(f"{name} is '{value}'; true or false was expected") from None
