"""What the launch file's arguments mean; without importing launch, so that tests can read it."""
from collections.abc import Iterator, Mapping
import csv
from dataclasses import dataclass
import json
from pathlib import Path
import re
from typing import Any

from gaze_ros.core.parameters import NODES, Spec, Value
from gaze_ros.core.share import share_path
from gaze_ros.ros import transport
import yaml

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


def _spec(name: str) -> Spec:
    return next(s for s in NODES[PARAMETERS[name][0]] if s.name == name)


def _description(name: str) -> str:
    nodes = PARAMETERS[name]
    whose = 'all nodes' if nodes == tuple(NODES) else (
        f"{', '.join(nodes)} node{'s' * (len(nodes) > 1)}")
    return f'{_spec(name).description} ({whose})'


#: Name of each launch argument: its default and what it is.
ARGUMENTS: dict[str, tuple[str, str]] = {
    **{name: ('', _description(name)) for name in PARAMETERS},
    'params_file': (str(share_path('config') / 'pipeline.yaml'), 'parameters of all nodes'),
    'namespace': ('', 'namespace of the nodes and their topics'),
    'cameras': ('', 'names of several cameras, with commas between: each gets a pipeline in a '
                f"namespace of its name; {', '.join(OF_ONE_CAMERA)} are lists then"),
    'nodes': (','.join(NODES), 'which of them start on this machine'),
    'link': ('', 'network where some of the nodes are on another machine: compressed pictures, '
             'sent so that a link that loses packets carries them; else local '
             f'({transport.LINK} of the environment)'),
    'use_sim_time': ('', 'take the time from /clock'),
    'log_level': ('info', 'debug, info, warn, error or fatal'),
    'processes': ('false', 'a process for each node instead of one'),
}

_BOOLEANS = {'true': True, '1': True, 'yes': True, 'false': False, '0': False, 'no': False}


@dataclass(frozen=True)
class Program:
    """A process to start.

    :ivar parameters: what the arguments set of its nodes.
    """

    executable: str
    namespace: str
    parameters: dict[str, Value]


def programs(given: Mapping[str, str]) -> list[Program]:
    """Return the processes to start.

    :param given: all of :data:`ARGUMENTS`, as strings.
    :raises ValueError: for an argument that cannot be what was meant, in one line.
    """
    nodes = _names(given, 'nodes', 'a node')
    for name in nodes:
        _one_of('nodes', name, NODES)
    if given['link']:
        _one_of('link', given['link'], transport.LINKS)
    together = set(nodes) == set(NODES) and not _truth('processes', given['processes'])
    result = []
    for namespace, arguments in _pipelines(given):
        of_node = {name: _parameters(name, arguments) for name in nodes}
        for name in PARAMETERS:
            if given[name] and not set(PARAMETERS[name]).intersection(nodes):
                raise ValueError(f"{name} is of the {PARAMETERS[name][0]} node, which nodes:="
                                 f"{given['nodes']} does not start")
        if together:
            every = {k: v for values in of_node.values() for k, v in values.items()}
            result.append(Program('pipeline', namespace, every))
        else:
            result += [Program(f'{name}_node', namespace, of_node[name]) for name in nodes]
    return result


def parameter_file(parameters: Mapping[str, Value], before: str) -> str:
    """Return the text of a parameter file that wins over another that is read before it.

    rcl merges the sections of all files by their names, in the order in which the names first
    come, and lets later ones win. Hence a name that matches every node and is not in the other.

    :param before: the other's text.
    """
    name = '/**'
    while name in before:
        name += '/**'
    # rcl takes 1e3 and .5 for numbers where yaml does not; JSON quotes every text.
    return json.dumps({name: {'ros__parameters': dict(parameters)}}, ensure_ascii=False)


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
    sections = _sections(given['params_file'])
    for number, camera in enumerate(cameras):
        if not re.fullmatch('[a-zA-Z][a-zA-Z0-9_]*', camera):
            raise ValueError(f"cameras has '{camera}'; a name of letters, digits and _ was "
                             'expected, with a letter at its beginning')
        place = f'{namespace}/{camera}'.lstrip('/')
        arguments = {**given, **{name: values[number] for name, values in own.items()}}
        # What the file says of every camera would be the same for each: TF has one such frame.
        for name, node, value in (('frame_id', 'camera', f'{camera}_camera_optical'),
                                  ('track_prefix', 'gaze', f'{camera}_f')):
            if name not in sections.get(f'{place}/{node}', {}):
                arguments[name] = arguments[name] or value
        yield place, arguments


def _sections(path: str) -> dict[str, dict[str, Any]]:
    """Return the parameters in a file by the full name of the node, without its first slash."""
    result: dict[str, dict[str, Any]] = {}

    def visit(name: str, content: Any) -> None:
        if not isinstance(content, dict):
            return
        for key, value in content.items():
            if key == 'ros__parameters':
                result.setdefault(name, {}).update(value or {})
            else:
                visit(f'{name}/{str(key).strip("/")}'.lstrip('/'), value)

    visit('', parsed(path)[1])
    return result


def parsed(path: str) -> tuple[str, Any]:
    """Return the text of a parameter file and what is in it.

    :raises ValueError: if it cannot be read, in one line.
    """
    try:
        text = Path(path).read_text(encoding='utf-8')
        return text, yaml.safe_load(text)
    except (OSError, UnicodeError, yaml.YAMLError) as e:
        raise ValueError(f"params_file '{path}' cannot be read: {' '.join(str(e).split())}; a "
                         'YAML file was expected, as config/pipeline.yaml is') from None


def _parameters(node: str, arguments: Mapping[str, str]) -> dict[str, Value]:
    """Return the parameters that the arguments set of a node."""
    result = {
        name: _typed(name, arguments[name], type(_spec(name).default))
        for name, nodes in PARAMETERS.items() if arguments[name] and node in nodes}
    if arguments['use_sim_time']:
        result['use_sim_time'] = _truth('use_sim_time', arguments['use_sim_time'])
    link = arguments['link'] or transport.link()
    if link == 'network' and node in PARAMETERS['image_transport']:
        result.setdefault('image_transport', 'compressed')
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
