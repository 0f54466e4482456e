from threading import Barrier, Event, Lock
from time import sleep

from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.pipeline import worker as module
from gaze_ros.core.pipeline.worker import affordable_queue_depth, ParallelWorker, Worker
from helpers.processes import wait_until
import pytest


def test_failed_item_is_dropped_and_error_reported_once():
    errors, done, stage = [], [], StageStats('x')
    processed = Event()

    def work(item):
        processed.set()
        if item < 0:
            raise ValueError('bad' if item == -1 else 'worse')
        done.append(item)

    worker = Worker('x', work, stage, errors.append)
    worker.start()
    for item in (1, -1, -1, -2, -1, 2):
        processed.clear()
        worker.submit(item)
        assert processed.wait(10)
    worker.request_stop()
    assert worker.join(10)
    assert done == [1, 2]
    assert errors == ['bad', 'worse']
    assert stage.drop_count == 4


def test_join_succeeds_if_never_started_and_fails_on_timeout():
    worker = Worker('x', print, StageStats('x'), print)
    worker.request_stop()
    assert worker.join(0)
    started, hold = Event(), Event()

    def work(_):
        started.set()
        hold.wait(10)

    slow = Worker('x', work, StageStats('x'), print)
    slow.start()
    slow.submit(1)
    assert started.wait(10)
    slow.request_stop()
    assert not slow.join(0.01)
    hold.set()
    assert slow.join(10)


@pytest.mark.parametrize(
    ('depth', 'done'), [('1', [0, 9]), ('2', [0, 8, 9]), ('4', [0, 6, 7, 8, 9])])
def test_queue_depth_is_respected_and_the_oldest_are_dropped(depth, done):
    started, go_on, finished, got = Event(), Event(), Event(), []
    stage = StageStats('x')

    def work(item):
        started.set()
        assert go_on.wait(10)
        got.append(item)
        if item == 9:
            finished.set()

    worker = Worker('x', work, stage, print, depth)
    worker.start()
    worker.submit(0)
    assert started.wait(10)
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
def test_affordable_queue_depth(work, depth):
    assert affordable_queue_depth(work, 1 / 30) == depth


def test_auto_queue_depth_follows_the_load():
    processed, slow = Event(), Event()

    def work(_):
        if slow.is_set():
            sleep(0.03)
        processed.set()

    worker = Worker('x', work, StageStats('x'), print)
    assert worker.queue_depth == 1
    worker.start()

    def submit_until(depth, period):
        def submitted():
            processed.clear()
            worker.submit(1)
            assert processed.wait(10)
            sleep(period)
            return worker.queue_depth == depth

        wait_until(submitted, 20, f'depth {depth}')

    submit_until(4, 0.02)
    slow.set()
    submit_until(1, 0.0)
    worker.request_stop()
    assert worker.join(10)


def test_pause_does_not_deepen_the_queue_of_a_slow_stage(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module, 'monotonic', lambda: now[0])
    worker = Worker('x', print, StageStats('x'), print)  # never started
    for _ in range(60):
        now[0] += 1 / 30
        worker.submit(1)
    now[0] += 3600
    worker.submit(1)
    assert affordable_queue_depth(0.061, worker.period) == 1


def test_error_without_message_is_reported_by_its_type():
    errors, processed = [], Event()

    def work(_):
        processed.set()
        raise AssertionError

    worker = Worker('x', work, StageStats('x'), errors.append)
    worker.start()
    worker.submit(1)
    assert processed.wait(10)
    worker.request_stop()
    assert worker.join(10)
    assert errors == ['AssertionError']


def test_queue_depth_can_change_at_any_time():
    done, processed = [], Event()

    def work(item):
        done.append(item)
        processed.set()

    worker = Worker('x', work, StageStats('x'), print, '4')
    worker.set_queue_depth('1')
    assert worker.queue_depth == 1
    for item in (1, 2, 3):
        worker.submit(item)
    worker.set_queue_depth('2')
    worker.submit(4)
    worker.start()
    assert processed.wait(10)
    worker.request_stop()
    assert worker.join(10)
    assert done[0] == 3 and worker.queue_depth == 2
    worker.set_queue_depth('auto')
    assert worker.queue_depth == 1


