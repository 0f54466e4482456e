from threading import Thread

from gaze_ros.core.pipeline.hot_swap import HotSwap


class Component:

    def __init__(self, number):
        self.number = number
        self.closed = 0

    def close(self):
        self.closed += 1


def test_components_are_used_in_order_and_closed_once():
    components = [Component(n) for n in range(2000)]
    swap = HotSwap(components[0])
    used, wrong = [], []

    def use():
        while not used or used[-1] < 1999:
            component = swap.acquire()
            if component.closed:
                wrong.append(component.number)
            used.append(component.number)

    thread = Thread(target=use)
    thread.start()
    for component in components[1:]:
        swap.replace(component)
    thread.join(20)
    assert not thread.is_alive()
    assert wrong == []
    assert used == sorted(used)
    assert [component.closed for component in components] == [1] * 1999 + [0]
    assert swap.newest is components[-1]
    swap.close()
    assert components[-1].closed == 1
