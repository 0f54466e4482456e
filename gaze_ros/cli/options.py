"""The gaze node's parameters as options of a verb."""
import argparse
from collections.abc import Callable

from gaze_ros.core.parameters import GAZE, Spec, Value

#: What files do not have: nobody is told who looks at the camera, no direction is written, and
#: no picture comes before its turn.
_OF_NODES = (
    'looking_at_camera_angle', 'looking_at_camera_hysteresis', 'looking_at_camera_dwell',
    'horizontal_fov', 'image_transport', 'frame_skip', 'max_age', 'queue_depth', 'overlap')


def add(parser: argparse.ArgumentParser, *without: str, nodes: bool = False) -> None:
    """Add an option for each parameter that has a meaning for files.

    :param without: parameters that have none for this verb: they stay at their default.
    :param nodes: whether the verb runs nodes, which have them all.
    """
    for spec in GAZE:
        if spec.name in without or not nodes and spec.name in _OF_NODES:
            continue
        more = f' ({", ".join(map(str, spec.choices))})' if spec.choices else ''
        parser.add_argument(
            '--' + spec.name.replace('_', '-'), default=spec.default, type=_value(spec),
            metavar=type(spec.default).__name__.upper(),
            help=f'{spec.description}{more} [{spec.default}]'.replace('%', '%%'))


def values(arguments: argparse.Namespace) -> dict[str, Value]:
    """Return the values of the options that :func:`add` added, by the names of the parameters."""
    return {spec.name: getattr(arguments, spec.name) for spec in GAZE
            if hasattr(arguments, spec.name)}


def _value(spec: Spec) -> Callable[[str], Value]:
    """Return what turns a word of the command line into the value of a parameter."""
    def convert(word: str) -> Value:
        value = spec.convert(word)
        if why := spec.problem(value):
            raise argparse.ArgumentTypeError(why)
        return value
    convert.__name__ = type(spec.default).__name__  # what argparse says was expected
    return convert
