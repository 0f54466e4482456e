"""The order in which threads pass the sections of consecutive images."""
import random
from threading import Event, Thread
import time

from gaze_ros.core.pipeline.ordering import Order, Turn
from helpers.processes import wait_until
import pytest


def run_all(work, count, threads=3):
    """Run work(turn, number) for the numbers below count, by several threads."""
    order, numbers = Order(), iter(range(count))

    def loop():
        for number in numbers:
            turn = order.turn(number)
            try:
                work(turn, number)
            except ArithmeticError:
                pass
            finally:
                turn.finish()

    running = [Thread(target=loop, daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(30)
        assert not thread.is_alive()


def test_every_section_is_passed_in_order_by_one_image_at_a_time():
    passed, inside = {1: [], 2: []}, {1: 0, 2: 0}
    rest = random.Random(0)

    def work(turn, number):
        for section in (1, 2):
            time.sleep(rest.random() / 200)
            turn.enter(section)
            inside[section] += 1
            assert inside[section] == 1
            passed[section].append(number)
            time.sleep(rest.random() / 1000)
            inside[section] -= 1
            turn.leave(section)

    run_all(work, 60)
    assert passed == {1: [*range(60)], 2: [*range(60)]}


def test_images_side_by_side_between_sections():
    both = [Event(), Event()]

    def work(turn, number):
        turn.enter(1)
        turn.leave(1)
        both[number].set()
        assert both[1 - number].wait(20)  # only if the other is here, too
        turn.enter(2)

    run_all(work, 2, threads=2)


@pytest.mark.parametrize('section', [0, 1, 2])
def test_failed_image_lets_the_next_ones_pass_in_order(section):
    """It fails before the first section, or inside one."""
    passed = []

    def work(turn, number):
        if number % 3 == 1 and section == 0:
            raise ArithmeticError
        for one in (1, 2):
            turn.enter(one)
            if number % 3 == 1 and one == section:
                raise ArithmeticError
            if one == 2:
                passed.append(number)
            turn.leave(one)

    run_all(work, 30)
    assert passed == [n for n in range(30) if n % 3 != 1]


def test_finishing_waits_for_the_images_before():
    order, done = Order(), []
    later = Thread(target=lambda: (order.turn(1).finish(), done.append(1)), daemon=True)
    later.start()
    time.sleep(0.05)
    assert done == []
    order.turn(0).finish()
    wait_until(lambda: done == [1], 20, 'the second')


def test_image_alone_never_waits():
    turn = Turn()
    for section in (3, 1, 2):
        turn.enter(section)
        turn.leave(section)
    turn.finish()
    assert turn.waited == 0
