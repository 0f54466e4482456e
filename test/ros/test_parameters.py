from dataclasses import replace

from gaze_ros.core.parameters import NODES, Spec
from gaze_ros.core.share import share_path
from gaze_ros.ros.parameters import declare
import pytest
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter
import yaml

ALL = [(node, spec) for node, specs in NODES.items() for spec in specs]
IDS = [f'{node}.{spec.name}' for node, spec in ALL]


def node(spec, *, changed=None, **given):
    made = Node('test_parameters', parameter_overrides=[
        Parameter(name, value=value) for name, value in given.items()])
    try:
        return made, declare(made, (spec,), changed)
    except BaseException:
        made.destroy_node()
        raise


def wrong_values(spec):
    yield [1, 2]
    if isinstance(spec.default, str):
        yield 1.5
    else:
        yield 'banana'
    if spec.choices:
        yield 'banana'
    if spec.low is not None:
        yield type(spec.default)(spec.high + 1)
        if spec.low - 1 < spec.low:
            yield type(spec.default)(spec.low - 1)


@pytest.mark.parametrize('owner,spec', ALL, ids=IDS)
def test_wrong_values_are_refused_at_start_naming_the_parameter(owner, spec):
    for value in wrong_values(spec):
        with pytest.raises(ParameterException, match=spec.name):
            node(spec, **{spec.name: value})


@pytest.mark.parametrize('owner,spec', ALL, ids=IDS)
def test_the_default_and_the_ends_of_the_range_are_good(owner, spec):
    values = [spec.default, *spec.choices]
    if spec.low is not None:
        values += [type(spec.default)(spec.low), type(spec.default)(spec.high)]
    for value in values:
        made, declared = node(spec, **{spec.name: value})
        assert declared[spec.name] == value
        made.destroy_node()


@pytest.mark.parametrize('owner,spec', ALL, ids=IDS)
def test_each_is_described_with_its_range(owner, spec):
    made, _ = node(spec)
    described = made.describe_parameter(spec.name)
    made.destroy_node()
    assert described.description == spec.description
    assert described.read_only is not spec.live
    ranges = [*described.floating_point_range, *described.integer_range]
    assert [(r.from_value, r.to_value) for r in ranges] == (
        [] if spec.low is None else [(spec.low, spec.high)])
    for choice in spec.choices:
        assert str(choice) in described.additional_constraints


@pytest.mark.parametrize('owner,spec', ALL, ids=IDS)
def test_live_ones_change_and_the_others_say_they_do_not(owner, spec):
    seen = {}
    made, _ = node(spec, changed=seen.update)
    value = spec.default if spec.low is None else type(spec.default)(spec.high)
    result = made.set_parameters([Parameter(spec.name, value=value)])[0]
    wrong = [made.set_parameters([Parameter(spec.name, value=v)])[0]
             for v in wrong_values(spec)]
    made.destroy_node()
    assert result.successful is spec.live
    assert seen == ({spec.name: value} if spec.live else {})
    for answer in wrong:
        assert not answer.successful
        assert answer.reason
    if not spec.live:
        assert 'read-only' in result.reason


def test_a_whole_number_does_for_a_float():
    made, values = node(Spec('smoothing_time', 0.1, 'x', 0.0, 60.0, live=True), smoothing_time=0)
    made.destroy_node()
    assert values == {'smoothing_time': 0.0}
    assert isinstance(values['smoothing_time'], float)


def test_a_webcam_is_named_by_its_number():
    source = next(spec for _, spec in ALL if spec.name == 'source')
    made, values = node(source, source=0)
    made.destroy_node()
    assert values == {'source': '0'}


def test_what_has_one_name_in_two_nodes_is_the_same():
    # In one process -p reaches all three nodes.
    by_name = {}
    for _, spec in ALL:
        first = by_name.setdefault(spec.name, spec)
        assert replace(spec, description='') == replace(first, description='')


def test_the_parameter_file_has_every_default():
    with open(share_path('config') / 'pipeline.yaml', encoding='utf-8') as file:
        content = yaml.safe_load(file)
    wanted = {
        f'/**/{name}': {'ros__parameters': {s.name: s.default for s in specs}}
        for name, specs in NODES.items()}
    # The gaze node and the visualizer are both to see a file from its first frame.
    wanted['/**/camera']['ros__parameters']['wait_for_subscribers'] = 2
    assert content == wanted
