from dataclasses import replace
import math
from pathlib import Path
import re
import sys
from types import SimpleNamespace

from gaze_ros.core.diagnostics import status as status_module
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
CAMERA = CameraStatus(source='0', expected_rate=30.0)
INFERENCE = InferenceStatus(
    inputs=(IMAGE,), detection_time=0.005, estimation_time=0.008, model='adas',
    running='openvino, cpu, bf16', detector='yunet', queue_depth=2)
DISPLAY = DisplayStatus(inputs=(IMAGE, GAZE), window=True)
PEOPLE = PeopleStatus(inputs=(GAZE,))
REPLAY = ReplayStatus(bag='in.mcap')
RECORDER = RecorderStatus(inputs=(GAZE,), output='out.mcap')
#: Thresholds of CASES.
LIMITS = Thresholds(0.5, 5.0, 1.5, 0.0)


def snapshot(rate=30.0, received=None, work=0.012, age=0.011, seconds=5.0, **dropped):
    processed = int(rate * seconds)
    received = processed + sum(dropped.values()) if received is None else received
    return StageSnapshot(seconds, received, processed, dropped, work, (age,) * processed)


NOTHING = snapshot(0, work=math.nan)

FINE = [(CAMERA, '30.0 images/s, 11 ms old'), (INFERENCE, '30.0 images/s, 11 ms old'),
        (DISPLAY, '30.0 images/s, 11 ms old'),
        (replace(DISPLAY, window=False), 'no viewers'),
        (replace(INFERENCE, gpu=True), 'GPU idle')]

