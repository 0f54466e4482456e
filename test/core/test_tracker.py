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


def test_ids_start_with_a_letter_and_are_alphanumeric():
    ids = Tracker().update([at(400 * i) for i in range(12)], 0)
    assert len(set(ids)) == 12
    assert all(i[0].isalpha() and i.isalnum() and i.isascii() for i in ids)


def test_id_is_kept_while_the_face_moves_and_grows():
    tracker = Tracker()
    first = tracker.update([at(100)], 0)
    for i in range(1, 30):
        assert tracker.update([at(100 + 40 * i, size=100 + 5 * i)], i / 30) == first


def test_id_is_kept_without_overlap_of_a_small_fast_face():
    tracker = Tracker()
    assert tracker.update([at(10, size=10)], 0) == tracker.update([at(19.9, size=10)], 0.03)


@pytest.mark.parametrize(('gap', 'same'), [(0.25, True), (0.5, True), (0.75, False)])
def test_missed_face_keeps_its_id_up_to_the_timeout(gap, same):
    tracker = Tracker(timeout=0.5)
    first = tracker.update([at(100)], 0)
    assert tracker.update([], gap / 2) == []
    assert (tracker.update([at(105)], gap) == first) is same


@pytest.mark.parametrize('other', [at(350), at(100, size=350), at(100, size=25)])
def test_face_far_away_or_of_another_size_gets_a_new_id(other):
    tracker = Tracker()
    assert tracker.update([at(100)], 0) != tracker.update([other], 0.03)


def test_faces_keep_their_ids_in_any_order():
    tracker = Tracker()
    a, b = tracker.update([at(100), at(300)], 0)
    assert tracker.update([at(310), at(95)], 0.03) == [b, a]
    assert tracker.update([at(90), at(320)], 0.06) == [a, b]


def test_assignment_is_optimal_over_all_faces():
    """Each face alone would take the id of the one to its left."""
    tracker = Tracker()
    ids = tracker.update([at(0), at(60), at(120)], 0)
    assert tracker.update([at(50), at(110), at(170)], 0.03) == ids


def test_new_face_takes_no_existing_id():
    tracker = Tracker()
    a, = tracker.update([at(300)], 0)
    b, a_again = tracker.update([at(240), at(305)], 0.03)
    assert a_again == a
    assert b != a


def test_near_faces_win_over_far_ones():
    tracker = Tracker()
    a, b = tracker.update([at(0), at(300)], 0)
    new, a_again = tracker.update([at(-150), at(60)], 0.03)
    assert a_again == a
    assert new not in (a, b)


def test_equal_times_keep_the_id_and_teach_no_speed():
    tracker = Tracker()
    first = tracker.update([at(100)], 5.0)
    assert tracker.update([at(101)], 5.0) == first
    assert tracker.update([], 5.0) == []
    assert tracker.update([at(101)], 5.0) == first
    for i in range(1, 40):
        # Of each pair the second image is the older one.
        assert tracker.update([at(100 + 10 * i)], 5 + i / 30) == first
        assert tracker.update([at(100 + 10 * (i - 1))], 5 + i / 30) == first
    assert tracker._tracks[0].speed == pytest.approx([300, 0, 0], rel=0.01)


@given(st.lists(st.tuples(
    st.lists(st.tuples(st.floats(-100, 2000), st.floats(1, 500)), max_size=5),
    st.floats(0, 2)), max_size=12))
def test_ids_are_unique_and_not_reused_after_a_break(frames):
    tracker = Tracker()
    stamp, seen = 0.0, set()
    for faces, step in frames:
        last, stamp = stamp, stamp + step
        ids = tracker.update([at(x, size=size) for x, size in faces], stamp)
        assert len(ids) == len(set(ids)) == len(faces)
        if stamp - last > tracker.timeout:
            assert not seen & set(ids)
        seen |= set(ids)


def test_many_faces_keep_their_ids():
    tracker = Tracker()
    places = [(60 * i, 60 * j) for i in range(10) for j in range(6)]
    ids = tracker.update([at(x, y, 50) for x, y in places], 0)
    again = tracker.update([at(x + 20, y - 20, 50) for x, y in reversed(places)], 0.03)
    assert again == ids[::-1]


@pytest.mark.parametrize('size', [1.0, 0.2])
def test_one_pixel_face_keeps_its_id(size):
    tracker = Tracker()
    first = tracker.update([at(100, size=size)], 0)
    assert tracker.update([at(100.5, size=size)], 0.03) == first


