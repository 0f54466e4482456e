from dataclasses import replace
import math
from pathlib import Path
import re
import sys
from types import SimpleNamespace

from gaze_ros.core.diagnostics import status
from gaze_ros.core.diagnostics.node_status import (
    CameraStatus,
    DisplayStatus,
    InferenceStatus,
    PeopleStatus,
    RecorderStatus,
    ReplayStatus,
)
from gaze_ros.core.diagnostics.rolling import RollingMean
from gaze_ros.core.diagnostics.stage_stats import DROP_REASONS, StageSnapshot
from gaze_ros.core.diagnostics.status import (
    has_nvidia_gpu,
    InactiveStatus,
    InputTopic,
    key_values,
    Level,
    NoClockStatus,
    PROBLEMS,
    summarize,
    Thresholds,
)
from gaze_ros.core.parameters import COMMON, NODES
from hypothesis import given
from hypothesis import strategies as st
import pytest

IMAGE, GAZE = InputTopic('/camera/image_raw', 1), InputTopic('/gaze', 1)
CAMERA = CameraStatus('0', wanted=30.0)
INFERENCE = InferenceStatus(
    (IMAGE,), 0.005, 0.008, 'adas', 'openvino, cpu, bf16', 'yunet', queue_depth=2)
DISPLAY = DisplayStatus((IMAGE, GAZE), window=True)
PEOPLE = PeopleStatus((GAZE,))
REPLAY = ReplayStatus('in.mcap')
RECORDER = RecorderStatus((GAZE,), 'out.mcap')
#: By which CASES are judged.
LIMITS = Thresholds(0.5, 5.0, 1.5, 0.0)


def figures(rate=30.0, came=None, work=0.012, age=0.011, seconds=5.0, **dropped):
    done = int(rate * seconds)
    came = done + sum(dropped.values()) if came is None else came
    return StageSnapshot(seconds, came, done, dropped, work, (age,) * done)


NOTHING = figures(0, work=math.nan)

FINE = [(CAMERA, '30.0 pictures/s, 11 ms old'), (INFERENCE, '30.0 pictures/s, 11 ms old'),
        (DISPLAY, '30.0 pictures/s, 11 ms old'),
        (replace(DISPLAY, window=False), 'nobody looks'),
        (replace(INFERENCE, gpu=True), 'a GPU lies idle')]

