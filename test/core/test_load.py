"""How many images are processed side by side."""
from gaze_ros.core.pipeline import load as module
from gaze_ros.core.pipeline.load import LoadControl, most_parallel
import pytest


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module, 'monotonic', lambda: now[0])
    return now


def run(clock, load, work, period, seconds, parallel):
    """Process images for some time; return the number of images in flight at its end.

    :param work: seconds per image, by the number of images in flight.
    """
    end = clock[0] + seconds
    while clock[0] < end:
        wanted = load.wanted(work[parallel], period)
        if wanted != parallel:
            load.changed(wanted, work[parallel])
            parallel = wanted
        clock[0] += max(period, work[parallel] / parallel)
    return parallel


WORK = {1: 0.018, 2: 0.027, 3: 0.040, 4: 0.053}


def test_camera_that_is_kept_up_with_stays_at_one(clock):
    assert run(clock, LoadControl('auto', 2), WORK, 1 / 30, 60, 1) == 1
    assert run(clock, LoadControl('auto', 2), WORK, 1 / 50, 60, 1) == 1


def test_faster_camera_raises_it_after_a_second_and_a_slower_one_lowers_it(clock):
    load = LoadControl('auto', 2)
    assert run(clock, load, WORK, 1 / 90, 0.9, 1) == 1
    assert run(clock, load, WORK, 1 / 90, 0.3, 1) == 2
    assert run(clock, load, WORK, 1 / 90, 60, 2) == 2
    assert run(clock, load, WORK, 1 / 30, 2, 2) == 2
    assert run(clock, load, WORK, 1 / 30, 3, 2) == 1


def test_short_hiccup_changes_nothing(clock):
    load = LoadControl('auto', 2)
    for _ in range(20):
        assert run(clock, load, {1: 0.05}, 1 / 30, 0.4, 1) == 1
        assert run(clock, load, {1: 0.02}, 1 / 30, 0.5, 1) == 1


@pytest.mark.parametrize('rate', range(20, 100, 4))
def test_no_load_makes_it_change_again_and_again(clock, rate):
    """One image alone at 52 images/s is near both limits."""
    load, changes, parallel = LoadControl('auto', 2), 0, 1
    for _ in range(100):
        before, parallel = parallel, run(clock, load, WORK, 1 / rate, 1, parallel)
        changes += before != parallel
    assert changes <= 1


def test_more_than_two_are_reached_one_after_the_other(clock):
    load = LoadControl('auto', 4)
    assert run(clock, load, WORK, 1 / 500, 1.5, 1) == 2
    assert run(clock, load, WORK, 1 / 500, 1, 2) == 3
    assert run(clock, load, WORK, 1 / 500, 60, 3) == 4
    assert run(clock, load, WORK, 1 / 10, 60, 4) == 1


def test_fixed_number_ignores_the_load(clock):
    assert run(clock, LoadControl('3', 1), WORK, 1 / 5, 9, 3) == 3
    assert LoadControl('1', 8).wanted(1.0, 0.001) == 1


def test_only_runtimes_with_threads_of_their_own_run_side_by_side():
    assert most_parallel('openvino, cpu, bf16', 4) == 4
    assert most_parallel('onnx, cpu, fp32', 64) == 8
    for running in ('torch, cpu, fp32', 'mediapipe, cpu, fp32', 'openvino, npu, fp16',
                    'torch, cuda, fp16'):
        assert most_parallel(running, 4) == 1
