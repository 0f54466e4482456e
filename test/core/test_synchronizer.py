from gaze_ros.core.pipeline import synchronizer as module
from gaze_ros.core.pipeline.synchronizer import ExactTimeSynchronizer, TimeoutSynchronizer
import pytest


def test_image_and_result_pair_in_either_order():
    synchronizer = ExactTimeSynchronizer()
    assert synchronizer.add_image((1, 0), 'p') is None
    assert synchronizer.add_result((1, 0), 'r') == ('p', 'r')
    assert synchronizer.add_result((2, 0), 'r2') is None
    assert synchronizer.add_image((2, 0), 'p2') == ('p2', 'r2')


def test_different_stamps_do_not_pair():
    synchronizer = ExactTimeSynchronizer()
    synchronizer.add_image(1, 'p')
    assert synchronizer.add_result(2, 'r') is None
    assert synchronizer.add_image(3, 'p') is None


def test_pair_is_returned_once():
    synchronizer = ExactTimeSynchronizer()
    synchronizer.add_image(1, 'p')
    assert synchronizer.add_result(1, 'r')
    assert synchronizer.add_result(1, 'r') is None


def test_newer_of_two_images_with_equal_stamps_is_used():
    synchronizer = ExactTimeSynchronizer()
    synchronizer.add_image(1, 'old')
    synchronizer.add_image(1, 'new')
    assert synchronizer.add_result(1, 'r') == ('new', 'r')


@pytest.mark.parametrize('left', ['image', 'result'])
@pytest.mark.parametrize('completed_by', ['image', 'result'])
def test_pair_drops_everything_older(left, completed_by):
    synchronizer = ExactTimeSynchronizer()
    add = {'image': synchronizer.add_image, 'result': synchronizer.add_result}
    other = {'image': 'result', 'result': 'image'}
    add[left](1, 'old')
    add[other[completed_by]](2, 'x')
    assert add[completed_by](2, 'x') == ('x', 'x')
    assert add[other[left]](1, 'late') is None


def test_newer_images_are_kept_after_a_pair():
    synchronizer = ExactTimeSynchronizer()
    for i in range(5):
        synchronizer.add_image(i, f'p{i}')
    assert synchronizer.add_result(2, 'r') == ('p2', 'r')
    assert synchronizer.add_result(4, 'r') == ('p4', 'r')


@pytest.mark.parametrize('kind', ['image', 'result'])
def test_capacity_is_respected_and_the_oldest_is_dropped(kind):
    synchronizer = ExactTimeSynchronizer(capacity=4)
    fill, ask = synchronizer.add_image, synchronizer.add_result
    if kind == 'result':
        fill, ask = ask, fill
    for i in range(10):
        fill(i, i)
    assert [ask(i, i) is not None for i in range(10)] == [False] * 6 + [True] * 4


@pytest.mark.parametrize('jump', [-10_000, 10_000, 0])
@pytest.mark.parametrize('first', ['image', 'result'])
def test_stamp_jumps_leave_no_stale_items(jump, first):
    synchronizer = ExactTimeSynchronizer()
    stamps = range(20_000, 20_010)
    for stamp in stamps[:5]:
        synchronizer.add_image(stamp, 'without a result')
    for stamp in stamps[5:]:
        synchronizer.add_result(stamp, 'without an image')
    add = synchronizer.add_image, synchronizer.add_result
    one, other = add if first == 'image' else add[::-1]
    for stamp in range(20_010 + jump, 20_013 + jump):
        one(stamp, 'x')
        assert other(stamp, 'x') == ('x', 'x')
    assert synchronizer.late == 0
    for stamp in stamps:
        assert synchronizer.add_image(stamp, 'p') is None
        assert synchronizer.add_result(stamp, 'r') == ('p', 'r'), 'paired with a stale item'


def test_results_whose_image_was_dropped_are_counted():
    synchronizer = ExactTimeSynchronizer(capacity=3)
    for stamp in range(5):
        synchronizer.add_image(stamp, f'image {stamp}')
    assert synchronizer.add_result(1, 'too late') is None
    assert synchronizer.late == 1
    assert synchronizer.add_result(3, 'in time') == ('image 3', 'in time')
    assert synchronizer.add_result(9, 'early') is None
    assert synchronizer.late == 1


def test_capacity_depends_on_image_size():
    synchronizer = ExactTimeSynchronizer()
    for nbytes, capacity in ((640 * 480 * 3, 277), (1, 300), (0, 300), (10**9, 4)):
        synchronizer.set_image_size(nbytes)
        assert synchronizer.capacity == capacity


@pytest.fixture
def timed(monkeypatch):
    """Return a TimeoutSynchronizer, its callbacks' arguments, and a function to set the time."""
    now = [100.0]
    monkeypatch.setattr(module, 'monotonic', lambda: now[0])
    given = []

    def set_time(seconds):
        now[0] = 100.0 + seconds

    return TimeoutSynchronizer(given.append), given, set_time


def test_results_wait_while_images_arrive(timed):
    sync, given, set_time = timed
    for stamp in range(30):
        set_time(0.2 * stamp)
        sync.add_result(stamp, f'r{stamp}')
        if stamp % 3 == 0:
            sync.add_image(stamp, f'p{stamp}', 1)
    assert given == [(f'p{stamp}', f'r{stamp}') for stamp in range(0, 30, 3)]


@pytest.mark.parametrize('arriving', ['nothing', 'images with other stamps'])
def test_results_pass_without_image_after_the_timeout(timed, arriving):
    sync, given, set_time = timed
    for stamp in range(100):
        set_time(0.1 * stamp)
        if arriving != 'nothing':
            sync.add_image(stamp + 0.5, 'another', 1)
        sync.add_result(stamp, stamp)
    assert given == [(None, stamp) for stamp in range(11, 100)]
    # Images arrive: the result of the first one was already passed on.
    sync.add_image(99, 'late', 1)
    sync.add_result(100, 100)
    sync.add_image(100, 'in time', 1)
    assert given[-2:] == [(None, 99), ('in time', 100)]


def test_restarted_bag_is_paired_again(timed):
    sync, given, set_time = timed
    for stamp in (50, 51, 1, 2):
        sync.add_image(stamp, 'p', 1)
        sync.add_result(stamp, stamp)
    assert [stamp for _, stamp in given] == [50, 51, 1, 2]
    set_time(9.0)
    for stamp in (3, 1, 2):
        sync.add_result(stamp, stamp)
    assert [stamp for _, stamp in given] == [50, 51, 1, 2, 3, 1, 2]


def test_zero_stamps_pair_with_the_latest_image(timed):
    sync, given, set_time = timed
    sync.add_result(0, 'r0')
    set_time(2.0)
    sync.add_result(0, 'r1')
    for count in range(2, 5):
        sync.add_image(0, f'p{count}', 1)
        sync.add_result(0, f'r{count}')
    assert given == [(None, 'r1'), ('p3', 'r2'), ('p4', 'r3')]