# What is the matter: facts, figures, level, words that have to be said.
CASES = {
    'the camera gives nothing': [
        (replace(CAMERA, failure="source '0' gives no picture"), NOTHING, Level.ERROR,
         ["source '0' gives no picture"]),
        (CAMERA, NOTHING, Level.ERROR, ["'0'", 'plug it in'])],
    'the camera is slow': [
        (CAMERA, figures(12.4), Level.WARN, ['12.4 of 30.0', 'light', 'USB', 'width']),
        (CAMERA, figures(12.4, age=0.08), Level.WARN, ['decoding and publishing take 80 ms']),
        (replace(CAMERA, live=False), figures(12.4, work=0.08), Level.WARN,
         ['reading takes 80 ms', 'lower rate'])],
    'nothing publishes': [
        (replace(INFERENCE, inputs=(InputTopic('/camera/image_raw', 0),)), NOTHING, Level.ERROR,
         ['/camera/image_raw', 'start', 'remap']),
        (replace(DISPLAY, inputs=(IMAGE, InputTopic('/gaze', 0))), NOTHING, Level.ERROR,
         ['publishes: /gaze;'])],
    'nothing arrives': [
        (INFERENCE, NOTHING, Level.ERROR, [
            '/camera/image_raw (1 publishers)', 'best effort', 'shared memory'])],
    'pictures fail': [
        (replace(INFERENCE, failure='encoding'), figures(failed=3), Level.WARN,
         ['3 in 5 s', 'encoding']),
        (DISPLAY, figures(0, failed=3), Level.ERROR, ['unknown']),
        (replace(CAMERA, last='empty (1 s ago)'), figures(failed=3), Level.WARN,
         ['3 in 5 s', 'empty']),
        (replace(REPLAY, failure='no header'), figures(0, failed=3), Level.ERROR, ['no header'])],
    'nothing is recorded': [
        (replace(DISPLAY, video=True, unsaved="'a.mp4': its disk is full"), figures(),
         Level.ERROR, ["'a.mp4'", 'full']),
        (replace(RECORDER, failure="'out.mcap' was removed"), figures(0, failed=30), Level.ERROR,
         ['removed'])],
    'older than max_age': [
        (replace(INFERENCE, max_age=0.05), figures(0, old=150), Level.ERROR,
         ['150 of 150', '50 ms', 'shorter than the lag']),
        (replace(INFERENCE, max_age=0.05), figures(10, old=50), Level.WARN, [])],
    'inference is slow': [
        (INFERENCE, figures(0, work=math.nan, newer=150), Level.ERROR,
         ['150 of 150', 'none was done in 5 s', 'hang']),
        (replace(INFERENCE, detection=0.08, estimation=0.01),
         figures(10, work=0.09, newer=100), Level.WARN,
         ['100 of 150', '90 ms', '80 ms go into finding faces', 'detect_interval']),
        (replace(INFERENCE, estimation=0.08), figures(10, work=0.09, newer=100), Level.WARN,
         ['80 ms go into the gaze', 'max_faces', 'input_size', 'frame_skip', 'runtime',
          'precision', 'device']),
        (INFERENCE, figures(10, work=0.09, newer=100), Level.WARN, ['77 ms go into reading']),
        (replace(INFERENCE, detection=math.nan, estimation=math.nan),
         figures(10, work=math.nan, newer=100), Level.WARN, ['detect_interval'])],
    'display is slow': [
        (DISPLAY, figures(10, work=0.1, newer=100), Level.WARN, ['view', 'smaller pictures']),
        (replace(DISPLAY, listeners=1, video=True), figures(10, work=0.1, newer=100), Level.WARN,
         ['output', 'unsubscribe'])],
    'the people node is slow': [
        (PEOPLE, figures(10, work=0.1, newer=100), Level.WARN, ['max_faces'])],
    'the recorder is slow': [
        (RECORDER, figures(10, work=0.1, newer=100), Level.WARN, ['disk'])],
    'pictures come in bursts': [
        (INFERENCE, figures(20, newer=50), Level.WARN, ['50 of 150', '12 ms', 'queue_depth'])],
    'results are late': [
        (INFERENCE, figures(age=0.9), Level.WARN,
         ['900 ms', 'arrive old', "camera's or the network's"]),
        (INFERENCE, figures(2, work=0.7, age=0.9), Level.WARN, ['the work takes 700 ms']),
        (replace(INFERENCE, queue_depth=4), figures(5, work=0.15, age=0.9), Level.WARN,
         ['wait for their turn', 'queue_depth to 1 (4 now)']),
        (CAMERA, figures(age=0.9), Level.WARN, ['driver']),
        (DISPLAY, figures(age=0.9), Level.WARN, ['other nodes']),
        (REPLAY, figures(age=0.9), Level.WARN, ['when they were recorded']),
        (RECORDER, figures(age=0.9), Level.WARN, ['other nodes', "the disk's"]),
        *((facts, figures(age=6.0), Level.ERROR, ['6000 ms', 'error_age (5 s)'])
          for facts in (CAMERA, INFERENCE, DISPLAY, REPLAY, RECORDER))],
    'the rate is low': [
        (replace(CAMERA, wanted=0.0), figures(1.4), Level.WARN,
         ['1.4 pictures/s', 'warn_rate (1.5)', 'no more than 1.4 come', 'light']),
        (INFERENCE, figures(1.4), Level.WARN, ["camera's status"]),
        (INFERENCE, figures(1, newer=145), Level.WARN, ['30.0 come', 'dropped', 'faster']),
        (INFERENCE, figures(1, skipped=145), Level.WARN, ['frame_skip leaves out 145 of 150']),
        (DISPLAY, figures(1.4), Level.WARN, ["other nodes' status"]),
        (REPLAY, figures(1.4), Level.WARN, ['raise rate']),
        (RECORDER, figures(1.4), Level.WARN, ["gaze node's status"])],
    'the clocks differ': [
        (INFERENCE, figures(age=-0.2), Level.WARN, ['200 ms in the future', 'chrony']),
        (replace(DISPLAY, sim_time=True), figures(age=-0.5), Level.WARN, [])],
    'stamps of another time': [
        (INFERENCE, figures(age=7200.0), Level.WARN, ['2.0 h old', 'use_sim_time', '--clock']),
        (replace(INFERENCE, sim_time=True), figures(age=-1.7e9), Level.WARN,
         ['in the future', '/clock'])],
    'results miss their pictures': [
        (replace(DISPLAY, missed=4), figures(), Level.WARN, ['4 of late'])],
    'the calibration cannot be used': [
        (replace(INFERENCE, uncalibrated='K has focal lengths of 0 and 0'), figures(),
         Level.WARN, ('focal lengths of 0', 'horizontal_fov is assumed'))],
    'a GPU lies idle': [
        (replace(INFERENCE, gpu=True), figures(), Level.OK, ['adas', 'CPU', 'CUDA']),
        (replace(INFERENCE, gpu=True, running='onnx, cpu, fp32'),
         figures(10, work=0.1, newer=100), Level.WARN, ['device'])],
    'nobody looks': [(replace(DISPLAY, window=False), figures(), Level.OK, ['nothing is drawn'])],
    'no time': [
        (NoClockStatus(INFERENCE), figures(), Level.WARN, ['/clock', 'use_sim_time']),
        (NoClockStatus(InactiveStatus(True)), NOTHING, Level.WARN, ['/clock'])],
    'waiting': [
        (replace(CAMERA, idle='the file is at its end'), NOTHING, Level.STALE, ['at its end']),
        (CAMERA, replace(NOTHING, seconds=1.0), Level.STALE, ['first picture']),
        (INFERENCE, replace(NOTHING, seconds=1.0), Level.STALE, ['first picture']),
        (REPLAY, NOTHING, Level.STALE, ['the bag has none here']),
        (replace(REPLAY, idle='the bag is at its end'), NOTHING, Level.STALE, ['at its end']),
        (InactiveStatus(False), NOTHING, Level.STALE, ['unconfigured: configure it']),
        (InactiveStatus(True), figures(), Level.STALE, ['inactive: activate it']),
        (InactiveStatus(True, in_transition=True), figures(), Level.STALE, ['is under way'])],
}


