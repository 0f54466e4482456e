"""A webcam that fails and recovers; its devices are those of helpers/virtual_devices.py."""
import signal

from helpers.processes import wait_until
from helpers.virtual_cameras import CameraProbe, ERROR, virtual_camera_node, WARN
import pytest

#: What a device does, and what is said of it.
FAULTS = {
    'gone': 'gives no picture', 'empty': 'gives an empty picture',
    'none': 'gives an empty picture', 'odd': 'shape (480, 640, 2)', 'raises': 'gives no picture: '}

#: Seconds after which a read hangs, in these tests.
HANGS = 1.0


@pytest.fixture
def seen(listener):
    return CameraProbe(listener)


def test_a_camera_that_fails_says_so_once_and_comes_back(seen, tmp_path, rounds):
    with virtual_camera_node(tmp_path, 'source:=0') as process:
        for n, fault in enumerate(rounds(['gone'], FAULTS), 1):
            seen.wait_for_more()
            process.set_state(fault)
            wait_until(lambda: len(process.lines_with('[ERROR]')) == n, 10, fault)  # noqa: B023
            assert FAULTS[fault] in process.lines_with('[ERROR]')[-1]
            seen.wait_for(ERROR, 'the camera gives nothing: source')
            assert seen.status().hardware_id == '0'
            still = len(seen.images)
            # Every second it is opened anew: that leaves none open, and nothing more is said.
            wait_until(lambda: process.counts['open'] == 0, 5, 'closed')
            assert len(seen.images) == still
            process.set_state('good')
            wait_until(lambda: len(process.lines_with("'0' is back")) == n, 10, 'back')  # noqa: B023
            assert len(process.lines_with('[ERROR]')) == n, process.text
        seen.wait_for_more()
        assert process.counts == {'open': 1, 'stuck': 0, 'readers': 1}

        # A single picture that cannot be decoded costs itself only.
        process.set_state('spoilt')
        seen.wait_for(WARN, 'pictures fail: ')
        seen.wait_for_more(30)
        assert len(process.lines_with('an empty picture: it, and others like it, are')) == 1
        assert len(process.lines_with('[ERROR]')) == n
        assert {*seen.images} == {(640, 480, 'bgr8', 640 * 480 * 3)}


def test_a_read_that_hangs_is_left_and_the_camera_opened_anew(seen, tmp_path):
    with virtual_camera_node(tmp_path, 'source:=0', hangs=HANGS, number=signal.SIGTERM) as process:
        seen.wait_for_more()
        process.set_state('stuck')
        process.wait_for("source '0' hangs: no answer for 1 s; opening it anew beside")
        wait_until(lambda: process.counts['readers'] == 2, 10, 'another thread')
        seen.wait_for(ERROR, 'the camera gives nothing: source')
        process.set_state('good')  # as another device of the same name; the first one stays stuck
        seen.wait_for_more()
        assert len(process.lines_with('[ERROR]')) == len(process.lines_with("'0' is back")) == 1
        assert process.counts == {'open': 2, 'stuck': 1, 'readers': 2}

        # One more that hangs is not left behind as well: threads do not pile up.
        process.set_state('stuck')
        wait_until(lambda: len(process.lines_with('hangs')) == 2, 10, 'the second')
        seen.wait_for(ERROR, 'hangs')
        assert process.counts == {'open': 2, 'stuck': 2, 'readers': 2}

        process.set_state('loose')
        seen.wait_for_more()
        wait_until(lambda: process.counts == {'open': 1, 'stuck': 0, 'readers': 1}, 10, 'closed')
        assert len(process.lines_with("'0' is back")) == 2

        process.set_state('stuck')
        wait_until(lambda: process.counts['readers'] == 2, 10, 'another thread')


def test_a_signal_while_a_read_hangs_ends_in_order(seen, tmp_path):
    with virtual_camera_node(tmp_path, 'source:=0') as process:
        seen.wait_for_more()
        process.set_state('stuck')
        wait_until(lambda: process.counts['stuck'] == 1, 10, 'a read that hangs')
