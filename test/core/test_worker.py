from threading import Event

from gaze_ros.core.statistics import Stage
from gaze_ros.core.worker import Worker


def test_works_on_the_newest_and_counts_what_it_passed_over():
    began, go_on, done = Event(), Event(), []

    def work(item):
        began.set()
        assert go_on.wait(10)
        done.append(item)
        if item == 9:
            finished.set()

    finished, stage = Event(), Stage('x')
    worker = Worker('x', work, stage, print)
    worker.start()
    worker.give(0)
    assert began.wait(10)
    for item in range(1, 10):
        worker.give(item)
    go_on.set()
    assert finished.wait(10)
    worker.end()
    assert worker.join(10)
    assert (done, stage.dropped) == ([0, 9], 8)


def test_a_failure_costs_one_item_and_is_told_once():
    told, done, stage = [], [], Stage('x')
    turn = Event()

    def work(item):
        turn.set()
        if item < 0:
            raise ValueError(f'bad {item}')
        done.append(item)

    worker = Worker('x', work, stage, told.append)
    worker.start()
    for item in (1, -1, -1, -2, -1, 2):
        turn.clear()
        worker.give(item)
        assert turn.wait(10)
    worker.end()
    assert worker.join(10)
    assert done == [1, 2]
    assert told == ['bad -1', 'bad -2', 'bad -1']
    assert stage.dropped == 4


def test_ends_unstarted_and_says_when_it_does_not():
    worker = Worker('x', print, Stage('x'), print)
    worker.end()
    assert worker.join(0)
    began, hold = Event(), Event()

    def work(_):
        began.set()
        hold.wait(10)

    slow = Worker('x', work, Stage('x'), print)
    slow.start()
    slow.give(1)
    assert began.wait(10)
    slow.end()
    assert not slow.join(0.01)
    hold.set()
    assert slow.join(10)