# Cases of each problem: status, snapshot, level, texts that the message contains.
CASES = {
    'no images from the camera': [
        (replace(CAMERA, failure="source '0' delivers no image"), NOTHING, Level.ERROR,
         ["source '0' delivers no image"]),
        (CAMERA, NOTHING, Level.ERROR, ["'0'", 'plug it in again'])],
    'the camera is slow': [
        (CAMERA, snapshot(12.4), Level.WARN, ['12.4 of 30.0', 'light', 'USB', 'width']),
        (CAMERA, snapshot(12.4, age=0.08), Level.WARN, ['decoding and publishing take 80 ms']),
        (replace(CAMERA, live=False), snapshot(12.4, work=0.08), Level.WARN,
         ['reading takes 80 ms', 'lower rate'])],
    'no publisher': [
        (replace(INFERENCE, inputs=(InputTopic('/camera/image_raw', 0),)), NOTHING, Level.ERROR,
         ['/camera/image_raw', 'start', 'remap']),
        (replace(DISPLAY, inputs=(IMAGE, InputTopic('/gaze', 0))), NOTHING, Level.ERROR,
         ['publisher: /gaze;'])],
    'no messages': [
        (INFERENCE, NOTHING, Level.ERROR, [
            '/camera/image_raw (1 publishers)', 'best effort', 'profile for Fast DDS', 'doctor'])],
    'images are lost': [
        (INFERENCE, replace(snapshot(10), announced=150), Level.WARN,
         ['100 of the 150 images that camera_info announces', 'reliable', 'doctor']),
        (INFERENCE, replace(snapshot(10), missing=100), Level.WARN,
         ['about 100 of 150 images', 'stamps', 'leaves them out'])],
    'images fail': [
        (replace(INFERENCE, failure='encoding'), snapshot(failed=3), Level.WARN,
         ['3 in 5 s', 'encoding']),
        (DISPLAY, snapshot(0, failed=3), Level.ERROR, ['unknown']),
        (replace(CAMERA, last_failure='empty (1 s ago)'), snapshot(failed=3), Level.WARN,
         ['3 in 5 s', 'empty']),
        (replace(REPLAY, failure='no header'), snapshot(0, failed=3), Level.ERROR, ['no header'])],
    'not recording': [
        (replace(DISPLAY, video=True, recording_failure="'a.mp4': its disk is full"), snapshot(),
         Level.ERROR, ["'a.mp4'", 'full']),
        (replace(RECORDER, failure="'out.mcap' was removed"), snapshot(0, failed=30), Level.ERROR,
         ['removed'])],
    'older than max_age': [
        (replace(INFERENCE, max_age=0.05), snapshot(0, old=150), Level.ERROR,
         ['150 of 150', '50 ms', 'shorter than the latency']),
        (replace(INFERENCE, max_age=0.05), snapshot(10, old=50), Level.WARN, [])],
    'inference is slow': [
        (INFERENCE, snapshot(0, work=math.nan, newer=150), Level.ERROR,
         ['150 of 150', 'none was processed in 5 s', 'hang']),
        (replace(INFERENCE, detection_time=0.08, estimation_time=0.01),
         snapshot(10, work=0.09, newer=100), Level.WARN,
         ['100 of 150', '90 ms', 'face detection takes 80 ms', 'detect_interval']),
        (replace(INFERENCE, estimation_time=0.08), snapshot(10, work=0.09, newer=100), Level.WARN,
         ['gaze estimation takes 80 ms', 'max_faces', 'input_size', 'frame_skip', 'runtime',
          'precision', 'device']),
        (INFERENCE, snapshot(10, work=0.09, newer=100), Level.WARN,
         ['reading and publishing take 77 ms']),
        (replace(INFERENCE, detection_time=math.nan, estimation_time=math.nan),
         snapshot(10, work=math.nan, newer=100), Level.WARN, ['detect_interval'])],
    'display is slow': [
        (DISPLAY, snapshot(10, work=0.1, newer=100), Level.WARN, ['view', 'smaller images']),
        (replace(DISPLAY, subscribers=1, video=True), snapshot(10, work=0.1, newer=100),
         Level.WARN, ['output', 'unsubscribe'])],
    'the people node is slow': [
        (PEOPLE, snapshot(10, work=0.1, newer=100), Level.WARN, ['max_faces'])],
    'the recorder is slow': [
        (RECORDER, snapshot(10, work=0.1, newer=100), Level.WARN, ['disk'])],
    'images come in bursts': [
        (INFERENCE, snapshot(20, newer=50), Level.WARN, ['50 of 150', '12 ms', 'queue_depth'])],
    'results are late': [
        (INFERENCE, snapshot(age=0.9), Level.WARN,
         ['900 ms', 'arrive old', "camera's or the network's"]),
        (INFERENCE, snapshot(2, work=0.7, age=0.9), Level.WARN, ['processing takes 700 ms']),
        (replace(INFERENCE, queue_depth=4), snapshot(5, work=0.15, age=0.9), Level.WARN,
         ['wait in the queue', 'queue_depth to 1 (4 now)']),
        (CAMERA, snapshot(age=0.9), Level.WARN, ['driver']),
        (DISPLAY, snapshot(age=0.9), Level.WARN, ['other nodes']),
        (REPLAY, snapshot(age=0.9), Level.WARN, ['when recorded']),
        (RECORDER, snapshot(age=0.9), Level.WARN, ['other nodes', "the disk's"]),
        *((status, snapshot(age=6.0), Level.ERROR, ['6000 ms', 'error_age (5 s)'])
          for status in (CAMERA, INFERENCE, DISPLAY, REPLAY, RECORDER))],
    'the rate is low': [
        (replace(CAMERA, expected_rate=0.0), snapshot(1.4), Level.WARN,
         ['1.4 images/s', 'warn_rate (1.5)', 'only 1.4 images/s arrive', 'light']),
        (INFERENCE, snapshot(1.4), Level.WARN, ["camera's status"]),
        (INFERENCE, snapshot(1, newer=145), Level.WARN,
         ['30.0 images/s arrive', 'dropped', 'faster']),
        (INFERENCE, snapshot(1, skipped=145), Level.WARN, ['frame_skip skips 145 of 150']),
        (DISPLAY, snapshot(1.4), Level.WARN, ["other nodes' status"]),
        (REPLAY, snapshot(1.4), Level.WARN, ['raise rate']),
        (RECORDER, snapshot(1.4), Level.WARN, ["gaze node's status"])],
    'clock offset': [
        (INFERENCE, snapshot(age=-0.2), Level.WARN, ['200 ms in the future', 'chrony']),
        (replace(DISPLAY, sim_time=True), snapshot(age=-0.5), Level.WARN, [])],
    'stamps do not rise': [
        (replace(INFERENCE, late_stamps=7), snapshot(), Level.WARN, ['7 recently', 'driver'])],
    'stamps of another clock': [
        (INFERENCE, snapshot(age=7200.0), Level.WARN, ['2.0 h old', 'use_sim_time', '--clock']),
        (replace(INFERENCE, sim_time=True), snapshot(age=-1.7e9), Level.WARN,
         ['in the future', '/clock'])],
    'results miss their images': [
        (replace(DISPLAY, late_results=4), snapshot(), Level.WARN, ['4 recently'])],
    'calibration unusable': [
        (replace(INFERENCE, calibration_problem='K has focal lengths of 0 and 0'), snapshot(),
         Level.WARN, ('focal lengths of 0', 'horizontal_fov is assumed'))],
    'GPU idle': [
        (replace(INFERENCE, gpu=True), snapshot(), Level.OK, ['adas', 'CPU', 'CUDA']),
        (replace(INFERENCE, gpu=True, running='onnx, cpu, fp32'),
         snapshot(10, work=0.1, newer=100), Level.WARN, ['device'])],
    'no viewers': [(replace(DISPLAY, window=False), snapshot(), Level.OK, ['nothing is drawn'])],
    'no /clock': [
        (NoClockStatus(INFERENCE), snapshot(), Level.WARN, ['/clock', 'use_sim_time']),
        (NoClockStatus(InactiveStatus(True)), NOTHING, Level.WARN, ['/clock'])],
    'waiting': [
        (replace(CAMERA, idle='the file is at its end'), NOTHING, Level.STALE, ['at its end']),
        (CAMERA, replace(NOTHING, seconds=1.0), Level.STALE, ['first image']),
        (INFERENCE, replace(NOTHING, seconds=1.0), Level.STALE, ['first image']),
        (REPLAY, NOTHING, Level.STALE, ['the bag has none at this time']),
        (replace(REPLAY, idle='the bag is at its end'), NOTHING, Level.STALE, ['at its end']),
        (InactiveStatus(False), NOTHING, Level.STALE, ['unconfigured: configure it']),
        (InactiveStatus(True), snapshot(), Level.STALE, ['inactive: activate it']),
        (InactiveStatus(True, in_transition=True), snapshot(), Level.STALE, ['in progress'])],
}


