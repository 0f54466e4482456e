"""Clocks that are set, stand still and tell times that are none; of stamps see test_topics.py."""
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
    """Return the processor's time a process took, in clock ticks."""
    return sum(map(int, Path(f'/proc/{process.pid}/stat').read_text().rpartition(')')[2]
                   .split()[11:13]))


def test_a_clock_that_pauses_and_begins_anew(listener):
    clock = listener.node.create_publisher(Clock, '/clock', 10)
    stamps = listener.subscribe(GazeArray, topics.GAZE, lambda m: stamp_key(m.header.stamp))
    told = listener.subscribe(DiagnosticArray, '/diagnostics', lambda m: m.status[0].name)
    at = [100.0]

    def tick(count):
        for _ in range(count):
            at[0] += 0.02
            clock.publish(Clock(clock=Time(sec=int(at[0]), nanosec=int(at[0] % 1 * 1e9))))
            time.sleep(0.02)

    def pictures(condition, goes_on=True):
        stamps.clear()
        wait_until(lambda: (goes_on and tick(5)) or any(
            condition(sec + 1e-9 * ns) for sec, ns in stamps), 20, 'pictures')

    with running('pipeline', 'source:=sample', 'loop:=true', 'use_sim_time:=true') as process:
        process.wait_for('directions', 60)
        pictures(lambda stamp: stamp > 100.5)
        begun = cpu_time(process)
        tick(50)
        took = cpu_time(process) - begun
        last = stamps[-1]
        begun = cpu_time(process)
        told.clear()
        time.sleep(1.2)
        # Pictures go on, of the time that stands still, and the diagnostics do by another clock.
        assert stamps[-1] >= last and stamps[-1] == stamps[-2] == stamps[-3]
        assert told, 'no diagnostics while /clock stands still'
        assert cpu_time(process) - begun < 2 * took + 20, 'it spins'
        pictures(lambda stamp: stamp > at[0] - 0.1)
        at[0] = 0.0
        pictures(lambda stamp: 0 < stamp < 1)
        # No time at all, and none that ROS has: it costs that message.
        for stamp in (Time(sec=-1), Time(sec=-2**31), LATEST_STAMP):
            clock.publish(Clock(clock=stamp))
            time.sleep(0.1)
        pictures(lambda stamp: 0 < stamp < 60)
        assert process.text.count('a callback of /clock failed') >= 1
        assert process.running
        stamps.clear()
        wait_until(lambda: len(stamps) > 3, 20, 'pictures while it stands still')
        # It ends in order, or with another code after 1.8 s.
    assert 'not ended' not in process.text


@contextmanager
def stepped_clock(folder):
    """Give the environment that has a clock of its own, and what sets it, in seconds."""
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


def test_a_system_clock_that_is_set(listener, tmp_path, rounds):
    if not rounds(0, 1):
        pytest.skip('6 s: only with --full')
    stamps = listener.subscribe(GazeArray, topics.GAZE, lambda m: m.header.stamp.sec)
    told = listener.subscribe(DiagnosticArray, '/diagnostics', lambda m: {
        'name': m.status[0].name, **{v.key: v.value for v in m.status[0].values}})
    with stepped_clock(tmp_path) as (env, put), \
            running('camera_node', 'source:=sample', 'loop:=true', env=env), \
            running('gaze_node', env=env) as gaze:
        gaze.wait_for('FPS', 60)
        for step in (3600, 0, -3600, 0):
            put(step)
            time.sleep(0.5)
            stamps.clear()
            told.clear()
            wait_until(lambda: len(stamps) >= 30, 20, 'pictures after the step')
            assert all(abs(sec - time.time() - step) < 60 for sec in stamps[5:])
            wait_until(lambda: any('gaze' in one['name'] for one in told), 20, 'diagnostics')
            for one in told:
                if 'gaze' in one['name']:
                    assert 0 <= float(one['age p50 [ms]']) < 60e3
        put(3600)
    latencies = [float(line.split('Latency: ')[1].split('ms')[0])
                 for line in gaze.lines if 'Latency: ' in line]
    assert len(latencies) >= 2 and all(0 < latency < 60e3 for latency in latencies)
