from threading import Event
from time import sleep

from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.pipeline import worker as module
from gaze_ros.core.pipeline.worker import affordable_queue_depth, Worker
import pytest


def test_a_failure_costs_one_item_and_is_told_once():
    told, done, stage = [], [], StageStats('x')
    turn = Event()

    def work(item):
        turn.set()
        if item < 0:
            raise ValueError('bad' if item == -1 else 'worse')
        done.append(item)

    worker = Worker('x', work, stage, told.append)
    worker.start()
    for item in (1, -1, -1, -2, -1, 2):
        turn.clear()
        worker.submit(item)
        assert turn.wait(10)
    worker.request_stop()
    assert worker.join(10)
    assert done == [1, 2]
    assert told == ['bad', 'worse']
    assert stage.drop_count == 4


def test_ends_unstarted_and_says_when_it_does_not():
    worker = Worker('x', print, StageStats('x'), print)
    worker.request_stop()
    assert worker.join(0)
    began, hold = Event(), Event()

    def work(_):
        began.set()
        hold.wait(10)

    slow = Worker('x', work, StageStats('x'), print)
    slow.start()
    slow.submit(1)
    assert began.wait(10)
    slow.request_stop()
    assert not slow.join(0.01)
    hold.set()
    assert slow.join(10)


@pytest.mark.parametrize(
    ('depth', 'done'), [('1', [0, 9]), ('2', [0, 8, 9]), ('4', [0, 6, 7, 8, 9])])
def test_as_many_wait_as_asked_for_and_the_oldest_go(depth, done):
    began, go_on, finished, got = Event(), Event(), Event(), []
    stage = StageStats('x')

    def work(item):
        began.set()
        assert go_on.wait(10)
        got.append(item)
        if item == 9:
            finished.set()

    worker = Worker('x', work, stage, print, depth)
    worker.start()
    worker.submit(0)
    assert began.wait(10)
    for item in range(1, 10):
        worker.submit(item)
    go_on.set()
    assert finished.wait(10)
    worker.request_stop()
    assert worker.join(10)
    assert got == done
    assert stage.drop_count == 10 - len(done)


@pytest.mark.parametrize(('work', 'depth'), [
    (0.008, 4), (0.009, 2), (0.016, 2), (0.017, 1), (0.2, 1)])
def test_a_queue_is_as_deep_as_is_worked_off_before_the_next_item(work, depth):
    assert affordable_queue_depth(work, 1 / 30) == depth


def test_auto_follows_the_load():
    turn, slow = Event(), Event()

    def work(_):
        if slow.is_set():
            sleep(0.03)
        turn.set()

    worker = Worker('x', work, StageStats('x'), print)
    assert worker.queue_depth == 1
    worker.start()

    def give(times):
        for _ in range(times):
            turn.clear()
            worker.submit(1)
            assert turn.wait(10)
            sleep(0.02)

    give(5)
    assert worker.queue_depth == 4
    slow.set()
    for _ in range(200):
        worker.submit(1)
        sleep(0.01)
    assert worker.queue_depth == 1
    worker.request_stop()
    assert worker.join(10)


def test_a_slow_stage_gets_no_deep_queue_after_a_pause(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module, 'monotonic', lambda: now[0])
    worker = Worker('x', print, StageStats('x'), print)  # never started: its averages are set by hand
    for _ in range(60):
        now[0] += 1 / 30
        worker.submit(1)
    now[0] += 3600
    worker.submit(1)
    assert affordable_queue_depth(0.061, worker._period) == 1


def test_a_failure_without_words_is_told_by_its_kind():
    told, turn = [], Event()

    def work(_):
        turn.set()
        raise AssertionError

    worker = Worker('x', work, StageStats('x'), told.append)
    worker.start()
    worker.submit(1)
    assert turn.wait(10)
    worker.request_stop()
    assert worker.join(10)
    assert told == ['AssertionError']


def test_the_queue_depth_may_change_at_any_time_and_auto_follows_the_load_again():
    done, turn = [], Event()

    def work(item):
        done.append(item)
        turn.set()

    worker = Worker('x', work, StageStats('x'), print, '4')
    worker.set_queue_depth('1')
    assert worker.queue_depth == 1
    for item in (1, 2, 3):
        worker.submit(item)
    worker.set_queue_depth('2')
    worker.submit(4)
    worker.start()
    assert turn.wait(10)
    worker.request_stop()
    assert worker.join(10)
    assert done[0] == 3 and worker.queue_depth == 2
    worker.set_queue_depth('auto')
    assert worker.queue_depth == 1
