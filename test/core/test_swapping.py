from threading import Thread

from gaze_ros.core.pipeline.hot_swap import HotSwap


class Part:
    def __init__(self, number):
        self.number = number
        self.closed = 0

    def close(self):
        self.closed += 1


def test_each_part_is_used_in_order_and_closed_once_however_fast_they_come():
    parts = [Part(n) for n in range(2000)]
    swap = HotSwap(parts[0])
    used, wrong = [], []

    def use():
        while not used or used[-1] < 1999:
            part = swap.acquire()
            if part.closed:
                wrong.append(part.number)
            used.append(part.number)

    thread = Thread(target=use)
    thread.start()
    for part in parts[1:]:
        swap.replace(part)
    thread.join(20)
    assert not thread.is_alive()
    assert wrong == []
    assert used == sorted(used)
    assert [part.closed for part in parts] == [1] * 1999 + [0]
    assert swap.newest is parts[-1]
    swap.close()
    assert parts[-1].closed == 1
