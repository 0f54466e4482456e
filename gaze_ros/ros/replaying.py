"""What the replay launch file's arguments mean; without importing launch, as launching.py."""
from typing import Optional

from gaze_ros.core.parameters import BAG_NODES, NODES, Spec, Value
from gaze_ros.core.share import share_path
import yaml

_SPECS = {**NODES, **BAG_NODES}

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

#: Nodes that subscribe to images whatever the parameters: the bag waits for them.
_WATCHING = 2


def _spec(argument: str) -> Spec:
    node, name = PARAMETERS[argument]
    return next(spec for spec in _SPECS[node] if spec.name == name)


#: Name of each launch argument: its default, None where one has to be given, and what it is.
ARGUMENTS: dict[str, tuple[Optional[str], str]] = {
    **{name: ('', f'{_spec(name).description} ({node} node)')
       for name, (node, _) in PARAMETERS.items()},
    'bag': (None, _spec('bag').description),
    'record': ('', 'folder to make and record gaze to; empty: none is recorded'),
    'params_file': (str(share_path('config') / 'pipeline.yaml'), 'parameters of all nodes'),
    'namespace': ('', 'namespace of the nodes and their topics'),
    'log_level': ('info', 'debug, info, warn, error or fatal'),
}


def node_parameters(given: dict[str, str]) -> dict[str, dict[str, Value]]:
    """Return the executables to start, each with the parameters that the arguments set.

    :param given: all of :data:`ARGUMENTS`, as strings.
    :raises ValueError: for a value that the parameter does not take.
    """
    values: dict[str, dict[str, Value]] = {
        'gaze': {}, 'people': {}, 'visualizer': {},
        'replay': {'wait_for_subscribers': _WATCHING}}
    if given['record']:
        values['recorder'] = {}
    for own in values.values():
        own['use_sim_time'] = True
    values['replay']['use_sim_time'] = False  # it makes the time
    for argument, (node, name) in PARAMETERS.items():
        if given[argument] and node in values:
            values[node][name] = _value(_spec(argument), given[argument])
    return {f'{node}_node': own for node, own in values.items()}


def _value(spec: Spec, word: str) -> Value:
    value = word if isinstance(spec.default, str) else yaml.safe_load(word)
    if why := spec.complaint(value):
        raise ValueError(why)
    return spec.coerced(value)