def findings(facts, shown, limits=LIMITS):
    return {finding.what: finding for finding in facts.checks(shown, limits)}


def test_every_meaning_has_a_case():
    assert list(CASES) == list(PROBLEMS)


@pytest.mark.parametrize(
    ('what', 'facts', 'shown', 'level', 'words'),
    [(what, *case) for what, cases in CASES.items() for case in cases])
def test_what_is_the_matter_is_found(what, facts, shown, level, words):
    found = findings(facts, shown)
    assert found[what].level is level
    assert all(word in str(found[what]) for word in words), str(found[what])
    verdict = summarize(shown, facts, LIMITS)
    assert what in f'{verdict.message}; {verdict.also}'


@pytest.mark.parametrize(('facts', 'words'), FINE)
def test_nothing_is_the_matter(facts, words):
    verdict = summarize(figures(), facts, LIMITS)
    assert verdict.level is Level.OK
    assert verdict.message.startswith('30.0 pictures/s, 11 ms old')
    assert words in verdict.message
    assert verdict.also == ''


@pytest.mark.parametrize(('facts', 'shown'), [
    (CAMERA, figures(27.2)),  # 90.7 %
    (replace(CAMERA, wanted=0.0), figures(1.6)),
    (CAMERA, figures(3.0, seconds=1.0)),  # begins
    (replace(CAMERA, recent=29.9), figures(10.0)),  # waited for subscribers before
    (INFERENCE, figures(30, newer=4)),
    (INFERENCE, figures(10, skipped=100)),
    (INFERENCE, figures(age=0.4)),
    (replace(INFERENCE, sim_time=True), figures(age=-0.1)),
    (replace(INFERENCE, inputs=(InputTopic('/camera/image_raw', 0),)), figures()),
    (replace(INFERENCE, gpu=True, device='cpu'), figures()),
    (replace(INFERENCE, gpu=True, running='torch, cuda, fp16'), figures()),
])
def test_no_false_alarm(facts, shown):
    assert findings(facts, shown) == {}


def test_the_worst_comes_first():
    verdict = summarize(figures(0, failed=5), replace(INFERENCE, max_age=0.1, gpu=True), Thresholds())
    assert verdict.level is Level.ERROR
    assert verdict.message.startswith('pictures fail: ')
    assert verdict.also.startswith('a GPU lies idle: ')


def test_ages_unknown_are_not_told():
    assert summarize(replace(figures(), ages=()), INFERENCE, LIMITS).message == '30.0 pictures/s'


