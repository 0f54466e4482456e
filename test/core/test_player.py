"""Playing a source: waiting for subscribers, hanging reads, failures and the end."""
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

IMAGE = np.zeros((48, 64, 3), np.uint8)


def test_end_of_a_file_counts_its_own_images(tmp_path, caplog):
    caplog.set_level('INFO')
    stats, ends, failures = StageStats('Camera'), [], []
    player = Player(
        open_source(str(save_sample(tmp_path / 'a.avi', 'MJPG', 100.0, 5))), stats,
        lambda *_: True, lambda image, source, read_time: stats.processed(), lambda: '',
        lambda: ends.append(1), failures.append)
    player.start()
    wait_until(lambda: "a.avi' is at its end after 5 frames" in caplog.text, 20, 'the first end')
    player.replace(open_source(str(save_sample(tmp_path / 'b.avi', 'MJPG', 100.0, 3))))
    wait_until(lambda: "b.avi' is at its end after 3 frames" in caplog.text, 20, 'the second end')
    player.request_stop()
    assert player.join(20.0)
    player.close()
    assert failures == [] and stats.rate.count == 8


def test_wait_for_subscribers_returns_when_complete_or_woken():
    woken = Event()
    missing = iter(['one', 'two', ''])
    assert wait_for_subscribers(lambda: next(missing), woken)
    woken.set()
    assert not wait_for_subscribers(lambda: 'one', woken)


class Hanging:
    """A test source: one image, then it hangs until released."""

    name, count, loop = 'hanging', 0, False
    capture_time = stamp = math.nan

    def __init__(self, rate):
        self.rate = rate
        self.released, self.closed = Event(), Event()
        self._grabbed = False

    def grab(self):
        if self._grabbed:
            self.released.wait(60)
        self._grabbed = True
        return True

    def retrieve(self):
        return IMAGE

    def close(self):
        self.closed.set()


class HangingCamera(Hanging):
    """A live source; reopened ones hang from their first read on."""

    def __init__(self):
        super().__init__(0.0)
        self.others = []

    def reopened(self):
        other = HangingCamera()
        other._grabbed, other.others = True, self.others
        self.others.append(other)
        return other


@pytest.fixture
def play(monkeypatch):
    """Return a function that plays a source during the test."""
    monkeypatch.setattr(capture_thread, 'HANG_TIMEOUT', 60.0)
    monkeypatch.setattr(capture_thread, '_CHECK_PERIOD', 0.02)
    monkeypatch.setattr(playing, '_RETRY_PERIOD', 0.02)
    players, failures = [], []

    def start(source, wanted=lambda *_: True):
        stats = StageStats('Camera')
        players.append(Player(
            source, stats, wanted, lambda image, source, read_time: stats.processed(),
            lambda: '', lambda: None, failures.append))
        players[-1].start()
        return players[-1], stats

    yield start
    for player in players:
        player.request_stop()
        assert player.join(20.0)
        player.close()
    assert failures == []


@pytest.fixture
def play_hanging(play, monkeypatch):
    """Return a function that plays a source until it hangs, and one that sets the timeout.

    The timeout is short only while a read hangs on purpose: a slow one must not count as hanging.
    """
    def set_timeout(seconds):
        monkeypatch.setattr(capture_thread, 'HANG_TIMEOUT', seconds)

    def start(source):
        player, stats = play(source)
        wait_until(lambda: stats.rate.count == 1, 20, 'the first image')
        set_timeout(0.2)
        return player, stats

    return start, set_timeout


def test_hanging_file_is_waited_for_and_logged_once(play_hanging, caplog):
    start, set_timeout = play_hanging
    source = Hanging(100.0)
    player, stats = start(source)
    wait_until(lambda: 'hangs' in player.failure, 20, 'hangs')
    assert stats.rate.count == 1 and 'hanging' in player.failure
    set_timeout(60.0)
    source.released.set()
    wait_until(lambda: stats.rate.count > 5, 20, 'images')
    assert player.source is source and player.failure == '' and not source.closed.is_set()
    assert caplog.text.count("'hanging' hangs: no answer for") == 1


def test_hanging_source_can_be_replaced(play_hanging):
    start, set_timeout = play_hanging
    source = Hanging(100.0)
    player, stats = start(source)
    wait_until(lambda: 'hangs' in player.failure, 20, 'hangs')
    player.replace(open_source('sample'))
    wait_until(lambda: stats.rate.count > 1, 20, 'the first image of the other')
    set_timeout(60.0)
    count = stats.rate.count
    wait_until(lambda: stats.rate.count > count + 3, 20, 'images')
    assert player.source.name == 'sample' and player.failure == ''
    source.released.set()
    assert source.closed.wait(20)


