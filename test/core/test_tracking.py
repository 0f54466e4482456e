import math

from gaze_ros.core.tracking.tracker import Tracker
from gaze_ros.core.types import Face
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest


def at(x, y=100.0, size=100.0, score=0.9):
    return Face((x - size / 2, y - size / 2, size, size), score)


def stamps(rate, regular=True, seconds=3.0):
    times = np.arange(0, seconds, 1 / rate)
    if not regular:
        times += np.random.default_rng(7).uniform(-0.4, 0.4, len(times)) / rate
    return times


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


@pytest.mark.parametrize('regular', [True, False])
@pytest.mark.parametrize('rate', [10, 30])
@pytest.mark.parametrize('seen', ['front', 'merged', 'none'])
@pytest.mark.parametrize(('speed', 'other', 'hidden'), [
    (1, -1, 0.5), (1.5, -1.5, 0.4), (2, -2, 0.3), (2, -0.5, 0.5), (3, 0, 0.3), (5, -5, 0.1)])
def test_ids_survive_a_crossing(speed, other, hidden, seen, rate, regular):
    """Speeds in face sizes a second; the detector finds one face, or none, for a while."""
    noise = np.random.default_rng(3)
    tracker = Tracker()
    found = set()
    for stamp in stamps(rate, regular):
        x, y = (100 * v * (stamp - 1.5) + noise.normal(0, 2) for v in (speed, other))
        if abs(stamp - 1.5) > hidden / 2:
            b, a = tracker.update([at(y, size=90), at(x)], stamp)
            found.add((a, b))
        else:
            tracker.update({'front': [at(x)], 'none': [],
                            'merged': [at((x + y) / 2, size=110)]}[seen], stamp)
    assert len(found) == 1


@pytest.mark.parametrize('rate', [10, 30])
@pytest.mark.parametrize('speed', [0, 1, 3, 5])
@pytest.mark.parametrize('stops', [True, False])
def test_id_survives_half_a_second_unseen(speed, stops, rate):
    tracker = Tracker()
    ids = set()
    for stamp in stamps(rate):
        x = 100 * speed * (min(stamp, 1.5) if stops else stamp)
        ids.update(tracker.update([] if 1.5 < stamp < 2.05 else [at(x)], stamp))
    assert len(ids) == 1


def test_a_face_that_comes_near_keeps_its_id_though_unseen():
    tracker = Tracker()
    ids = set()
    for stamp in stamps(30):
        face = at(100, size=40 * math.exp(0.8 * stamp))
        ids.update(tracker.update([] if 1.5 < stamp < 2.05 else [face], stamp))
    assert len(ids) == 1


@pytest.mark.parametrize('rate', [4, 10, 30])
def test_irregular_stamps_do_not_matter(rate):
    tracker = Tracker()
    ids = {i for t in stamps(rate, False) for i in tracker.update([at(150 * t)], t)}
    assert len(ids) == 1


def test_who_left_does_not_fly_away_and_take_others():
    tracker = Tracker()
    for stamp in stamps(30, seconds=1):
        first = tracker.update([at(300 * stamp)], stamp)
    assert tracker.update([at(900)], 1.9) != first


def test_a_new_face_takes_no_id_of_one_that_is_seen_though_another_was_lost():
    tracker = Tracker()
    _, seen = tracker.update([at(30), at(120)], 0)
    for stamp in (0.1, 0.2, 0.3):
        assert tracker.update([at(120)], stamp) == [seen]
    ids = tracker.update([at(120), at(215)], 0.4)
    assert ids == [seen, 'f3']


def test_who_is_seen_keeps_the_id_while_somebody_passes_behind():
    noise = np.random.default_rng(4)
    tracker = Tracker()
    for stamp in stamps(30, seconds=1):
        ids = tracker.update([at(noise.normal(0, 4)), at(100 * (stamp - 1.3))], stamp)
    for stamp in 1 + stamps(30, seconds=0.6):
        assert tracker.update([at(noise.normal(0, 4))], stamp) == ids[:1]


def test_a_face_that_is_covered_bit_by_bit_keeps_its_id():
    tracker = Tracker()
    first = tracker.update([at(100)], 0)
    for i in range(5):
        tracker.update([at(100, size=100 * 0.9 ** i)], 0.5 + i / 30)
    assert tracker.update([at(100)], 1.2) == first


def trusted(score=0.9):
    tracker = Tracker()
    for stamp in stamps(30, seconds=1):
        ids = tracker.update([at(100, score=score)], stamp, 0.65)
    return tracker, ids


def test_low_scores_go_on_with_a_track_and_move_it():
    tracker, ids = trusted()
    for i in range(6):
        assert tracker.update([at(100 + 30 * i, score=0.4)], 1 + i / 30, 0.65) == ids
    assert tracker.update([at(270)], 1.2, 0.65) == ids