def test_no_faces_give_no_ids():
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
def test_id_survives_half_a_second_without_detection(speed, stops, rate):
    tracker = Tracker()
    ids = set()
    for stamp in stamps(rate):
        x = 100 * speed * (min(stamp, 1.5) if stops else stamp)
        ids.update(tracker.update([] if 1.5 < stamp < 2.05 else [at(x)], stamp))
    assert len(ids) == 1


def test_approaching_face_keeps_its_id_without_detection():
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


def test_departed_track_does_not_drift_onto_others():
    tracker = Tracker()
    for stamp in stamps(30, seconds=1):
        first = tracker.update([at(300 * stamp)], stamp)
    assert tracker.update([at(900)], 1.9) != first


def test_new_face_does_not_take_the_id_of_a_detected_one():
    tracker = Tracker()
    _, seen = tracker.update([at(30), at(120)], 0)
    for stamp in (0.1, 0.2, 0.3):
        assert tracker.update([at(120)], stamp) == [seen]
    ids = tracker.update([at(120), at(215)], 0.4)
    assert ids == [seen, 'f3']


def test_detected_face_keeps_its_id_while_another_passes_behind():
    noise = np.random.default_rng(4)
    tracker = Tracker()
    for stamp in stamps(30, seconds=1):
        ids = tracker.update([at(noise.normal(0, 4)), at(100 * (stamp - 1.3))], stamp)
    for stamp in 1 + stamps(30, seconds=0.6):
        assert tracker.update([at(noise.normal(0, 4))], stamp) == ids[:1]


def test_gradually_covered_face_keeps_its_id():
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


def test_low_scores_continue_a_track_and_move_it():
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
    """Lowering min_score or the light leaves no ghost tracks."""
    tracker, ids = trusted()
    found = [tracker.update([at(100, score=0.4)], 1 + i / 30, 0.65) for i in range(60)]
    assert found[:5] == [ids] * 5
    assert found[20:] == [[None]] * 40


def test_track_with_intermittent_good_scores_is_not_continued_by_low_ones():
    tracker = Tracker()
    found = [tracker.update([at(100, score=0.4 if i % 2 else 0.7)], i / 30, 0.65)[0]
             for i in range(60)]
    assert found == ['f1', None] * 30


def test_good_score_wins_over_a_nearer_low_one():
    tracker, ids = trusted()
    assert tracker.update([at(100, score=0.6), at(130)], 1.0, 0.65) == [None, *ids]


def test_low_score_does_not_revive_a_track_missing_in_the_last_image():
    """It is more often another person, who hides the first one."""
    tracker, ids = trusted()
    tracker.update([], 1.0, 0.65)
    assert tracker.update([at(100, score=0.6)], 1.03, 0.65) == [None]
    assert tracker.update([at(100)], 1.07, 0.65) == ids


@given(st.lists(st.tuples(
    st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(0, 2e3), st.floats(0, 1)), max_size=6),
    st.one_of(st.floats(0, 1.5), st.just(5e-324))), max_size=12))
def test_state_is_valid_for_any_faces_and_stamps(frames):
    tracker = Tracker()
    stamp, seen = 0.0, {}
    for faces, step in frames:
        stamp += step
        ids = tracker.update([at(x, size=s, score=c) for x, s, c in faces], stamp, 0.5)
        found = [i for i in ids if i]
        assert len(ids) == len(faces)
        assert len(found) == len(set(found))
        assert all(i or c < 0.5 for i, (_, _, c) in zip(ids, faces))
        assert all(stamp - seen[i] <= tracker.timeout for i in found if i in seen)
        seen.update(dict.fromkeys(found, stamp))
        for track in tracker._tracks:
            assert np.isfinite(
                [*track.position, *track.speed, *track.expected_motion(stamp + 1)]).all()
            assert stamp - track.last_seen <= tracker.timeout


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


@pytest.mark.parametrize(
    'prefix,expected', [('f', 'f1'), ('front_', 'front_1'), ('cam2', 'cam2_1')])
def test_ids_start_with_the_prefix_and_digits_are_separated(prefix, expected):
    assert Tracker(prefix=prefix).update([Face((9, 9, 50, 50), 0.9)], 0.0) == [expected]


def test_change_of_image_size_starts_new_tracks():
    tracker = Tracker()
    assert tracker.update([at(100)], 0.0, shape=(480, 640)) == ['f1']
    assert tracker.update([at(100)], 0.1, shape=(480, 640)) == ['f1']
    assert tracker.update([at(100)], 0.2, shape=(240, 320)) == ['f2']
    assert tracker.update([at(100)], 0.3, shape=(240, 320)) == ['f2']