def problems(status, shown, thresholds=LIMITS):
    return {result.problem: result for result in status.checks(shown, thresholds)}


def test_every_problem_has_a_case():
    assert list(CASES) == list(PROBLEMS)


@pytest.mark.parametrize(
    ('problem', 'status', 'shown', 'level', 'words'),
    [(problem, *case) for problem, cases in CASES.items() for case in cases])
def test_problem_is_found(problem, status, shown, level, words):
    found = problems(status, shown)
    assert found[problem].level is level
    assert all(word in str(found[problem]) for word in words), str(found[problem])
    summary = summarize(shown, status, LIMITS)
    assert problem in f'{summary.message}; {summary.also}'


@pytest.mark.parametrize(('status', 'words'), FINE)
def test_status_without_problem_is_ok(status, words):
    summary = summarize(snapshot(), status, LIMITS)
    assert summary.level is Level.OK
    assert summary.message.startswith('30.0 images/s, 11 ms old')
    assert words in summary.message
    assert summary.also == ''


@pytest.mark.parametrize(('status', 'shown'), [
    (CAMERA, snapshot(27.2)),  # 90.7 %
    (replace(CAMERA, expected_rate=0.0), snapshot(1.6)),
    (CAMERA, snapshot(3.0, seconds=1.0)),  # just started
    (replace(CAMERA, recent_rate=29.9), snapshot(10.0)),  # waited for subscribers before
    (INFERENCE, snapshot(30, newer=4)),
    (INFERENCE, snapshot(10, skipped=100)),
    (INFERENCE, snapshot(age=0.4)),
    (replace(INFERENCE, sim_time=True), snapshot(age=-0.1)),
    (replace(INFERENCE, inputs=(InputTopic('/camera/image_raw', 0),)), snapshot()),
    (replace(INFERENCE, gpu=True, device='cpu'), snapshot()),
    (replace(INFERENCE, gpu=True, running='torch, cuda, fp16'), snapshot()),
])
def test_no_false_alarm(status, shown):
    assert problems(status, shown) == {}