def test_low_scores_start_no_track():
    tracker = Tracker()
    for stamp in stamps(10):
        assert tracker.update([at(100, score=0.64)], stamp, 0.65) == [None]
    assert tracker.update([at(100)], 3.0, 0.65) == ['f1']


def test_low_scores_do_not_last():
    """What is lowered live, min_score or the light, leaves no ghost."""
    tracker, ids = trusted()
    told = [tracker.update([at(100, score=0.4)], 1 + i / 30, 0.65) for i in range(60)]
    assert told[:5] == [ids] * 5
    assert told[20:] == [[None]] * 40


def test_what_has_a_good_score_at_times_only_goes_on_with_no_low_one():
    tracker = Tracker()
    told = [tracker.update([at(100, score=0.4 if i % 2 else 0.7)], i / 30, 0.65)[0]
            for i in range(60)]
    assert told == ['f1', None] * 30


def test_a_good_score_comes_before_a_low_one_that_is_nearer():
    tracker, ids = trusted()
    assert tracker.update([at(100, score=0.6), at(130)], 1.0, 0.65) == [None, *ids]


def test_a_low_score_does_not_bring_back_who_was_not_in_the_last_picture():
    """It is more often somebody else, who hides the first."""
    tracker, ids = trusted()
    tracker.update([], 1.0, 0.65)
    assert tracker.update([at(100, score=0.6)], 1.03, 0.65) == [None]
    assert tracker.update([at(100)], 1.07, 0.65) == ids


@given(st.lists(st.tuples(
    st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(0, 2e3), st.floats(0, 1)), max_size=6),
    st.one_of(st.floats(0, 1.5), st.just(5e-324))), max_size=12))
def test_any_faces_at_any_time(frames):
    tracker = Tracker()
    stamp, seen = 0.0, {}
    for faces, step in frames:
        stamp += step
        ids = tracker.update([at(x, size=s, score=c) for x, s, c in faces], stamp, 0.5)
        told = [i for i in ids if i]
        assert len(ids) == len(faces)
        assert len(told) == len(set(told))
        assert all(i or c < 0.5 for i, (_, _, c) in zip(ids, faces))
        assert all(stamp - seen[i] <= tracker.timeout for i in told if i in seen)
        seen.update(dict.fromkeys(told, stamp))
        for track in tracker._tracks:
            assert np.isfinite([*track.place, *track.speed, *track.moved(stamp + 1)]).all()
            assert stamp - track.seen <= tracker.timeout


@given(st.randoms(use_true_random=False), st.integers(0, 2**32 - 1))
def test_the_order_of_the_faces_does_not_matter(random, seed):
    places = np.random.default_rng(seed).uniform(0, 500, (5, 2))
    steps = np.random.default_rng(seed + 1).normal(0, 20, (8, 5, 2)).cumsum(axis=0)
    one, other = Tracker(), Tracker()
    assert one.update([at(*p) for p in places], 0) == other.update([at(*p) for p in places], 0)
    for i, now in enumerate(places + steps, 1):
        order = random.sample(range(5), 5)
        ids = one.update([at(*now[k]) for k in range(5)], i / 30)
        shuffled = other.update([at(*now[k]) for k in order], i / 30)
        known = {f'f{k}' for k in range(1, 6)}
        pairs = [(ids[k], j) for k, j in zip(order, shuffled)]
        assert all(a == b for a, b in pairs if {a, b} & known)


@pytest.mark.parametrize('prefix,told', [('f', 'f1'), ('front_', 'front_1'), ('cam2', 'cam2_1')])
def test_ids_begin_with_the_prefix_and_a_digit_in_it_is_told_from_the_number(prefix, told):
    assert Tracker(prefix=prefix).update([Face((9, 9, 50, 50), 0.9)], 0.0) == [told]


def test_while_stamps_stand_still_a_face_keeps_its_id_as_long_as_it_is_seen():
    tracker = Tracker()
    first = tracker.update([at(0)], 5.0)
    for count in range(1, 200):
        ids = tracker.update([at(0), at(10_000 * count)], 5.0)
        assert ids[0] == first[0]
        assert len(tracker) == 2, 'who left is kept for ever'
    assert tracker.ids_given == 200
    # Time goes on, and with it what goes by time.
    assert tracker.update([], 5.5) == []
    assert tracker.update([at(0)], 6.0) == first


def test_pictures_of_another_size_start_new_tracks():
    tracker = Tracker()
    assert tracker.update([at(100)], 0.0, shape=(480, 640)) == ['f1']
    assert tracker.update([at(100)], 0.1, shape=(480, 640)) == ['f1']
    assert tracker.update([at(100)], 0.2, shape=(240, 320)) == ['f2']
    assert tracker.update([at(100)], 0.3, shape=(240, 320)) == ['f2']
