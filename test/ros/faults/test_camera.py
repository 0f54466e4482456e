"""A webcam that fails and recovers; its devices are those of helpers/virtual_devices.py."""
import signal

from helpers.processes import wait_until
from helpers.virtual_cameras import CameraProbe, ERROR, virtual_camera_node, WARN
import pytest

#: What a device does: what is logged.
FAULTS = {
    'gone': 'delivers no image', 'empty': 'delivers an empty image',
    'none': 'delivers an empty image', 'odd': 'shape (480, 640, 2)',
    'raises': 'delivers no image: '}

#: Seconds after which a read hangs, in these tests; a busy machine may pause for a second.
HANGS = 3.0


@pytest.fixture
def seen(listener):
    return CameraProbe(listener)


def test_failed_camera_is_reported_once_and_recovers(seen, tmp_path, rounds):
    with virtual_camera_node(tmp_path, 'source:=0') as process:
        for n, fault in enumerate(rounds(['gone'], FAULTS), 1):
            seen.wait_for_more()
            process.set_state(fault)
            wait_until(lambda: len(process.lines_with('[ERROR]')) == n, 10, fault)  # noqa: B023
            assert FAULTS[fault] in process.lines_with('[ERROR]')[-1]
            seen.wait_for(ERROR, 'no images from the camera: source')
            assert seen.status().hardware_id == '0'
            still = len(seen.images)
            # It is opened again every second, which leaves no device open and logs nothing more.
            wait_until(lambda: process.counts['open'] == 0, 5, 'closed')
            assert len(seen.images) == still
            process.set_state('good')
            wait_until(
                lambda: len(process.lines_with("'0' is back")) == n, 10, 'back')  # noqa: B023
            assert len(process.lines_with('[ERROR]')) == n, process.text
        seen.wait_for_more()
        wait_until(lambda: process.counts == {'open': 1, 'stuck': 0, 'readers': 1}, 10, 'one')

        # A single undecodable image is skipped.
        process.set_state('spoilt')
        seen.wait_for(WARN, 'images fail: ')
        seen.wait_for_more(30)
        line = 'an empty image; this image and later ones like it are'
        assert len(process.lines_with(line)) == 1
        assert len(process.lines_with('[ERROR]')) == n
        assert {*seen.images} == {(640, 480, 'bgr8', 640 * 480 * 3)}


def test_camera_is_reopened_when_a_read_hangs(seen, tmp_path):
    with virtual_camera_node(tmp_path, 'source:=0', hangs=HANGS, number=signal.SIGTERM) as process:
        seen.wait_for_more()
        process.set_state('stuck')
        process.wait_for("source '0' hangs: no answer for 3 s; opening it again in another thread")
        wait_until(lambda: process.counts['readers'] == 2, 10, 'another thread')
        seen.wait_for(ERROR, 'no images from the camera: source')
        process.set_state('good')  # another device of the same name; the first one stays stuck
        seen.wait_for_more()
        assert len(process.lines_with('[ERROR]')) == len(process.lines_with("'0' is back")) == 1
        wait_until(lambda: process.counts == {'open': 2, 'stuck': 1, 'readers': 2}, 10, 'two')

        # A second thread that hangs is not abandoned as well: threads do not accumulate.
        process.set_state('stuck')
        wait_until(lambda: len(process.lines_with('hangs')) == 2, 10, 'the second')
        seen.wait_for(ERROR, 'hangs')
        wait_until(lambda: process.counts == {'open': 2, 'stuck': 2, 'readers': 2}, 10, 'both')

        process.set_state('loose')
        seen.wait_for_more()
        wait_until(lambda: process.counts == {'open': 1, 'stuck': 0, 'readers': 1}, 10, 'closed')
        assert len(process.lines_with("'0' is back")) == 2

        process.set_state('stuck')
        wait_until(lambda: process.counts['readers'] == 2, 10, 'another thread')


def test_signal_while_a_read_hangs_shuts_down_in_order(seen, tmp_path):
    with virtual_camera_node(tmp_path, 'source:=0') as process:
        seen.wait_for_more()
        process.set_state('stuck')
        wait_until(lambda: process.counts['stuck'] == 1, 10, 'a read that hangs')