def test_worst_problem_comes_first():
    summary = summarize(
        snapshot(0, failed=5), replace(INFERENCE, max_age=0.1, gpu=True), Thresholds())
    assert summary.level is Level.ERROR
    assert summary.message.startswith('images fail: ')
    assert summary.also.startswith('GPU idle: ')


def test_unknown_age_is_not_reported():
    assert summarize(replace(snapshot(), ages=()), INFERENCE, LIMITS).message == '30.0 images/s'


def test_key_values_are_numeric_and_keys_never_change():
    values = key_values(snapshot(20, newer=50), INFERENCE, LIMITS)
    assert values['rate [Hz]'] == '20.00'
    assert values['images received [Hz]'] == '30.00'
    assert values['work per image [ms]'] == '12.0'
    assert values['age p95 [ms]'] == '11.0'
    assert values['dropped: newer'] == '50'
    assert (values['detection [ms]'], values['estimation [ms]']) == ('5.0', '8.0')
    assert (values['model'], values['runtime'], values['device'], values['precision']) == (
        'adas', 'openvino', 'cpu', 'bf16')
    assert values['publishers of /camera/image_raw'] == '1'
    for status in (CAMERA, INFERENCE, DISPLAY, PEOPLE, RECORDER):
        assert key_values(NOTHING, status, LIMITS).keys() == key_values(
            snapshot(failed=1), status, LIMITS).keys()
    assert (values['warn_age [s]'], values['error_age [s]']) == ('0.5', '5')
    assert (values['warn_rate [Hz]'], values['error_rate [Hz]']) == ('1.5', '0')


@pytest.mark.parametrize(('age', 'limits', 'level'), [
    (0.4, Thresholds(), Level.OK), (0.6, Thresholds(), Level.WARN),
    (5.1, Thresholds(), Level.ERROR),
    (0.1, Thresholds(warn_age=0.09), Level.WARN), (0.9, Thresholds(warn_age=1.0), Level.OK),
    (0.9, Thresholds(warn_age=0.0), Level.OK),  # none
    (6.0, Thresholds(error_age=0.0), Level.WARN),
    (6.0, Thresholds(0.0, 0.0), Level.OK),
    (0.4, Thresholds(0.5, 0.3), Level.ERROR),  # the worse wins
])
def test_age_thresholds(age, limits, level):
    for status in (CAMERA, INFERENCE, DISPLAY, PEOPLE, REPLAY, RECORDER):
        assert summarize(snapshot(age=age), status, limits).level is level


@pytest.mark.parametrize(('rate', 'warn', 'error', 'level'), [
    (1.0, 0.0, 0.0, Level.OK), (20.0, 20.0, 10.0, Level.OK), (19.0, 20.0, 10.0, Level.WARN),
    (10.0, 20.0, 10.0, Level.WARN), (9.8, 20.0, 10.0, Level.ERROR),
    (9.8, 0.0, 10.0, Level.ERROR), (15.0, 10.0, 20.0, Level.ERROR),  # the worse wins
])
def test_rate_thresholds(rate, warn, error, level):
    camera = replace(CAMERA, expected_rate=0.0)
    for status in (camera, INFERENCE, DISPLAY, PEOPLE, REPLAY, RECORDER):
        summary = summarize(snapshot(rate), status, Thresholds(warn_rate=warn, error_rate=error))
        assert summary.level is level
        assert ('the rate is low' in summary.message) is (level is not Level.OK)


@pytest.mark.parametrize(('status', 'shown'), [
    (replace(CAMERA, idle='the source is at its end'), snapshot(9.0)),
    (replace(REPLAY, idle='the bag is at its end'), snapshot(9.0)),
    (INFERENCE, snapshot(9.0, seconds=1.0)),  # just started
    (DISPLAY, replace(NOTHING, seconds=1.0)),
    (INFERENCE, NOTHING),  # reported already: no messages
    (InactiveStatus(True), snapshot(9.0)),
    (InactiveStatus(False), NOTHING),
])
def test_waiting_node_has_no_rate_problem(status, shown):
    assert 'the rate is low' not in problems(status, shown, Thresholds(0.0, 0.0, 20.0, 10.0))


