"""The gaze node's parameters as command line options."""
import argparse
from collections.abc import Callable

from gaze_ros.core.parameters import GAZE, Spec, Value

#: Parameters without meaning for files: looking_at_camera and directions are not written, and
#: every image is processed, in order.
_NODES_ONLY = (
    'looking_at_camera_angle', 'looking_at_camera_hysteresis', 'looking_at_camera_dwell',
    'horizontal_fov', 'image_transport', 'frame_skip', 'max_age', 'queue_depth', 'depth')


def add(parser: argparse.ArgumentParser, *excluded: str, nodes: bool = False) -> None:
    """Add an option for each parameter that applies to files.

    :param excluded: parameters without meaning for this verb; they keep their defaults.
    :param nodes: whether to add the parameters that only apply to nodes, too.
    """
    for spec in GAZE:
        if spec.name in excluded or not nodes and spec.name in _NODES_ONLY:
            continue
        choices = f' ({", ".join(map(str, spec.choices))})' if spec.choices else ''
        parser.add_argument(
            '--' + spec.name.replace('_', '-'), default=spec.default, type=_converter(spec),
            metavar=type(spec.default).__name__.upper(),
            help=f'{spec.description}{choices} [{spec.default}]'.replace('%', '%%'))


def values(arguments: argparse.Namespace) -> dict[str, Value]:
    """Return the values of the options of :func:`add`, by parameter name."""
    return {spec.name: getattr(arguments, spec.name) for spec in GAZE
            if hasattr(arguments, spec.name)}


def _converter(spec: Spec) -> Callable[[str], Value]:
    """Return the function that converts and checks an option's text for argparse."""
    def convert(text: str) -> Value:
        value = spec.convert(text)
        if problem := spec.problem(value):
            raise argparse.ArgumentTypeError(problem)
        return value
    convert.__name__ = type(spec.default).__name__  # argparse prints it as the expected type
    return convert
