from dataclasses import replace

from gaze_ros.core.parameters import NODES, Spec
from gaze_ros.core.system.resources import share_path
from gaze_ros.ros.base.parameters import declare_parameters
from gaze_ros.ros.process.error_text import format_error
import pytest
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter
import yaml

ALL = [(node, spec) for node, specs in NODES.items() for spec in specs]
IDS = [f'{node}.{spec.name}' for node, spec in ALL]


def node(spec, *, changed=None, check=lambda _: None, **given):
    made = Node('test_parameters', parameter_overrides=[
        Parameter(name, value=value) for name, value in given.items()])
    try:
        return made, declare_parameters(made, (spec,), changed, check)
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
    if spec.pattern:
        yield from ('', '1', '_a', 'a b', 'a/b', 'a-b', 'é')
    if spec.low is not None:
        yield type(spec.default)(spec.high + 1)
        if spec.low - 1 < spec.low:
            yield type(spec.default)(spec.low - 1)


@pytest.mark.parametrize('owner,spec', ALL, ids=IDS)
def test_invalid_values_are_rejected_at_startup_naming_the_parameter(owner, spec):
    for value in wrong_values(spec):
        with pytest.raises(ParameterException, match=spec.name):
            node(spec, **{spec.name: value})


@pytest.mark.parametrize('owner,spec', ALL, ids=IDS)
def test_default_and_limits_of_the_range_are_accepted(owner, spec):
    values = [spec.default, *spec.choices]
    if spec.low is not None:
        values += [type(spec.default)(spec.low), type(spec.default)(spec.high)]
    for value in values:
        made, declared = node(spec, **{spec.name: value})
        assert declared[spec.name] == value
        made.destroy_node()


@pytest.mark.parametrize('owner,spec', ALL, ids=IDS)
def test_each_parameter_is_described_with_its_range(owner, spec):
    made, _ = node(spec)
    described = made.describe_parameter(spec.name)
    made.destroy_node()
    assert described.description == spec.description
    assert not described.read_only
    assert spec.live is ('cannot be changed while the node is configured' not in
                         described.additional_constraints)
    ranges = [*described.floating_point_range, *described.integer_range]
    assert [(r.from_value, r.to_value) for r in ranges] == (
        [] if spec.low is None else [(spec.low, spec.high)])
    for choice in spec.choices:
        assert str(choice) in described.additional_constraints


def another(spec):
    """Return a valid value that is not the default."""
    if spec.choices:
        return next(choice for choice in spec.choices if choice != spec.default)
    if isinstance(spec.default, bool):
        return not spec.default
    if spec.name == 'focus_rule':
        return 'nearest'
    return f'{spec.default}x' if spec.low is None else type(spec.default)(spec.high)


@pytest.mark.parametrize('owner,spec', ALL, ids=IDS)
def test_valid_change_is_checked_and_applied_and_an_invalid_one_is_neither(owner, spec):
    checked, applied = [], []
    made, _ = node(spec, changed=applied.append, check=lambda v: checked.append(v))
    value = another(spec)
    wrong = [made.set_parameters([Parameter(spec.name, value=v)])[0]
             for v in wrong_values(spec)]
    assert not any(answer.successful for answer in wrong)
    assert all(answer.reason for answer in wrong)
    assert checked == applied == []
    for _ in range(2):  # the same value again is not a change
        assert made.set_parameters([Parameter(spec.name, value=value)])[0].successful
    made.destroy_node()
    assert checked == applied == [{spec.name: value}]


def test_value_that_the_check_rejects_is_not_applied():
    applied = []
    made, _ = node(Spec('x', 1, 'x', 0, 9), changed=applied.append, check=lambda _: 'not today')
    answer = made.set_parameters([Parameter('x', value=2)])[0]
    assert (answer.successful, answer.reason) == (False, 'not today')
    assert made.get_parameter('x').value == 1
    made.destroy_node()
    assert applied == []


def test_several_parameters_set_at_once_are_checked_and_applied_together():
    checked, applied = [], []
    made = Node('test_parameters')
    specs = Spec('x', 1, 'x', 0, 9), Spec('y', '', 'y')
    declare_parameters(made, specs, applied.append, checked.append)
    both = [Parameter('x', value=2), Parameter('y', value='two')]
    assert made.set_parameters_atomically(both).successful
    bad = [Parameter('y', value='ten'), Parameter('x', value=10)]
    assert not made.set_parameters_atomically(bad).successful
    made.destroy_node()
    assert checked == applied == [{'x': 2, 'y': 'two'}]


@pytest.mark.parametrize(('name', 'value', 'text'), [
    ('width', 640.0, 'width must be an integer, not 640.0: write 640'),
    ('width', 640.5, 'width must be an integer, not 640.5'),
    ('width', '640', "width must be an integer, not '640'"),
    ('width', True, 'width must be an integer, not True'),
    ('loop', 1, 'loop must be true or false, not 1: write true'),
    ('loop', 'yes', "loop must be true or false, not 'yes'"),
    ('rate', '5', "rate must be a number, not '5'"),
    ('frame_id', 7, 'frame_id must be a text, not 7: quote it, frame_id:="\'7\'"'),
    ('frame_id', False, 'frame_id must be a text, not False: quote it')])
def test_value_of_another_type_is_refused_with_a_remedy_that_works(name, value, text):
    spec = next(spec for spec in NODES['camera'] if spec.name == name)
    with pytest.raises(ParameterException) as error:
        node(spec, **{name: value})
    assert format_error(error.value).startswith(text)


def test_integer_is_accepted_for_a_float():
    made, values = node(Spec('smoothing_time', 0.1, 'x', 0.0, 60.0, live=True), smoothing_time=0)
    made.destroy_node()
    assert values == {'smoothing_time': 0.0}
    assert isinstance(values['smoothing_time'], float)


def test_webcam_index_is_accepted_as_a_source():
    source = next(spec for _, spec in ALL if spec.name == 'source')
    made, values = node(source, source=0)
    made.destroy_node()
    assert values == {'source': '0'}


def test_parameters_of_the_same_name_in_two_nodes_are_equal():
    # In one process -p reaches all nodes.
    by_name = {}
    for _, spec in ALL:
        first = by_name.setdefault(spec.name, spec)
        assert replace(spec, description='') == replace(first, description='')


def test_parameter_file_has_every_default():
    with open(share_path('config') / 'pipeline.yaml', encoding='utf-8') as file:
        content = yaml.safe_load(file)
    wanted = {
        f'/**/{name}': {'ros__parameters': {s.name: s.default for s in specs}}
        for name, specs in NODES.items()}
    # The gaze node and the visualizer both need a file from its first frame.
    wanted['/**/camera']['ros__parameters']['wait_for_subscribers'] = 2
    assert content == wanted