def test_messages_name_existing_parameters():
    known = {spec.name for specs in NODES.values() for spec in specs} | {
        'use_sim_time', 'image_raw', 'camera_info', 'gaze_ros', 'ROS_DOMAIN_ID'}
    for cases in CASES.values():
        for status, shown, *_ in cases:
            for result in status.checks(shown, LIMITS):
                assert set(re.findall(r'[A-Za-z]+_[A-Za-z_]+', str(result))) <= known


NUMBERS = st.floats() | st.sampled_from([0.0, 0.01, 1.0, 5.0, 30.0])
COUNTS = st.integers(-10, 10 ** 12)
ANY_SNAPSHOT = st.builds(
    StageSnapshot, NUMBERS, COUNTS, COUNTS,
    st.dictionaries(st.sampled_from([*DROP_REASONS]), COUNTS), NUMBERS,
    st.lists(NUMBERS, max_size=4).map(tuple))
INPUTS = st.lists(st.builds(InputTopic, st.text(), st.integers(-1, 3)), max_size=3).map(tuple)
COMMON_FIELDS = {
    'inputs': INPUTS, 'queue_depth': COUNTS, 'failure': st.text(), 'sim_time': st.booleans()}
ANY_STATUS = st.one_of(
    st.builds(CameraStatus, source=st.text(), expected_rate=NUMBERS, recent_rate=NUMBERS,
              live=st.booleans(), failure=st.text(), idle=st.text(), last_failure=st.text()),
    st.builds(InferenceStatus, detection_time=NUMBERS, estimation_time=NUMBERS, model=st.text(),
              running=st.text() | st.just('torch, cpu, fp32'), detector=st.text(),
              device=st.sampled_from(['auto', 'cpu', 'cuda']), gpu=st.booleans(),
              calibrated=st.none() | st.booleans(), calibration_problem=st.text(),
              max_age=NUMBERS, **COMMON_FIELDS),
    st.builds(DisplayStatus, window=st.booleans(), video=st.booleans(),
              recording_failure=st.text(), subscribers=COUNTS, late_results=COUNTS,
              **COMMON_FIELDS),
    st.builds(PeopleStatus, people=COUNTS, events=COUNTS, tf=st.booleans(), subscribers=COUNTS,
              humans=st.booleans(), **COMMON_FIELDS),
    st.builds(ReplayStatus, bag=st.text(), failure=st.text(), idle=st.text()),
    st.builds(RecorderStatus, inputs=INPUTS, output=st.text(), failure=st.text(),
              sim_time=st.booleans()),
    st.builds(InactiveStatus, st.booleans(), st.booleans()))


@pytest.mark.filterwarnings('ignore:.*:RuntimeWarning')  # NumPy's, for NaN
@given(ANY_SNAPSHOT, ANY_STATUS, st.builds(Thresholds, NUMBERS, NUMBERS, NUMBERS, NUMBERS))
def test_any_input_gets_a_level_and_a_message(some, status, limits):
    summary = summarize(some, status, limits)
    assert summary.level in Level
    assert summary.message
    found = [*status.checks(some, limits)]
    assert all(result.problem in PROBLEMS for result in found)
    assert summary.level in {Level.OK, *(result.level for result in found)}
    values = key_values(some, status, limits)
    assert all(isinstance(word, str) for pair in values.items() for word in pair)


def test_gpu_is_found_without_importing_torch(monkeypatch):
    found = []
    monkeypatch.setattr(status_module, 'Path', lambda path: SimpleNamespace(
        exists=lambda: path == '/proc/driver/nvidia' and bool(found)))
    monkeypatch.delitem(sys.modules, 'torch', raising=False)
    assert not has_nvidia_gpu()
    assert 'torch' not in sys.modules
    for available in (False, True):
        torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda a=available: a))
        monkeypatch.setitem(sys.modules, 'torch', torch)
        assert has_nvidia_gpu() is available
    monkeypatch.delitem(sys.modules, 'torch')
    found.append(True)
    assert has_nvidia_gpu()


def test_rolling_mean_covers_the_last_values():
    recent = RollingMean(3)
    assert math.isnan(recent.mean)
    for value in (100.0, 1.0, math.nan, 2.0, math.inf, 3.0):
        recent.add(value)
    assert recent.mean == pytest.approx(2.0)


def test_the_readme_explains_every_message():
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
