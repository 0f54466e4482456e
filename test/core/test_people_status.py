"""Diagnostics of the people node."""
from gaze_ros.core.diagnostics.node_status import PeopleStatus
from gaze_ros.core.diagnostics.stage_stats import StageSnapshot
from gaze_ros.core.diagnostics.status import InputTopic, Level, PROBLEMS, summarize, Thresholds
import pytest

GAZE = InputTopic('/gaze', 1)


def snapshot(received=100, processed=100, dropped=None, work=0.001, age=0.05, seconds=5.0):
    return StageSnapshot(
        seconds, received, processed, dropped or {}, work, (age,) * processed)


@pytest.mark.parametrize('snapshot,fields,level,message', [
    (snapshot(), {}, Level.OK, '20.0 images/s, 50 ms old'),
    (snapshot(0, 0), {'inputs': (InputTopic('/gaze', 0),)}, Level.ERROR, 'no publisher: /gaze'),
    (snapshot(0, 0), {}, Level.ERROR, 'no messages'),
    (snapshot(100, 90, {'failed': 10}), {'failure': 'why'}, Level.WARN, 'images fail'),
    (snapshot(100, 40, {'newer': 60}, 0.1), {}, Level.WARN, 'the people node is slow'),
    (snapshot(age=1.0), {}, Level.WARN, 'results are late'),
    (snapshot(age=-1.0), {}, Level.WARN, 'clock offset')])
def test_problems_of_the_people_node(snapshot, fields, level, message):
    summary = summarize(snapshot, PeopleStatus(**{'inputs': (GAZE,), **fields}), Thresholds())
    assert (summary.level, summary.message[:len(message)]) == (level, message)
    assert level is Level.OK or summary.message.partition(':')[0] in PROBLEMS


def test_key_values_are_text_and_count_publishers():
    values = PeopleStatus(inputs=(GAZE,), people=3, events=7, humans=True).key_values()
    assert values['people'] == '3' and values['events'] == '7' and values['humans'] == 'true'
    assert values['publishers of /gaze'] == '1'
    assert all(isinstance(value, str) for value in values.values())