def test_values_are_numbers_where_they_can_be_and_always_the_same():
    told = key_values(figures(20, newer=50), INFERENCE, LIMITS)
    assert told['rate [Hz]'] == '20.00'
    assert told['pictures came [Hz]'] == '30.00'
    assert told['work a picture [ms]'] == '12.0'
    assert told['age p95 [ms]'] == '11.0'
    assert told['dropped: newer'] == '50'
    assert (told['detection [ms]'], told['estimation [ms]']) == ('5.0', '8.0')
    assert (told['model'], told['runtime'], told['device'], told['precision']) == (
        'adas', 'openvino', 'cpu', 'bf16')
    assert told['publishers of /camera/image_raw'] == '1'
    for facts in (CAMERA, INFERENCE, DISPLAY, PEOPLE, RECORDER):
        assert key_values(NOTHING, facts, LIMITS).keys() == key_values(
            figures(failed=1), facts, LIMITS).keys()
    assert (told['warn_age [s]'], told['error_age [s]']) == ('0.5', '5')
    assert (told['warn_rate [Hz]'], told['error_rate [Hz]']) == ('1.5', '0')


@pytest.mark.parametrize(('age', 'limits', 'level'), [
    (0.4, Thresholds(), Level.OK), (0.6, Thresholds(), Level.WARN), (5.1, Thresholds(), Level.ERROR),
    (0.1, Thresholds(warn_age=0.09), Level.WARN), (0.9, Thresholds(warn_age=1.0), Level.OK),
    (0.9, Thresholds(warn_age=0.0), Level.OK),  # none
    (6.0, Thresholds(error_age=0.0), Level.WARN),
    (6.0, Thresholds(0.0, 0.0), Level.OK),
    (0.4, Thresholds(0.5, 0.3), Level.ERROR),  # the worse wins
])
def test_the_limits_of_age(age, limits, level):
    for facts in (CAMERA, INFERENCE, DISPLAY, PEOPLE, REPLAY, RECORDER):
        assert summarize(figures(age=age), facts, limits).level is level


@pytest.mark.parametrize(('rate', 'warn', 'error', 'level'), [
    (1.0, 0.0, 0.0, Level.OK), (20.0, 20.0, 10.0, Level.OK), (19.0, 20.0, 10.0, Level.WARN),
    (10.0, 20.0, 10.0, Level.WARN), (9.8, 20.0, 10.0, Level.ERROR),
    (9.8, 0.0, 10.0, Level.ERROR), (15.0, 10.0, 20.0, Level.ERROR),  # the worse wins
])
def test_the_limits_of_the_rate(rate, warn, error, level):
    for facts in (replace(CAMERA, wanted=0.0), INFERENCE, DISPLAY, PEOPLE, REPLAY, RECORDER):
        verdict = summarize(figures(rate), facts, Thresholds(warn_rate=warn, error_rate=error))
        assert verdict.level is level
        assert ('the rate is low' in verdict.message) is (level is not Level.OK)


@pytest.mark.parametrize(('facts', 'shown'), [
    (replace(CAMERA, idle='the source is at its end'), figures(9.0)),
    (replace(REPLAY, idle='the bag is at its end'), figures(9.0)),
    (INFERENCE, figures(9.0, seconds=1.0)),  # just begun
    (DISPLAY, replace(NOTHING, seconds=1.0)),
    (INFERENCE, NOTHING),  # told already: nothing arrives
    (InactiveStatus(True), figures(9.0)),
    (InactiveStatus(False), NOTHING),
])
def test_no_rate_is_wanted_of_a_node_that_waits(facts, shown):
    assert 'the rate is low' not in findings(facts, shown, Thresholds(0.0, 0.0, 20.0, 10.0))


def test_what_the_messages_name_are_parameters():
    known = {spec.name for specs in NODES.values() for spec in specs} | {
        'use_sim_time', 'image_raw', 'ROS_DOMAIN_ID'}
    for cases in CASES.values():
        for facts, shown, *_ in cases:
            for finding in facts.checks(shown, LIMITS):
                assert set(re.findall(r'[A-Za-z]+_[A-Za-z_]+', str(finding))) <= known


NUMBERS = st.floats() | st.sampled_from([0.0, 0.01, 1.0, 5.0, 30.0])
COUNTS = st.integers(-10, 10 ** 12)
ANY_FIGURES = st.builds(
    StageSnapshot, NUMBERS, COUNTS, COUNTS, st.dictionaries(st.sampled_from([*DROP_REASONS]), COUNTS), NUMBERS,
    st.lists(NUMBERS, max_size=4).map(tuple))