def test_item_is_wanted_only_if_the_worker_is_free_before_the_next_one(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module, 'monotonic', lambda: now[0])
    started, go_on = Event(), Event()

    def work(item):
        started.set()
        assert go_on.wait(20)

    stage = StageStats('x')
    worker = Worker('x', work, stage, print, '1')
    worker.start()
    assert worker.wants(0.0)  # it waits for an item
    worker.submit(1)
    assert started.wait(20)
    now[0] += 0.05
    go_on.set()
    wait_until(lambda: worker.work_time, 20, 'the time that an item takes')
    assert worker.work_time == pytest.approx(0.05)
    wait_until(lambda: worker.wants(0.0), 20, 'a free worker')
    go_on.clear(), started.clear()
    worker.submit(2)
    assert started.wait(20)
    assert not worker.wants(0.005) and worker.wants(0.2)
    worker.skip()
    assert stage.drop_count == 1
    now[0] += 0.05
    assert not worker.wants(0.005)  # later than the mean, so that a core is free in between
    now[0] += 0.011
    assert worker.wants(0.0)  # late already: it may be free at any moment
    go_on.set()
    worker.request_stop()
    assert worker.join(20)


def test_worker_tells_when_it_has_nothing_to_do():
    started, go_on, idle = Event(), Event(), []

    def work(item):
        started.set()
        assert go_on.wait(20)

    worker = Worker('x', work, StageStats('x'), print, '1')
    worker.on_idle = lambda: idle.append(worker.needed_at())
    worker.start()
    worker.submit(1)
    assert started.wait(20)
    worker.submit(2)
    go_on.set()
    wait_until(lambda: idle, 20, 'the end of the work')
    # Not after the first item, since the second was waiting.
    assert idle == [0.0]
    worker.submit(3)
    wait_until(lambda: len(idle) == 2, 20, 'the end of the third item')
    worker.request_stop()
    assert worker.join(20)


def test_parallel_worker_processes_side_by_side_and_passes_on_in_order():
    both, got, threads, stage = Barrier(2), [], set(), StageStats('x')
    finished = Event()

    def work(item, turn, thread):
        both.wait(20)  # only if two items are in work at the same time
        sleep(0.02 * (item % 2 == 0))
        turn.enter(1)
        got.append(item)
        threads.add(thread)
        if item == 9:
            finished.set()

    worker = ParallelWorker('x', work, stage, print, '4')
    worker.start()
    worker.set_parallel(2)
    for item in range(10):
        worker.submit(item)
        wait_until(lambda item=item: len(got) >= item - 2, 20, 'those before')
    assert finished.wait(20)
    worker.request_stop()
    assert worker.join(10)
    assert got == [*range(10)] and threads == {0, 1} and stage.drop_count == 0


def test_number_in_flight_changes_while_it_runs_and_failures_do_not_block():
    most, now, got, lock = [0], [0], [], Lock()

    def work(item, turn, thread):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        try:
            sleep(0.01)
            if item % 5 == 3:
                raise ValueError('bad')
            turn.enter(1)
            got.append(item)
        finally:
            with lock:
                now[0] -= 1

    stage = StageStats('x')
    worker = ParallelWorker('x', work, stage, lambda reason: None, '4')
    worker.start()

    def submit(first, count):
        most[0] = 0
        for item in range(first, first + count):
            worker.submit(item)
            sleep(0.004)
        wait_until(lambda: len(got) + stage.drop_count == first + count, 20, 'the end')
        return most[0]

    assert submit(0, 30) == 1
    worker.set_parallel(3)
    assert submit(30, 60) in (2, 3)
    worker.set_parallel(1)
    wait_until(lambda: now[0] == 0, 20, 'the end')
    assert submit(90, 30) == 1
    assert got == sorted(got)
    worker.request_stop()
    assert worker.join(10)
