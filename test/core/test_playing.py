"""Playing a source: who waits for whom, and what is said at its end."""
import math
from threading import enumerate as threads
from threading import Event
import time

from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.sources import capture_thread, open_source
from gaze_ros.core.sources import player as playing
from gaze_ros.core.sources.player import Player, wait_for_subscribers
from helpers.processes import save_sample, wait_until
import numpy as np
import pytest

PICTURE = np.zeros((48, 64, 3), np.uint8)


def test_the_end_of_a_file_tells_of_its_own_pictures(tmp_path, caplog):
    caplog.set_level('INFO')
    stage, ends, failures = StageStats('Camera'), [], []
    player = Player(
        open_source(str(save_sample(tmp_path / 'a.avi', 'MJPG', 100.0, 5))), stage,
        lambda picture, source, reading: stage.processed(), lambda: '', lambda: ends.append(1),
        failures.append)
    player.start()
    wait_until(lambda: "a.avi' is at its end after 5 frames" in caplog.text, 20, 'the first end')
    player.replace(open_source(str(save_sample(tmp_path / 'b.avi', 'MJPG', 100.0, 3))))
    wait_until(lambda: "b.avi' is at its end after 3 frames" in caplog.text, 20, 'the second end')
    player.request_stop()
    assert player.join(5.0)
    player.close()
    assert failures == [] and stage.rate.count == 8


def test_nobody_waits_for_what_is_there_and_who_is_woken_does_not_start():
    woken = Event()
    words = iter(['one', 'two', ''])
    assert wait_for_subscribers(lambda: next(words), woken)
    woken.set()
    assert not wait_for_subscribers(lambda: 'one', woken)


class Hanging:
    """A source of the test: one picture, and then it hangs until released."""

    name, count, taken, loop = 'hanging', 0, math.nan, False

    def __init__(self, rate):
        self.rate = rate
        self.released, self.closed = Event(), Event()
        self._read = False

    def read(self):
        if self._read:
            self.released.wait(60)
        self._read = True
        return PICTURE

    def close(self):
        self.closed.set()


class HangingCamera(Hanging):
    """A live one; the next ones hang from their first picture on."""

    def __init__(self):
        super().__init__(0.0)
        self.others = []

    def anew(self):
        other = HangingCamera()
        other._read, other.others = True, self.others
        self.others.append(other)
        return other


@pytest.fixture
def play(monkeypatch):
    """Return what plays a source until the end of the test; a read hangs after 0.2 s."""
    monkeypatch.setattr(capture_thread, 'HANG_TIMEOUT', 0.2)
    monkeypatch.setattr(capture_thread, '_LOOK', 0.02)
    monkeypatch.setattr(playing, '_RETRY', 0.02)
    players, failures = [], []

    def start(source):
        stage = StageStats('Camera')
        players.append(Player(
            source, stage, lambda picture, source, reading: stage.processed(), lambda: '',
            lambda: None, failures.append))
        players[-1].start()
        return players[-1], stage

    yield start
    for player in players:
        player.request_stop()
        assert player.join(5.0)
        player.close()
    assert failures == []


def test_a_file_that_hangs_is_waited_for_and_told_once(play, caplog):
    source = Hanging(100.0)
    player, stage = play(source)
    wait_until(lambda: 'hangs' in player.failure, 10, 'hangs')
    assert stage.rate.count == 1 and 'hanging' in player.failure
    source.released.set()
    wait_until(lambda: stage.rate.count > 5, 10, 'pictures')
    assert player.source is source and player.failure == '' and not source.closed.is_set()
    assert caplog.text.count("'hanging' hangs: no answer for") == 1


def test_another_source_does_not_wait_for_one_that_hangs(play, tmp_path):
    source = Hanging(100.0)
    player, stage = play(source)
    wait_until(lambda: 'hangs' in player.failure, 10, 'hangs')
    player.replace(open_source('sample'))
    wait_until(lambda: stage.rate.count > 5, 10, 'pictures')
    assert player.source.name == 'sample' and player.failure == ''
    source.released.set()
    assert source.closed.wait(10)


def test_readers_that_hang_do_not_pile_up(play):
    first = HangingCamera()
    _, stage = play(first)
    wait_until(lambda: first.others, 10, 'opened anew')
    wait_until(lambda: stage.dropped >= 2, 10, 'the second hangs, too')
    time.sleep(0.5)
    assert len(first.others) == 1 and sum(t.name == 'camera' for t in threads()) == 2
    first.released.set()
    assert first.closed.wait(10)
    wait_until(lambda: len(first.others) == 2, 10, 'the third')
    for camera in first.others:
        camera.released.set()


def test_a_call_that_ends_as_it_is_told_of_is_left_to_go_on(monkeypatch):
    monkeypatch.setattr(capture_thread, 'HANG_TIMEOUT', 0.2)
    monkeypatch.setattr(capture_thread, '_LOOK', 0.02)
    released, next_one, done, taken = Event(), Event(), Event(), []

    def run(turn):
        turn.call(lambda: released.wait(60))
        turn.call(lambda: next_one.set() or done.wait(60))

    def hangs(turn):
        capture_thread.HANG_TIMEOUT = 60.0
        released.set()
        next_one.wait(60)

    one = capture_thread.CaptureWatchdog(run, hangs, lambda turn: taken.append(turn) or True)
    one.start()
    assert next_one.wait(20)
    one.stop()
    done.set()
    assert one.join(20)
    assert taken == []


def test_a_looped_file_that_vanishes_is_told_once_and_waited_for(play, tmp_path, caplog):
    path = save_sample(tmp_path / 'a.avi', 'MJPG', 100.0, 5)
    player, stage = play(open_source(str(path), loop=True))
    wait_until(lambda: stage.rate.count > 10, 20, 'pictures')
    path.rename(tmp_path / 'b.avi')
    wait_until(lambda: stage.dropped > 5, 20, 'tries')
    assert 'not there' in player.failure
    (tmp_path / 'b.avi').rename(path)
    count = stage.rate.count
    wait_until(lambda: stage.rate.count > count + 5, 20, 'pictures')
    assert caplog.text.count('not there') == 1


def test_whatever_a_source_raises_costs_a_try_only(play, caplog):
    source = open_source('sample')
    read, errors = source.read, [OSError('no disk'), ValueError('no sense'), MemoryError()]
    source.read = lambda: (_ for _ in ()).throw(errors.pop()) if errors else read()
    _, stage = play(source)
    wait_until(lambda: stage.rate.count > 3, 20, 'pictures')
    assert stage.dropped == 3 and caplog.text.count('trying again') == 1
