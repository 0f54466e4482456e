"""Clocks that are set, stand still or give invalid times; for stamps see test_topics.py."""
from contextlib import contextmanager
import mmap
from pathlib import Path
import shutil
import struct
import subprocess
import time

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from helpers.image_feeder import LATEST_STAMP, stamp_key
from helpers.processes import ROOT, running, wait_until
import pytest
from rosgraph_msgs.msg import Clock


def cpu_time(process):
    """Return the CPU time of a process, in clock ticks."""
    return sum(map(int, Path(f'/proc/{process.pid}/stat').read_text().rpartition(')')[2]
                   .split()[11:13]))


def test_clock_that_pauses_and_restarts(listener):
    clock = listener.node.create_publisher(Clock, '/clock', 10)
    stamps = listener.subscribe(GazeArray, topics.GAZE, lambda m: stamp_key(m.header.stamp))
    statuses = listener.subscribe(DiagnosticArray, '/diagnostics', lambda m: m.status[0].name)
    at = [100.0]

    def tick(count):
        for _ in range(count):
            at[0] += 0.02
            clock.publish(Clock(clock=Time(sec=int(at[0]), nanosec=int(at[0] % 1 * 1e9))))
            time.sleep(0.02)

    def cpu_use(pause):
        """Return the CPU time of the process during a call, in clock ticks."""
        before = cpu_time(process)
        pause()
        return cpu_time(process) - before

    def wait_for_stamp(condition):
        stamps.clear()
        wait_until(lambda: tick(5) or any(
            condition(sec + 1e-9 * ns) for sec, ns in stamps), 20, 'images')

    with running('pipeline', 'source:=sample', 'loop:=true', 'use_sim_time:=true') as process:
        process.wait_for('directions', 60)
        wait_for_stamp(lambda stamp: stamp > 100.5)
        usual = [cpu_use(lambda: tick(60)) for _ in range(2)]
        last = stamps[-1]
        statuses.clear()
        # Images continue with the time that stands still, diagnostics by the steady clock.
        still = [cpu_use(lambda: time.sleep(1.2)) for _ in range(2)]
        wait_until(lambda: len(stamps) >= 3 and stamps[-1] == stamps[-2] == stamps[-3], 20,
                   'images of one stamp')
        assert stamps[-1] >= last
        wait_until(lambda: statuses, 20, 'diagnostics while /clock stands still')
        # The extremes: a busy machine leaves less to a process.
        assert min(still) < 2 * max(usual) + 20, 'busy loop'
        wait_for_stamp(lambda stamp: stamp > at[0] - 0.1)
        at[0] = 0.0
        wait_for_stamp(lambda stamp: 0 < stamp < 60)
        # Times that ROS cannot hold: only that message is skipped.
        for stamp in (Time(sec=-1), Time(sec=-2**31), LATEST_STAMP):
            clock.publish(Clock(clock=stamp))
            time.sleep(0.1)
        wait_for_stamp(lambda stamp: 0 < stamp < 60)
        assert process.text.count('callback of /clock failed') >= 1
        assert process.running
        stamps.clear()
        wait_until(lambda: len(stamps) > 3, 20, 'images while it stands still')
        # Leaving the block checks the orderly exit.
    assert 'not ended' not in process.text


@contextmanager
def stepped_clock(folder):
    """Yield an environment with its own system clock, and a function that shifts it (s)."""
    compiler = shutil.which('cc') or shutil.which('gcc')
    if not compiler:
        pytest.skip('needs a C compiler: none here')
    library, file = folder / 'clock.so', folder / 'seconds'
    subprocess.run([compiler, '-O1', '-shared', '-fPIC', '-o', library,
                    ROOT / 'test' / 'helpers' / 'clock_shim.c', '-ldl', '-lpthread'], check=True)
    file.write_bytes(bytes(8))
    with file.open('r+b') as opened, mmap.mmap(opened.fileno(), 8) as shared:
        yield ({'LD_PRELOAD': str(library), 'CLOCK_SHIM': str(file)},
               lambda seconds: struct.pack_into('=q', shared, 0, seconds))


def test_system_clock_that_is_set(listener, tmp_path, rounds):
    if not rounds(0, 1):
        pytest.skip('6 s: only with --full')
    stamps = listener.subscribe(GazeArray, topics.GAZE, lambda m: m.header.stamp.sec)
    statuses = listener.subscribe(DiagnosticArray, '/diagnostics', lambda m: {
        'name': m.status[0].name, **{v.key: v.value for v in m.status[0].values}})
    with stepped_clock(tmp_path) as (env, put), \
            running('camera_node', 'source:=sample', 'loop:=true', env=env), \
            running('gaze_node', env=env) as gaze:
        gaze.wait_for('FPS', 60)
        for step in (3600, 0, -3600, 0):
            put(step)
            time.sleep(0.5)
            stamps.clear()
            statuses.clear()
            wait_until(lambda: len(stamps) >= 30, 20, 'images after the step')
            assert all(abs(sec - time.time() - step) < 60 for sec in stamps[5:])
            wait_until(
                lambda: any('gaze' in s['name'] for s in statuses), 20, 'diagnostics')
            for status in statuses:
                if 'gaze' in status['name']:
                    assert 0 <= float(status['age p50 [ms]']) < 60e3
        put(3600)
    latencies = [float(line.split('Latency: ')[1].split('ms')[0])
                 for line in gaze.lines if 'Latency: ' in line]
    assert len(latencies) >= 2 and all(0 < latency < 60e3 for latency in latencies)
