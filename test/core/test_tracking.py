from gaze_ros.core.faces import Face
from gaze_ros.core.tracking import Tracker
from hypothesis import given
from hypothesis import strategies as st
import pytest


def at(x, y=100.0, size=100.0):
    return Face((x - size / 2, y - size / 2, size, size), 0.9)


def test_ids_start_with_a_letter_and_are_one_word():
    ids = Tracker().update([at(400 * i) for i in range(12)], 0)
    assert len(set(ids)) == 12
    assert all(i[0].isalpha() and i.isalnum() and i.isascii() for i in ids)


def test_id_stays_while_the_face_moves_and_grows():
    tracker = Tracker()
    first = tracker.update([at(100)], 0)
    for i in range(1, 30):
        assert tracker.update([at(100 + 40 * i, size=100 + 5 * i)], i / 30) == first


def test_id_stays_though_a_small_fast_face_overlaps_itself_no_more():
    tracker = Tracker()
    assert tracker.update([at(10, size=10)], 0) == tracker.update([at(19.9, size=10)], 0.03)


@pytest.mark.parametrize(('gap', 'same'), [(0.25, True), (0.5, True), (0.75, False)])
def test_missed_face_keeps_its_id_up_to_the_timeout(gap, same):
    tracker = Tracker(timeout=0.5)
    first = tracker.update([at(100)], 0)
    assert tracker.update([], gap / 2) == []
    assert (tracker.update([at(105)], gap) == first) is same


@pytest.mark.parametrize('other', [at(350), at(100, size=350), at(100, size=25)])
def test_face_elsewhere_or_of_another_size_is_somebody_else(other):
    tracker = Tracker()
    assert tracker.update([at(100)], 0) != tracker.update([other], 0.03)


def test_faces_keep_their_ids_whatever_their_order():
    tracker = Tracker()
    a, b = tracker.update([at(100), at(300)], 0)
    assert tracker.update([at(310), at(95)], 0.03) == [b, a]
    assert tracker.update([at(90), at(320)], 0.06) == [a, b]


def test_assignment_is_the_nearest_over_all_faces_at_once():
    """Each face alone would take the id of the one to its left."""
    tracker = Tracker()
    ids = tracker.update([at(0), at(60), at(120)], 0)
    assert tracker.update([at(50), at(110), at(170)], 0.03) == ids


def test_a_face_that_joins_takes_nobodys_id():
    tracker = Tracker()
    a, = tracker.update([at(300)], 0)
    b, a_again = tracker.update([at(240), at(305)], 0.03)
    assert a_again == a
    assert b != a


def test_near_faces_do_not_yield_to_far_ones():
    tracker = Tracker()
    a, b = tracker.update([at(0), at(300)], 0)
    new, a_again = tracker.update([at(-150), at(60)], 0.03)
    assert a_again == a
    assert new not in (a, b)


@pytest.mark.parametrize('stamp', [4.9, 0.0, -3.0])
def test_stamps_that_go_back_start_new_tracks(stamp):
    tracker = Tracker()
    first = tracker.update([at(100)], 5.0)
    second = tracker.update([at(100)], stamp)
    assert second != first
    assert tracker.update([at(100)], stamp + 0.03) == second


def test_stamps_that_go_back_forget_the_faces_missed_of_late_too():
    tracker = Tracker()
    first = tracker.update([at(100)], 5.0)
    tracker.update([], 5.25)
    assert tracker.update([at(100)], 5.125) != first


def test_the_same_stamp_twice_is_the_same_face():
    tracker = Tracker()
    assert tracker.update([at(100)], 5.0) == tracker.update([at(101)], 5.0)


@given(st.lists(st.tuples(
    st.lists(st.tuples(st.floats(-100, 2000), st.floats(1, 500)), max_size=5),
    st.floats(-1, 2)), max_size=12))
def test_no_two_faces_share_an_id_and_none_comes_back_after_a_break(frames):
    tracker = Tracker()
    stamp, seen = 0.0, set()
    for faces, step in frames:
        last, stamp = stamp, stamp + step
        ids = tracker.update([at(x, size=size) for x, size in faces], stamp)
        assert len(ids) == len(set(ids)) == len(faces)
        if not 0 <= stamp - last <= tracker.timeout:
            assert not seen & set(ids)
        seen |= set(ids)


def test_many_faces_keep_their_ids():
    tracker = Tracker()
    places = [(60 * i, 60 * j) for i in range(10) for j in range(6)]
    ids = tracker.update([at(x, y, 50) for x, y in places], 0)
    again = tracker.update([at(x + 20, y - 20, 50) for x, y in reversed(places)], 0.03)
    assert again == ids[::-1]


@pytest.mark.parametrize('size', [1.0, 0.2])
def test_a_face_of_one_pixel_keeps_its_id(size):
    tracker = Tracker()
    first = tracker.update([at(100, size=size)], 0)
    assert tracker.update([at(100.5, size=size)], 0.03) == first


def test_no_face_is_no_id():
    tracker = Tracker()
    assert tracker.update([], 0) == []
    assert tracker.update([], 0.03) == []
