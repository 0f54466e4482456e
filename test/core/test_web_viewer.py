"""What the curves and the timeline of the viewer show, and its page without a browser."""
import math
from urllib.request import urlopen

from gaze_ros.core.attention.attention import Attention, Target
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output.web_viewer import HISTORY, History, WebViewer
from gaze_ros.core.types import Face, FrameGaze, Gaze
import numpy as np
import pytest


def frame(*ids, yaw=0.1):
    return FrameGaze(640, 480, 'one', [
        Gaze(i, Face((10, 10, 50, 60), 0.9), 0.0, yaw, stddev=0.2, origin=np.array([0, 0, 1.0]),
             direction=np.array([0, 0, -1.0])) for i in ids])


def history(count, rate=10.0, start=100.0):
    one = History()
    for number in range(count):
        target = Target.CAMERA if number < count // 2 else Target.PERSON
        one.add(frame('f1', yaw=0.01 * number), [Attention('f1', target, 0, 'f2' * (
            target is Target.PERSON))], start + number / rate, 0.05)
    return one


def test_angles_are_those_of_the_last_seconds():
    one = history(1000)
    seconds, pitch, yaw, sigma = one.angles('f1')
    assert seconds[-1] == 0 and -HISTORY <= seconds[0] < 0.2 - HISTORY
    assert yaw[-1] == pytest.approx(math.degrees(9.99))
    assert (pitch == 0).all() and sigma == pytest.approx(math.degrees(0.2))
    assert np.isnan(one.angles('f9')[1:]).all()
    assert History().angles('f1').shape == (4, 0) and History().speed().shape == (3, 0)


def test_speed_is_the_number_of_images_in_the_last_second():
    _, rate, age = history(100).speed()
    assert abs(rate[-1] - 10) <= 1 and age == pytest.approx(50)


def test_stamps_that_jump_back_begin_a_new_history():
    one = history(20)
    one.add(frame('f2'), [], 50.0, math.nan)
    assert one.track_ids == ['f2']


def test_timeline_has_a_bar_for_each_target_and_escapes_ids():
    one = history(20)
    text = one.timeline()
    assert text.count('<rect') == 2 and '<title>camera</title>' in text and '>f2</title>' in text
    one.add(frame('<b>'), [Attention('<b>', Target.PERSON, 0, '<script>')], 103.0, 0.0)
    assert '<b>' not in one.timeline() and '<script>' not in one.timeline()
    assert '&lt;script&gt;' in one.timeline()
    assert History().timeline() == ''


@pytest.mark.parametrize(('port', 'host'), [(0, '127.0.0.1'), (99999, '127.0.0.1'),
                                            (8080, '203.0.113.5'), (8080, 'no.such.host.')])
def test_address_that_cannot_be_used_is_refused(port, host):
    pytest.importorskip('viser')
    with pytest.raises(GazeRosError, match=f'cannot listen on {host}:{port}'):
        WebViewer(port, host)


def test_page_is_served_on_this_machine_only_and_costs_nothing_unwatched():
    pytest.importorskip('viser')
    viewer = WebViewer(18080)
    try:
        assert viewer.url.startswith('http://127.0.0.1:')
        with urlopen(viewer.url, timeout=10) as page:
            assert b'<html' in page.read().lower()
        assert not viewer.watched
        viewer.show(None, frame('f1'), [], 1.0)  # an image would be drawn here
        second = WebViewer(18080)
        assert second.url != viewer.url
        second.close()
    finally:
        viewer.close()
