"""Playing a source: who waits for whom, and what is said at its end."""
from threading import Event

from gaze_ros.core.sources import open_source
from gaze_ros.core.sources.playing import Player, wait_for
from gaze_ros.core.stage import Stage
from support import save_sample, wait_until


def test_the_end_of_a_file_tells_of_its_own_pictures(tmp_path, caplog):
    caplog.set_level('INFO')
    stage, ends, failures = Stage('Camera'), [], []
    player = Player(
        open_source(str(save_sample(tmp_path / 'a.avi', 'MJPG', 100.0, 5))), stage,
        lambda picture, source, reading: stage.done(), lambda: '', lambda: ends.append(1),
        failures.append)
    player.begin()
    wait_until(lambda: "a.avi' is at its end after 5 frames" in caplog.text, 20, 'the first end')
    player.replace(open_source(str(save_sample(tmp_path / 'b.avi', 'MJPG', 100.0, 3))))
    wait_until(lambda: "b.avi' is at its end after 3 frames" in caplog.text, 20, 'the second end')
    player.end()
    assert player.join(5.0)
    player.close()
    assert failures == [] and stage.rate.count == 8


def test_nobody_waits_for_what_is_there_and_who_is_woken_does_not_start():
    woken = Event()
    words = iter(['one', 'two', ''])
    assert wait_for(lambda: next(words), woken)
    woken.set()
    assert not wait_for(lambda: 'one', woken)
