from gaze_ros.core.pipeline import synchronizer
from gaze_ros.core.pipeline.synchronizer import ExactTimeSynchronizer, TimeoutSynchronizer
import pytest


def test_pairs_whichever_comes_first():
    matcher = ExactTimeSynchronizer()
    assert matcher.add_image((1, 0), 'p') is None
    assert matcher.add_result((1, 0), 'r') == ('p', 'r')
    assert matcher.add_result((2, 0), 'r2') is None
    assert matcher.add_image((2, 0), 'p2') == ('p2', 'r2')


def test_another_stamp_is_no_match():
    matcher = ExactTimeSynchronizer()
    matcher.add_image(1, 'p')
    assert matcher.add_result(2, 'r') is None
    assert matcher.add_image(3, 'p') is None


def test_a_pair_is_given_once():
    matcher = ExactTimeSynchronizer()
    matcher.add_image(1, 'p')
    assert matcher.add_result(1, 'r')
    assert matcher.add_result(1, 'r') is None


def test_the_newer_of_two_with_one_stamp_counts():
    matcher = ExactTimeSynchronizer()
    matcher.add_image(1, 'old')
    matcher.add_image(1, 'new')
    assert matcher.add_result(1, 'r') == ('new', 'r')


@pytest.mark.parametrize('left', ['picture', 'result'])
@pytest.mark.parametrize('completed_by', ['picture', 'result'])
def test_a_pair_drops_everything_older(left, completed_by):
    matcher = ExactTimeSynchronizer()
    add = {'picture': matcher.add_image, 'result': matcher.add_result}
    other = {'picture': 'result', 'result': 'picture'}
    add[left](1, 'old')
    add[other[completed_by]](2, 'x')
    assert add[completed_by](2, 'x') == ('x', 'x')
    assert add[other[left]](1, 'late') is None


def test_newer_pictures_outlive_a_pair():
    matcher = ExactTimeSynchronizer()
    for i in range(5):
        matcher.add_image(i, f'p{i}')
    assert matcher.add_result(2, 'r') == ('p2', 'r')
    assert matcher.add_result(4, 'r') == ('p4', 'r')


@pytest.mark.parametrize('kind', ['picture', 'result'])
def test_at_most_capacity_is_kept_and_the_oldest_goes(kind):
    matcher = ExactTimeSynchronizer(capacity=4)
    fill, ask = matcher.add_image, matcher.add_result
    if kind == 'result':
        fill, ask = ask, fill
    for i in range(10):
        fill(i, i)
    assert [ask(i, i) is not None for i in range(10)] == [False] * 6 + [True] * 4


@pytest.mark.parametrize('jump', [-10_000, 10_000, 0])
@pytest.mark.parametrize('first', ['picture', 'result'])
def test_stamps_that_jump_leave_nothing_behind(jump, first):
    matcher = ExactTimeSynchronizer()
    stamps = range(20_000, 20_010)
    for stamp in stamps[:5]:
        matcher.add_image(stamp, 'without a result')
    for stamp in stamps[5:]:
        matcher.add_result(stamp, 'without a picture')
    add = matcher.add_image, matcher.add_result
    one, other = add if first == 'picture' else add[::-1]
    for stamp in range(20_010 + jump, 20_013 + jump):
        one(stamp, 'x')
        assert other(stamp, 'x') == ('x', 'x')
    assert matcher.late == 0
    for stamp in stamps:
        assert matcher.add_image(stamp, 'p') is None
        assert matcher.add_result(stamp, 'r') == ('p', 'r'), 'what was left was taken for it'


def test_results_whose_picture_has_gone_are_counted():
    matcher = ExactTimeSynchronizer(capacity=3)
    for stamp in range(5):
        matcher.add_image(stamp, f'picture {stamp}')
    assert matcher.add_result(1, 'too late') is None
    assert matcher.late == 1
    assert matcher.add_result(3, 'in time') == ('picture 3', 'in time')
    assert matcher.add_result(9, 'early') is None
    assert matcher.late == 1


def test_as_many_pictures_are_kept_as_there_is_memory_for():
    matcher = ExactTimeSynchronizer()
    for nbytes, capacity in ((640 * 480 * 3, 277), (1, 300), (0, 300), (10**9, 4)):
        matcher.set_image_size(nbytes)
        assert matcher.capacity == capacity


@pytest.fixture
def companion(monkeypatch):
    """Return one, what it gave, and what sets the time."""
    now = [100.0]
    monkeypatch.setattr(synchronizer, 'monotonic', lambda: now[0])
    given = []
    return TimeoutSynchronizer(given.append), given, lambda seconds: now.__setitem__(0, 100.0 + seconds)


def test_results_wait_for_their_pictures_while_these_come(companion):
    one, given, at = companion
    for stamp in range(30):
        at(0.2 * stamp)
        one.add_result(stamp, f'r{stamp}')
        if stamp % 3 == 0:
            one.add_picture(stamp, f'p{stamp}', 1)
    assert given == [(f'p{stamp}', f'r{stamp}') for stamp in range(0, 30, 3)]


@pytest.mark.parametrize('what_comes', ['nothing', 'pictures with other stamps'])
def test_results_go_without_where_no_picture_is_theirs(companion, what_comes):
    one, given, at = companion
    for stamp in range(100):
        at(0.1 * stamp)
        if what_comes != 'nothing':
            one.add_picture(stamp + 0.5, 'another', 1)
        one.add_result(stamp, stamp)
    assert given == [(None, stamp) for stamp in range(11, 100)]
    # They come: the first one is that of a result given already.
    one.add_picture(99, 'late', 1)
    one.add_result(100, 100)
    one.add_picture(100, 'in time', 1)
    assert given[-2:] == [(None, 99), ('in time', 100)]


def test_a_bag_that_begins_again_is_no_reason_to_be_silent(companion):
    one, given, at = companion
    for stamp in (50, 51, 1, 2):
        one.add_picture(stamp, 'p', 1)
        one.add_result(stamp, stamp)
    assert [stamp for _, stamp in given] == [50, 51, 1, 2]
    at(9.0)
    for stamp in (3, 1, 2):
        one.add_result(stamp, stamp)
    assert [stamp for _, stamp in given] == [50, 51, 1, 2, 3, 1, 2]


def test_without_stamps_each_result_gets_the_picture_there_is(companion):
    one, given, at = companion
    one.add_result(0, 'r0')
    at(2.0)
    one.add_result(0, 'r1')
    for count in range(2, 5):
        one.add_picture(0, f'p{count}', 1)
        one.add_result(0, f'r{count}')
    assert given == [(None, 'r1'), ('p3', 'r2'), ('p4', 'r3')]
