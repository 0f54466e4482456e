"""Parses launch arguments and parameter files; it does not import launch, so tests need none."""
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
import json
from pathlib import Path
import re
import shlex
import shutil
from typing import Any

from gaze_ros.core.parameters import BAG_NODES, NODES, Spec, Value
from gaze_ros.core.system.resources import share_path
from gaze_ros.core.system.safe_files import parse_yaml, read_text

#: The default parameter file.
PARAMS_FILE = str(share_path('config') / 'pipeline.yaml')

_SPECS = {**NODES, **BAG_NODES}
_BOOLEANS = {'true': True, '1': True, 'yes': True, 'false': False, '0': False, 'no': False}


@dataclass(frozen=True)
class ProcessSpec:
    """A process to start.

    :ivar parameters: parameters of its nodes that launch arguments set.
    :ivar arguments: command line arguments beside those of ROS.
    """

    executable: str
    namespace: str
    parameters: dict[str, Value]
    arguments: tuple[str, ...] = ()


def process_for_nodes(
        namespace: str, parameters_by_node: Mapping[str, dict[str, Value]]) -> ProcessSpec:
    """Return the process that runs some nodes of the pipeline.

    :param parameters_by_node: the nodes, and the parameters that launch arguments set of each;
        a parameter of several nodes has the same value in all of them.
    """
    nodes = parameters_by_node.keys()
    merged = {name: value for parameters in parameters_by_node.values()
              for name, value in parameters.items()}
    if len(nodes) == 1:
        return ProcessSpec(f'{next(iter(nodes))}_node', namespace, merged)
    arguments = () if set(nodes) == set(NODES) else ('--nodes', ','.join(nodes))
    return ProcessSpec('pipeline', namespace, merged, arguments)


def parameter_spec(node: str, parameter: str) -> Spec:
    """Return the spec of a parameter of a node."""
    return next(spec for spec in _SPECS[node] if spec.name == parameter)


def parse_value(argument: str, spec: Spec, text: str) -> Value:
    """Return the value of a launch argument that sets a parameter.

    :raises ValueError: for an invalid value; the text is one line.
    """
    value_type = type(spec.default)
    if value_type is bool:
        return parse_bool(argument, text)
    try:
        value = value_type(text)
    except ValueError:
        raise ValueError(f"{argument} is '{text}'; expected "
                         f"{'an integer' if value_type is int else 'a number'}") from None
    if problem := replace(spec, name=argument).problem(value):
        raise ValueError(problem)
    return value


def parse_bool(argument: str, text: str) -> bool:
    """Return the value of a boolean launch argument.

    :raises ValueError: for anything but true or false; the text is one line.
    """
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError(f"{argument} is '{text}'; expected true or false") from None


def parse_command(argument: str, text: str) -> list[str]:
    """Return the words of a command as a shell splits it; none for an empty text.

    :raises ValueError: for an unclosed quote or an unknown program; the text is one line.
    """
    try:
        words = shlex.split(text)
    except ValueError as e:
        raise ValueError(f"{argument} is '{text}', which is not a command: {e}") from None
    if words and shutil.which(words[0]) is None:
        raise ValueError(f"{argument} is '{text}', but there is no program '{words[0]}'; expected "
                         'a command such as ros2 run PACKAGE EXECUTABLE')
    return words


def subscribers_to_wait_for(player: str, namespace: str, nodes: Iterable[str],
                            arguments: Mapping[str, str]) -> dict[str, Value]:
    """Return the parameter wait_for_subscribers: the number of started nodes that take images.

    Empty if params_file sets another number than the package's own file, or if it is right.

    :param player: camera or replay.
    :param nodes: the nodes that are started with it.
    :param arguments: the launch arguments params_file and humans.
    """
    name = 'wait_for_subscribers'
    sections = parameter_sections(arguments['params_file'])
    in_file = parameters_in_file(sections, namespace, player).get(name)
    default = parameters_in_file(parameter_sections(PARAMS_FILE), namespace, player).get(name)
    if in_file != default:
        return {}
    count = sum(node in ('gaze', 'visualizer') for node in nodes)
    if 'people' in nodes:
        humans = parameters_in_file(sections, namespace, 'people').get('humans') is True
        count += parse_bool('humans', arguments['humans']) if arguments['humans'] else humans
    return {} if in_file == max(1, count) else {name: max(1, count)}


def overriding_parameter_file(parameters: Mapping[str, Value], overridden: str) -> str:
    """Return the text of a parameter file that overrides another one.

    rcl merges the sections of all files by name, in the order in which the names first appear, and
    later sections override earlier ones. Hence it uses a section name that matches every node and
    does not occur in the other file.

    :param overridden: text of the other file, which rcl reads first.
    """
    name = '/**'
    while name in overridden:
        name += '/**'
    # JSON, since it quotes every string: rcl reads 1e3 and .5 as numbers where PyYAML does not.
    return json.dumps({name: {'ros__parameters': dict(parameters)}}, ensure_ascii=False)


def parameters_in_file(
        sections: Mapping[str, dict[str, Any]], namespace: str, node: str) -> dict[str, Any]:
    """Return the parameters that a file sets for a node.

    :param sections: of the file, see :func:`parameter_sections`.
    """
    full = f'/{namespace}/{node}' if namespace else f'/{node}'
    result: dict[str, Any] = {}
    for name, values in sections.items():
        # As in rcl: * matches one name, ** any number of names.
        pattern = ''.join({'*': r'/\w+', '**': r'(/\w+)*'}.get(word, f'/{re.escape(word)}')
                          for word in name.split('/'))
        if re.fullmatch(pattern, full):
            result.update(values)
    return result


def parameter_sections(path: str) -> dict[str, dict[str, Any]]:
    """Return the parameters in a file by node name, without its leading slash.

    :raises ValueError: as :func:`read_parameter_file`.
    """
    result: dict[str, dict[str, Any]] = {}

    def visit(name: str, content: Any) -> None:
        if not isinstance(content, dict):
            return
        for key, value in content.items():
            if key == 'ros__parameters':
                if not isinstance(value or {}, dict):
                    raise ValueError(f"params_file '{path}': ros__parameters of '{name}' is "
                                     f'{value!r}; expected parameter names and values')
                result.setdefault(name, {}).update(value or {})
            else:
                visit(f'{name}/{str(key).strip("/")}'.lstrip('/'), value)

    visit('', read_parameter_file(path)[1])
    return result


def read_parameter_file(path: str) -> tuple[str, Any]:
    """Return the text of a parameter file and its parsed content.

    :raises ValueError: if it cannot be read; the text is one line.
    """
    try:
        text = read_text(Path(path))
        content = parse_yaml(text)
        if not isinstance(content, (dict, type(None))):
            raise ValueError('it has no node names')
        return text, content
    except (OSError, ValueError) as e:
        raise ValueError(f"params_file '{path}' cannot be read: {' '.join(str(e).split())}; "
                         'expected a YAML file such as config/pipeline.yaml') from None
