from threading import Thread

from gaze_ros.core.pipeline.worker import Mailbox
import pytest


@pytest.fixture
def reader():
    """Return a function that takes in another thread; all readers are released at the end."""
    boxes = []

    def start(box):
        got = []
        thread = Thread(target=lambda: got.append(box.take()), daemon=True)
        thread.start()
        boxes.append((box, thread))
        return thread, got

    yield start
    for box, thread in boxes:
        box.close()
        thread.join(10)


def test_newest_item_wins_and_drops_are_counted():
    box = Mailbox()
    assert [box.put(i) for i in 'abc'] == [0, 1, 1]
    assert box.take() == (0, 'c')
    assert box.put('d') == 0
    assert box.take() == (1, 'd')


def test_falsy_items_are_delivered():
    box = Mailbox()
    box.put(0)
    assert box.put('') == 1
    assert box.take() == (0, '')


def test_take_waits_for_an_item(reader):
    box = Mailbox()
    thread, got = reader(box)
    thread.join(0.05)
    assert thread.is_alive()
    box.put(7)
    thread.join(10)
    assert got == [(0, 7)]


def test_close_wakes_a_waiting_reader(reader):
    box = Mailbox()
    thread, got = reader(box)
    box.close()
    thread.join(10)
    assert got == [None]


def test_closed_mailbox_returns_none():
    box = Mailbox()
    box.put(1)
    box.close()
    assert box.take() is None
    box.put(2)
    assert box.take() is None


def test_every_item_is_taken_or_counted_as_dropped():
    box, taken = Mailbox(), []

    def read():
        while (one := box.take()) is not None:
            _, item = one
            taken.append(item)
            if item == 2000:
                return

    thread = Thread(target=read)
    thread.start()
    dropped = sum(box.put(i) for i in range(1, 2001))
    thread.join(10)
    assert taken == sorted(set(taken))
    assert taken[-1] == 2000
    assert len(taken) + dropped == 2000


def test_deeper_mailbox_keeps_order_and_drops_the_oldest():
    box = Mailbox(2)
    assert [box.put(i) for i in 'abcd'] == [0, 0, 1, 1]
    assert [box.take()[1], box.take()[1]] == ['c', 'd']


def test_reducing_the_depth_drops_excess_items():
    box = Mailbox(4)
    for i in range(4):
        box.put(i)
    box.depth = 1
    assert box.put(4) == 4
    assert box.take() == (0, 4)


def test_only_the_first_readers_take_items(reader):
    box = Mailbox()
    box.put(1)
    thread = Thread(target=lambda: box.take(1), daemon=True)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive() and len(box) == 1
    box.readers = 2
    box.put(2)  # wakes it
    thread.join(10)
    assert not thread.is_alive()
