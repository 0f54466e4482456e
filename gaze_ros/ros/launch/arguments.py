"""Values of launch arguments, and the processes they make; without importing launch, for tests."""
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
import json
from pathlib import Path
import re
from typing import Any

from gaze_ros.core.parameters import BAG_NODES, NODES, Spec, Value
from gaze_ros.core.system.resources import share_path
from gaze_ros.core.system.safe_files import parse_yaml, read_text

#: The parameter file that is taken where none is given.
PARAMS_FILE = str(share_path('config') / 'pipeline.yaml')

_SPECS = {**NODES, **BAG_NODES}
_BOOLEANS = {'true': True, '1': True, 'yes': True, 'false': False, '0': False, 'no': False}


@dataclass(frozen=True)
class ProcessSpec:
    """A process to start.

    :ivar parameters: what the arguments set of its nodes.
    :ivar arguments: words of its command line, beside those of ROS.
    """

    executable: str
    namespace: str
    parameters: dict[str, Value]
    arguments: tuple[str, ...] = ()


def one_process(namespace: str, of_node: Mapping[str, dict[str, Value]]) -> ProcessSpec:
    """Return the process that runs some of the pipeline's nodes.

    :param of_node: the nodes, and what the arguments set of each; those of one name are the same.
    """
    every = {name: value for own in of_node.values() for name, value in own.items()}
    if len(of_node) == 1:
        return ProcessSpec(f'{next(iter(of_node))}_node', namespace, every)
    words = () if set(of_node) == set(NODES) else ('--nodes', ','.join(of_node))
    return ProcessSpec('pipeline', namespace, every, words)


def parameter_spec(node: str, parameter: str) -> Spec:
    """Return what is known of a parameter."""
    return next(one for one in _SPECS[node] if one.name == parameter)


def parse_value(argument: str, of: Spec, text: str) -> Value:
    """Return the value of an argument that sets a parameter.

    :raises ValueError: for one that the parameter does not take, in one line.
    """
    kind = type(of.default)
    if kind is bool:
        return parse_bool(argument, text)
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(f"{argument} is '{text}'; a {'whole ' * (kind is int)}number was "
                         'expected') from None
    if why := replace(of, name=argument).problem(value):
        raise ValueError(why)
    return value


def parse_bool(argument: str, text: str) -> bool:
    """Return the value of an argument that is true or false.

    :raises ValueError: for another, in one line.
    """
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError(f"{argument} is '{text}'; true or false was expected") from None


def subscribers_to_wait_for(player: str, namespace: str, others: Iterable[str],
                given: Mapping[str, str]) -> dict[str, Value]:
    """Return wait_for_subscribers: as many as the nodes started beside it that take pictures.

    Nothing where params_file says another number than the package's own file.

    :param player: camera or replay.
    :param others: the nodes that are started beside it.
    :param given: the arguments params_file and humans.
    """
    name = 'wait_for_subscribers'
    theirs = parameter_sections(given['params_file'])
    said = parameters_in_file(theirs, namespace, player).get(name)
    if said != parameters_in_file(parameter_sections(PARAMS_FILE), namespace, player).get(name):
        return {}
    count = sum(node in ('gaze', 'visualizer') for node in others)
    if 'people' in others:
        humans = parameters_in_file(theirs, namespace, 'people').get('humans') is True
        count += parse_bool('humans', given['humans']) if given['humans'] else humans
    return {} if said == max(1, count) else {name: max(1, count)}


def overriding_parameter_file(parameters: Mapping[str, Value], before: str) -> str:
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


def parameters_in_file(of_file: Mapping[str, dict[str, Any]], namespace: str, node: str) -> dict[str, Any]:
    """Return the parameters that a file gives a node.

    :param of_file: its :func:`sections`.
    """
    full = f'/{namespace}/{node}' if namespace else f'/{node}'
    result: dict[str, Any] = {}
    for name, values in of_file.items():
        # As rcl has it: * is one name, ** any number of them.
        pattern = ''.join({'*': r'/\w+', '**': r'(/\w+)*'}.get(word, f'/{re.escape(word)}')
                          for word in name.split('/'))
        if re.fullmatch(pattern, full):
            result.update(values)
    return result


def parameter_sections(path: str) -> dict[str, dict[str, Any]]:
    """Return the parameters in a file by the name of the node, without its first slash.

    :raises ValueError: as :func:`parsed`.
    """
    result: dict[str, dict[str, Any]] = {}

    def visit(name: str, content: Any) -> None:
        if not isinstance(content, dict):
            return
        for key, value in content.items():
            if key == 'ros__parameters':
                if not isinstance(value or {}, dict):
                    raise ValueError(f"params_file '{path}': ros__parameters of '{name}' is "
                                     f'{value!r}; names and values were expected')
                result.setdefault(name, {}).update(value or {})
            else:
                visit(f'{name}/{str(key).strip("/")}'.lstrip('/'), value)

    visit('', read_parameter_file(path)[1])
    return result


def read_parameter_file(path: str) -> tuple[str, Any]:
    """Return the text of a parameter file and what is in it.

    :raises ValueError: if it cannot be read, in one line.
    """
    try:
        text = read_text(Path(path))
        content = parse_yaml(text)
        if not isinstance(content, (dict, type(None))):
            raise ValueError('it holds no names of nodes')
        return text, content
    except (OSError, ValueError) as e:
        raise ValueError(f"params_file '{path}' cannot be read: {' '.join(str(e).split())}; a "
                         'YAML file was expected, as config/pipeline.yaml is') from None
