"""Declares the parameters of a node from their specs and checks new values."""
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


def declare_parameters(
        node: Node, specs: tuple[Spec, ...], on_change: Callable[[dict[str, Value]], None],
        check: Callable[[dict[str, Value]], Optional[str]]) -> dict[str, Value]:
    """Declare the parameters of a node and return their values.

    :param on_change: called with the values that changed, after all were accepted.
    :param check: called with the values about to change, once all are declared; returns why they
        are rejected, or None.
    :raises rclpy.exceptions.ParameterException: for an invalid value given at startup.
    """
    by_name = {spec.name: spec for spec in specs}
    values: dict[str, Value] = {}

    def changed(parameters: list[Parameter]) -> dict[str, Value]:
        new = {p.name: by_name[p.name].convert(p.value) for p in parameters if p.name in by_name}
        return {name: value for name, value in new.items() if values.get(name) != value}

    def validate(parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            spec = by_name.get(parameter.name)
            if spec is not None and (problem := spec.problem(parameter.value)):
                return SetParametersResult(successful=False, reason=problem)
        if len(values) == len(specs) and (changes := changed(parameters)) and (
                problem := check(changes)):
            return SetParametersResult(successful=False, reason=problem)
        return SetParametersResult(successful=True)

    def apply(parameters: list[Parameter]) -> None:
        if changes := changed(parameters):
            values.update(changes)
            on_change(changes)

    node.add_on_set_parameters_callback(validate)  # before declaring: it checks initial values too
    for spec in specs:
        values[spec.name] = spec.convert(
            node.declare_parameter(spec.name, spec.default, descriptor(spec)).value)
    node.add_post_set_parameters_callback(apply)
    return dict(values)


def descriptor(spec: Spec) -> ParameterDescriptor:
    """Return what ``ros2 param describe`` shows of a parameter."""
    constraints = [f'one of: {", ".join(map(str, spec.choices))}'] if spec.choices else []
    if not spec.live:
        constraints.append('cannot be changed while the node is configured')
    result = ParameterDescriptor(
        description=spec.description, additional_constraints='; '.join(constraints),
        # Otherwise rclpy rejects 0 for 0.0, and a webcam index for a string; and its text of a
        # wrong type has no remedy.
        dynamic_typing=True)
    if spec.low is not None and isinstance(spec.default, float):
        result.floating_point_range = [
            FloatingPointRange(from_value=spec.low, to_value=spec.high)]
    elif spec.low is not None:
        result.integer_range = [
            IntegerRange(from_value=int(spec.low), to_value=int(spec.high), step=1)]
    return result
