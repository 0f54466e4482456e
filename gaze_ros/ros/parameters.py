"""Declaring the parameters of a node."""
from collections.abc import Callable
from typing import Optional

from gaze_ros.core.parameters import Spec, Value
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter


def declare(
        node: Node, specs: tuple[Spec, ...],
        on_change: Optional[Callable[[dict[str, Value]], None]] = None) -> dict[str, Value]:
    """Declare the parameters of a node and return their values.

    :param on_change: called with the new values, after all of them were found good.
    :raises rclpy.exceptions.ParameterException: for a value given at start that is refused.
    """
    by_name = {spec.name: spec for spec in specs}

    def validate(parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            spec = by_name.get(parameter.name)
            if spec is not None and (why := spec.complaint(parameter.value)):
                return SetParametersResult(successful=False, reason=why)
        return SetParametersResult(successful=True)

    def apply(parameters: list[Parameter]) -> None:
        changed = {
            p.name: by_name[p.name].coerced(p.value) for p in parameters if p.name in by_name}
        if changed and on_change is not None:
            on_change(changed)

    node.add_on_set_parameters_callback(validate)  # minded while declaring, too
    values = {
        spec.name: spec.coerced(
            node.declare_parameter(spec.name, spec.default, descriptor(spec)).value)
        for spec in specs}
    node.add_post_set_parameters_callback(apply)
    return values


def descriptor(spec: Spec) -> ParameterDescriptor:
    """Return what ``ros2 param describe`` shows of a parameter."""
    result = ParameterDescriptor(
        description=spec.description, read_only=not spec.live,
        # rclpy would refuse a 0 for 0.0, and a webcam's index for a string.
        dynamic_typing=isinstance(spec.default, float) or spec.loose,
        additional_constraints=f'one of: {", ".join(map(str, spec.choices))}'
        if spec.choices else '')
    if spec.low is not None and isinstance(spec.default, float):
        result.floating_point_range = [
            FloatingPointRange(from_value=spec.low, to_value=spec.high)]
    elif spec.low is not None:
        result.integer_range = [
            IntegerRange(from_value=int(spec.low), to_value=int(spec.high), step=1)]
    return result