def test_hanging_threads_do_not_accumulate(play_hanging):
    start, set_timeout = play_hanging
    first = HangingCamera()
    _, stats = start(first)
    wait_until(lambda: first.others, 20, 'opened again')
    wait_until(lambda: stats.drop_count >= 2, 20, 'the second hangs, too')
    time.sleep(0.5)
    assert len(first.others) == 1 and sum(t.name == 'camera' for t in threads()) == 2
    first.released.set()
    assert first.closed.wait(20)
    wait_until(lambda: len(first.others) == 2, 20, 'the third')
    set_timeout(60.0)  # no fourth, which nobody would release
    for camera in first.others:
        camera.released.set()


def test_call_that_returns_while_reported_is_not_abandoned(monkeypatch):
    monkeypatch.setattr(capture_thread, 'HANG_TIMEOUT', 0.2)
    monkeypatch.setattr(capture_thread, '_CHECK_PERIOD', 0.02)
    released, next_one, done, taken = Event(), Event(), Event(), []

    def run(thread):
        thread.call(lambda: released.wait(60))
        thread.call(lambda: next_one.set() or done.wait(60))

    def on_hang(thread):
        capture_thread.HANG_TIMEOUT = 60.0
        released.set()
        next_one.wait(60)

    watchdog = capture_thread.CaptureWatchdog(
        run, on_hang, lambda thread: taken.append(thread) or True)
    watchdog.start()
    assert next_one.wait(20)
    watchdog.stop()
    done.set()
    assert watchdog.join(20)
    assert taken == []


def test_removed_looped_file_is_logged_once_and_waited_for(play, tmp_path, caplog):
    path = save_sample(tmp_path / 'a.avi', 'MJPG', 100.0, 5)
    player, stats = play(open_source(str(path), loop=True))
    wait_until(lambda: stats.rate.count > 10, 20, 'images')
    path.rename(tmp_path / 'b.avi')
    wait_until(lambda: stats.drop_count > 5, 20, 'tries')
    assert 'does not exist' in player.failure
    (tmp_path / 'b.avi').rename(path)
    count = stats.rate.count
    wait_until(lambda: stats.rate.count > count + 5, 20, 'images')
    assert caplog.text.count('does not exist') == 1


def test_read_is_retried_after_any_error(play, caplog):
    source = open_source('sample')
    grab, errors = source.grab, [OSError('no disk'), ValueError('no sense'), MemoryError()]
    source.grab = lambda: (_ for _ in ()).throw(errors.pop()) if errors else grab()
    _, stats = play(source)
    wait_until(lambda: stats.rate.count > 3, 20, 'images')
    assert stats.drop_count == 3 and caplog.text.count('trying again') == 1


def test_unwanted_images_are_grabbed_and_counted_but_not_retrieved(play):
    source, asked = open_source('sample', fps=100.0), []
    grabs, retrievals = [], []
    grab, retrieve = source.grab, source.retrieve
    source.grab = lambda: grabs.append(1) or grab()
    source.retrieve = lambda: retrievals.append(1) or retrieve()
    player, stats = play(source, lambda *times: asked.append(times) or len(asked) % 4 == 0)
    wait_until(lambda: len(grabs) >= 40, 20, 'images')
    player.request_stop()  # the counts are compared
    assert player.join(20.0)
    assert len(grabs) / 4 - 2 <= len(retrievals) <= len(grabs) / 4 + 1
    assert abs(stats.rate.count - len(grabs)) <= 2
    assert min(period for period, _ in asked) == pytest.approx(0.01)
    assert asked[0][1] == 0 < asked[-1][1], 'seconds of the last conversion'


def test_video_advances_over_images_that_are_not_retrieved(tmp_path):
    path = save_sample(tmp_path / 'a.avi', 'MJPG', 100.0, 6)
    every = open_source(str(path))
    images = [every.read() for _ in range(6)]
    some = open_source(str(path))
    assert [some.grab() for _ in range(3)] == [True] * 3
    assert (some.retrieve() == images[2]).all()
    assert (some.read() == images[3]).all()
    assert [some.grab() for _ in range(3)] == [True, True, False]
