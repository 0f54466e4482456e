"""What /diagnostics tells of the people node."""
from gaze_ros.core.diagnostics.node_status import PeopleStatus
from gaze_ros.core.diagnostics.stage_stats import StageSnapshot
from gaze_ros.core.diagnostics.status import InputTopic, Level, PROBLEMS, summarize, Thresholds
import pytest

GAZE = InputTopic('/gaze', 1)


def figures(came=100, done=100, dropped=None, work=0.001, age=0.05, seconds=5.0):
    return StageSnapshot(seconds, came, done, dropped or {}, work, (age,) * done)


@pytest.mark.parametrize('numbers,facts,level,what', [
    (figures(), {}, Level.OK, '20.0 pictures/s, 50 ms old'),
    (figures(0, 0), {'inputs': (InputTopic('/gaze', 0),)}, Level.ERROR, 'nothing publishes: /gaze'),
    (figures(0, 0), {}, Level.ERROR, 'nothing arrives'),
    (figures(100, 90, {'failed': 10}), {'failure': 'why'}, Level.WARN, 'pictures fail'),
    (figures(100, 40, {'newer': 60}, 0.1), {}, Level.WARN, 'the people node is slow'),
    (figures(age=1.0), {}, Level.WARN, 'results are late'),
    (figures(age=-1.0), {}, Level.WARN, 'the clocks differ')])
def test_findings(numbers, facts, level, what):
    verdict = summarize(numbers, PeopleStatus(**{'inputs': (GAZE,), **facts}), Thresholds())
    assert (verdict.level, verdict.message[:len(what)]) == (level, what)
    assert level is Level.OK or verdict.message.partition(':')[0] in PROBLEMS


def test_values_are_texts_and_tell_who_publishes():
    values = PeopleStatus((GAZE,), people=3, events=7, humans=True).key_values()
    assert values['people'] == '3' and values['events'] == '7' and values['humans'] == 'true'
    assert values['publishers of /gaze'] == '1'
    assert all(isinstance(value, str) for value in values.values())
