from gaze_ros.core.matching import StampMatcher
import pytest


def test_pairs_whichever_comes_first():
    matcher = StampMatcher()
    assert matcher.add_picture((1, 0), 'p') is None
    assert matcher.add_result((1, 0), 'r') == ('p', 'r')
    assert matcher.add_result((2, 0), 'r2') is None
    assert matcher.add_picture((2, 0), 'p2') == ('p2', 'r2')


def test_another_stamp_is_no_match():
    matcher = StampMatcher()
    matcher.add_picture(1, 'p')
    assert matcher.add_result(2, 'r') is None
    assert matcher.add_picture(3, 'p') is None


def test_a_pair_is_given_once():
    matcher = StampMatcher()
    matcher.add_picture(1, 'p')
    assert matcher.add_result(1, 'r')
    assert matcher.add_result(1, 'r') is None


def test_the_newer_of_two_with_one_stamp_counts():
    matcher = StampMatcher()
    matcher.add_picture(1, 'old')
    matcher.add_picture(1, 'new')
    assert matcher.add_result(1, 'r') == ('new', 'r')


@pytest.mark.parametrize('left', ['picture', 'result'])
@pytest.mark.parametrize('completed_by', ['picture', 'result'])
def test_a_pair_drops_everything_older(left, completed_by):
    matcher = StampMatcher()
    add = {'picture': matcher.add_picture, 'result': matcher.add_result}
    other = {'picture': 'result', 'result': 'picture'}
    add[left](1, 'old')
    add[other[completed_by]](2, 'x')
    assert add[completed_by](2, 'x') == ('x', 'x')
    assert add[other[left]](1, 'late') is None


def test_newer_pictures_outlive_a_pair():
    matcher = StampMatcher()
    for i in range(5):
        matcher.add_picture(i, f'p{i}')
    assert matcher.add_result(2, 'r') == ('p2', 'r')
    assert matcher.add_result(4, 'r') == ('p4', 'r')


@pytest.mark.parametrize('kind', ['picture', 'result'])
def test_at_most_capacity_is_kept_and_the_oldest_goes(kind):
    matcher = StampMatcher(capacity=4)
    fill, ask = matcher.add_picture, matcher.add_result
    if kind == 'result':
        fill, ask = ask, fill
    for i in range(10):
        fill(i, i)
    assert [ask(i, i) is not None for i in range(10)] == [False] * 6 + [True] * 4


def test_results_whose_picture_has_gone_are_counted():
    matcher = StampMatcher(capacity=3)
    for stamp in range(5):
        matcher.add_picture(stamp, f'picture {stamp}')
    assert matcher.add_result(1, 'too late') is None
    assert matcher.late == 1
    assert matcher.add_result(3, 'in time') == ('picture 3', 'in time')
    assert matcher.add_result(9, 'early') is None
    assert matcher.late == 1