INPUTS = st.lists(st.builds(InputTopic, st.text(), st.integers(-1, 3)), max_size=3).map(tuple)
ANY_FACTS = st.one_of(
    st.builds(CameraStatus, st.text(), NUMBERS, NUMBERS, st.booleans(), *[st.text()] * 3),
    st.builds(InferenceStatus, INPUTS, NUMBERS, NUMBERS, st.text(),
              st.text() | st.just('torch, cpu, fp32'), st.text(),
              st.sampled_from(['auto', 'cpu', 'cuda']), st.booleans(), st.none() | st.booleans(),
              st.text(), COUNTS, NUMBERS, st.text(), st.booleans()),
    st.builds(DisplayStatus, INPUTS, st.booleans(), st.booleans(), COUNTS, COUNTS, COUNTS,
              st.text(), st.booleans()),
    st.builds(PeopleStatus, INPUTS, COUNTS, COUNTS, st.booleans(), COUNTS, st.booleans(), COUNTS,
              st.text(), st.booleans()),
    st.builds(ReplayStatus, st.text(), st.text(), st.text()),
    st.builds(RecorderStatus, INPUTS, st.text(), st.text(), st.booleans()),
    st.builds(InactiveStatus, st.booleans(), st.booleans()))


@pytest.mark.filterwarnings('ignore:.*:RuntimeWarning')  # NumPy's, of ages that are no numbers
@given(ANY_FIGURES, ANY_FACTS, st.builds(Thresholds, NUMBERS, NUMBERS, NUMBERS, NUMBERS))
def test_any_figures_facts_and_limits_get_a_level_and_a_sentence(some, facts, limits):
    verdict = summarize(some, facts, limits)
    assert verdict.level in Level
    assert verdict.message
    found = [*facts.checks(some, limits)]
    assert all(f.what in PROBLEMS for f in found)
    assert verdict.level in {Level.OK, *(f.level for f in found)}
    told = key_values(some, facts, limits)
    assert all(isinstance(word, str) for pair in told.items() for word in pair)


def test_a_gpu_is_found_without_torch(monkeypatch):
    there = []
    monkeypatch.setattr(status, 'Path', lambda path: SimpleNamespace(
        exists=lambda: path == '/proc/driver/nvidia' and bool(there)))
    monkeypatch.delitem(sys.modules, 'torch', raising=False)
    assert not has_nvidia_gpu()
    assert 'torch' not in sys.modules
    for available in (False, True):
        torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda a=available: a))
        monkeypatch.setitem(sys.modules, 'torch', torch)
        assert has_nvidia_gpu() is available
    monkeypatch.delitem(sys.modules, 'torch')
    there.append(True)
    assert has_nvidia_gpu()


def test_recent_is_the_mean_of_the_last():
    recent = RollingMean(3)
    assert math.isnan(recent.mean)
    for value in (100.0, 1.0, math.nan, 2.0, math.inf, 3.0):
        recent.add(value)
    assert recent.mean == pytest.approx(2.0)


def test_the_reference_explains_every_message():
    page = Path(__file__).resolve().parents[2] / 'docs' / 'reference' / 'diagnostics.md'
    section = page.read_text('utf-8').split('\n## Problems\n')[1].split('\n##')[0]
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in section.splitlines()
            if line.startswith('| `')]
    assert {row[0].strip('`'): row[1] for row in rows} == PROBLEMS
    assert all(row[2] for row in rows)


def test_the_docs_have_every_value_of_every_node_and_the_thresholds():
    root = Path(__file__).resolve().parents[2]
    page = (root / 'docs/reference/diagnostics.md').read_text('utf-8')

    def table(title):
        section = page.split(f'\n## {title}\n')[1].split('\n## ')[0]
        rows = [[cell.strip() for cell in line.split('|')[1:-1]]
                for line in section.splitlines() if line.startswith('| `')]
        return [(re.findall('`([^`]+)`', row[0]), row[1]) for row in rows]

    told = {'all': {'last error', 'also', *key_values(NOTHING, InactiveStatus(True), LIMITS)}}
    for name, facts in (('camera', CAMERA), ('replay', REPLAY), ('gaze', INFERENCE),
                        ('visualizer', DISPLAY), ('people', PEOPLE), ('recorder', RECORDER)):
        told[name] = {re.sub('of /.*', 'of TOPIC', key) for key in facts.key_values()}
    documented = {name: set() for name in told}
    for keys, nodes in table('Values'):
        for node in nodes.split(', '):
            documented[node].update(keys)
    assert documented == told
    limits = {name: float(default) for names, defaults in table('Thresholds')
              for name, default in zip(names, defaults.split(', '))}
    assert limits == Thresholds()._asdict() == {
        spec.name: spec.default for spec in COMMON if spec.name in Thresholds._fields}
