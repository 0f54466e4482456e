"""Calibration of a person: the fit, its limits, its file, and what it gains on real eyes."""
import csv
import io
import math
from zipfile import ZipFile

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.evaluation.evaluate import labelled_eyes
from gaze_ros.core.geometry.angular_error import confidence
from gaze_ros.core.geometry.camera_model import (
    angles_to_unit,
    gaze_direction,
    unit_to_angles,
    view_frame,
)
from gaze_ros.core.tracking.gaze_calibration import (
    direction_to,
    fit_correction,
    GazeCalibrations,
    GazeCorrection,
    load_correction,
    Look,
    MIN_SAMPLES,
    save_correction,
)
from gaze_ros.core.types import Estimate
from hypothesis import given, settings, strategies
import numpy as np
import pytest
import yaml

angles = strategies.floats(-0.35, 0.35)
seeds = strategies.integers(0, 2**32 - 1)
TOWARD_LENS = np.array([0.0, 0.0, 1.0])
#: Directions of three targets: pitch, yaw.
THREE = ((0.0, 0.0), (0.1, 0.25), (-0.15, -0.2))


def head(pitch=0.0, yaw=0.0, roll=0.0):
    """Return the rotation of a head: columns left, up, out."""
    out = angles_to_unit(pitch, yaw)
    left = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
    up = np.cross(out, left)
    c, s = math.cos(roll), math.sin(roll)
    return np.stack([c * left - s * up, c * up + s * left, out], axis=1)


def angle(a, b):
    return math.acos(float(np.clip(np.dot(a, b), -1, 1)))


def look_at(direction, offset, rng, count=60, noise=0.02, turn=0.5, glances=0.0, gain=1.0,
            heads=True):
    """Return a look of a person whose gaze in axes of the head is measured wrongly.

    :param gain: of the correction: true = gain x measured + offset.
    :param turn: the head turns from -turn to turn.
    """
    look = Look()
    for t in np.linspace(-1, 1, count):
        rotation = head(0.3 * turn * math.sin(5 * t), turn * t, 0.1 * t) if heads else None
        axes = np.eye(3) if rotation is None else rotation
        true = np.array(unit_to_angles(axes.T @ direction))
        measured = (true - offset) / gain + rng.normal(0, noise, 2)
        if rng.random() < glances:
            measured += rng.choice([-1, 1], 2) * rng.uniform(0.5, 0.9, 2)
        look.add(*unit_to_angles(axes @ angles_to_unit(*measured)), rotation, direction)
    return look


def median_error(correction, looks):
    """Return the median angle to the target, mean of the looks; correction None for none."""
    def errors(look):
        for gaze, true, rotation in zip(look.gazes, look.directions, look.rotations):
            pitch, yaw = unit_to_angles(gaze)
            if correction is not None:
                pitch, yaw = correction.apply(pitch, yaw, rotation)
            yield angle(angles_to_unit(pitch, yaw), true)
    return np.mean([np.median([*errors(look)]) for look in looks])


@settings(max_examples=30)
@given(angles, angles, seeds, strategies.floats(0, 0.3), strategies.booleans())
def test_an_offset_is_found_under_noise_and_glances_away(pitch, yaw, seed, glances, heads):
    offset = np.array([pitch, yaw])
    if np.hypot(*offset) < 0.06:
        offset += 0.06
    rng = np.random.default_rng(seed)
    looks = [look_at(angles_to_unit(*target), offset, rng, glances=glances, heads=heads)
             for target in THREE]
    correction = fit_correction(looks)
    others = [look_at(angles_to_unit(0.15, -0.1), offset, rng, noise=0.0, heads=heads)]
    # The prior keeps a part of the offset: 0.5 of the 3.5 looks of a head that is not known.
    assert median_error(correction, others) < 0.17 * np.hypot(*offset) + 0.02
    assert correction.head_frame is heads and correction.samples == 180
    assert correction.residual_before > correction.residual_after


@settings(max_examples=30)
@given(angles, angles, seeds, strategies.integers(1, 4), strategies.booleans(),
       strategies.floats(0, 0.6), strategies.floats(0.005, 0.15))
def test_an_accepted_fit_is_never_worse_on_its_own_data(
        pitch, yaw, seed, targets, heads, glances, noise):
    rng = np.random.default_rng(seed)
    looks = [look_at(angles_to_unit(*rng.uniform(-0.3, 0.3, 2)), np.array([pitch, yaw]), rng,
                     noise=noise, turn=rng.uniform(0, 0.6), glances=glances, heads=heads)
             for _ in range(targets)]
    try:
        correction = fit_correction(looks)
    except GazeRosError as e:
        assert any(words in str(e) for words in ('does not help', 'not at one point', 'degrees'))
        return
    before = median_error(None, looks)
    assert median_error(correction, looks) <= before
    assert correction.residual_before == pytest.approx(before)
    assert correction.residual_after < before
    assert 0.7 <= correction.stddev_factor <= 1


def test_gains_are_fitted_from_three_targets_on():
    rng = np.random.default_rng(1)
    for scale, targets, gain in ((1, 3, 1.25), (2.5, 3, 1.45), (1, 2, 1.0)):
        looks = [look_at(angles_to_unit(scale * p, scale * y), np.array([0.1, 0.02]), rng,
                         gain=1.5, turn=0.1) for p, y in THREE[:targets]]
        # The prior keeps it near 1 where the targets are close.
        assert fit_correction(looks).gain_yaw == pytest.approx(gain, abs=0.06)
    # Three looks at nearly the same point tell nothing about gains.
    looks = [look_at(angles_to_unit(0.0, y), np.array([0.1, 0.02]), rng) for y in (-.03, 0, .03)]
    assert fit_correction(looks).gain_yaw == 1.0


def test_gain_does_not_reach_beyond_its_targets():
    correction = GazeCorrection('m', False, 0.0, 0.0, gain_yaw=2.0, low_yaw=-0.2, high_yaw=0.2)
    assert correction.apply(0.0, 0.1)[1] == pytest.approx(0.2)
    assert correction.apply(0.0, 1.0)[1] == pytest.approx(1.2)
    assert correction.apply(0.0, -1.0)[1] == pytest.approx(-1.2)


@given(angles, angles, angles, angles, strategies.floats(-3, 3))
def test_offset_turns_with_the_head(pitch, yaw, head_pitch, head_yaw, roll):
    rotation = head(head_pitch, head_yaw, roll)
    correction = GazeCorrection('m', True, 0.1, 0.05)
    gaze = angles_to_unit(*correction.apply(pitch, yaw, rotation))
    before = unit_to_angles(rotation.T @ angles_to_unit(pitch, yaw))
    assert unit_to_angles(rotation.T @ gaze) == pytest.approx(
        (before[0] + 0.1, before[1] + 0.05), abs=1e-9)
    # Axes along the ray where the head is unknown, or was when the offset was measured.
    along_ray = pytest.approx((pitch + 0.1, yaw + 0.05))
    assert correction.apply(pitch, yaw) == along_ray
    assert GazeCorrection('m', False, 0.1, 0.05).apply(pitch, yaw, rotation) == along_ray


def test_a_still_head_corrects_less_than_a_moving_one():
    offset = np.array([0.2, 0.0])
    still, moving = (fit_correction([look_at(
        TOWARD_LENS, offset, np.random.default_rng(3), turn=turn)]) for turn in (0.0, 0.6))
    assert 0.5 * 0.2 < still.offset_pitch < 0.2 / 1.5
    assert 0.85 * 0.2 < moving.offset_pitch < 0.2 / 1.1
    assert moving.stddev_factor < still.stddev_factor


def test_refusals_say_what_to_do():
    rng = np.random.default_rng(5)
    offset = np.array([0.2, 0.1])
    few = look_at(TOWARD_LENS, offset, rng, count=MIN_SAMPLES - 1)
    with pytest.raises(GazeRosError, match=f'14 samples .* at least {MIN_SAMPLES} are needed'):
        fit_correction([few])
    with pytest.raises(GazeRosError, match='0 samples'):
        fit_correction([])
    with pytest.raises(GazeRosError, match='does not help: .* degrees to the target without it'):
        fit_correction([look_at(TOWARD_LENS, np.zeros(2), rng, noise=0.05)])
    with pytest.raises(GazeRosError, match='from the target; expected at most 30'):
        fit_correction([look_at(TOWARD_LENS, np.array([0.9, 0.0]), rng)])
    with pytest.raises(GazeRosError, match='not at one point'):
        fit_correction([look_at(TOWARD_LENS, offset, rng, noise=0.4)])


def test_unknown_gaze_stays_unknown_and_is_no_sample():
    correction = GazeCorrection('m', True, 0.1, 0.05)
    unknown = Estimate(head_rotation=np.eye(3), head_stddev=0.1)
    assert correction.estimate(unknown) is unknown
    look = Look()
    look.add(math.nan, math.nan, None, TOWARD_LENS)
    look.add(0.0, 0.0, None, np.full(3, math.nan))
    assert not look.gazes


def test_stddev_shrinks_by_the_factor_but_not_below_the_floor():
    correction = GazeCorrection('m', True, 0.1, 0.05, stddev_factor=0.75, min_stddev=0.1)
    assert correction.stddev(0.2) == pytest.approx(0.15)
    assert correction.stddev(0.12) == 0.1
    assert correction.stddev(0.08) == 0.08
    assert math.isnan(correction.stddev(math.nan))
    known = correction.estimate(Estimate(0.0, 0.0, 0.3, stddev=0.2))
    assert known.confidence == confidence(known.stddev) > confidence(0.2)
    assert correction.estimate(Estimate(0.0, 0.0, 0.3)).confidence == 0.3


@given(*[strategies.floats(-2, 2)] * 3, *[strategies.floats(-1, 1)] * 2,
       strategies.floats(0.3, 5))
def test_direction_to_a_point_is_that_of_a_gaze_at_it(x, y, z, across, down, away):
    target, origin = np.array([x, y, z]), np.array([across, down, away])
    if math.dist(target, origin) < 1e-3:
        return
    direction = direction_to(target, origin)
    ray = origin / np.linalg.norm(origin)
    expected = (target - origin) / np.linalg.norm(target - origin)
    assert gaze_direction(*unit_to_angles(direction), ray) == pytest.approx(expected, abs=1e-6)
    assert direction_to(np.zeros(3), origin) == pytest.approx(TOWARD_LENS, abs=1e-9)
    assert view_frame(ray) @ ray == pytest.approx([0, 0, 1], abs=1e-9)
    assert np.isnan(direction_to(origin, origin)).all()


def observe(calibrations, track, offset, count=40, origin=(0.1, 0.0, 1.0), target=(0, 0, 0)):
    """Let a track look at a point while its gaze is measured with an error."""
    origin = np.array(origin)
    direction = direction_to(np.array(target, float), origin)
    rng = np.random.default_rng(7)
    for gaze, rotation in (lambda k: zip(k.gazes, k.rotations))(
            look_at(direction, np.array(offset), rng, count)):
        calibrations.observe(track, Estimate(*unit_to_angles(gaze), 1.0, head_rotation=rotation),
                             origin)


def test_the_first_track_observed_is_calibrated_and_no_other():
    calibrations = GazeCalibrations()
    calibrations.model = 'm'
    observe(calibrations, 'f1', (0.2, 0.0))  # not started: ignored
    calibrations.start()
    for _ in range(2):
        observe(calibrations, 'f2', (0.2, 0.0), 20)
        observe(calibrations, 'f1', (-0.3, 0.0), 20)
    track, correction = calibrations.finish()
    assert (track, correction.samples, correction.model) == ('f2', 40, 'm')
    assert calibrations.correction('f2') is correction and correction.offset_pitch > 0.15
    estimate = Estimate(0.0, 0.0, 1.0)
    assert calibrations.correct('f1', estimate) is estimate
    assert calibrations.correct('f2', estimate).pitch > 0.15
    # A correction is for one model.
    calibrations.model = 'other'
    assert calibrations.correction('f2') is None
    calibrations.model = 'm'
    # One loaded from a file is for all others.
    calibrations.default = GazeCorrection('m', True, -0.1, 0.0)
    assert calibrations.correct('f1', estimate).pitch == pytest.approx(-0.1)
    assert calibrations.correct('f2', estimate).pitch > 0.15


def test_targets_add_up_and_a_repeated_one_replaces_its_look():
    calibrations = GazeCalibrations()
    for target, targets in (((0, 0, 0), 1), ((0.3, 0, 0), 2), ((-0.3, 0.2, 0), 3),
                            ((0.01, 0, 0), 3)):
        calibrations.start('f1', np.array(target))
        observe(calibrations, 'f1', (0.2, 0.0), target=target)
        assert calibrations.finish()[1].targets == targets


def test_a_failure_leaves_the_earlier_correction():
    calibrations = GazeCalibrations()
    with pytest.raises(GazeRosError, match='no calibration was started'):
        calibrations.finish()
    calibrations.start('f1')
    observe(calibrations, 'f1', (0.2, 0.0))
    _, correction = calibrations.finish()
    for track, message in (('f1', "track 'f1', 3 images: 3 samples"),
                           ('f9', "track 'f9' was not seen"), ('', "track 'f1', 3 images")):
        calibrations.start(track)
        observe(calibrations, 'f1', (-0.2, 0.0), 3)
        with pytest.raises(GazeRosError, match=message):
            calibrations.finish()
    calibrations.start()
    with pytest.raises(GazeRosError, match='no face was seen'):
        calibrations.finish()
    calibrations.start('f1')
    calibrations.cancel()
    observe(calibrations, 'f1', (-0.2, 0.0))
    assert calibrations.correction('f1') is correction


def test_file_is_read_as_it_was_written(tmp_path):
    rng = np.random.default_rng(2)
    correction = fit_correction([look_at(
        angles_to_unit(*t), np.array([0.1, 0.2]), rng, gain=1.3) for t in THREE], 'adas')
    path = save_correction(tmp_path / 'new' / 'user.yaml', correction)
    assert load_correction(path) == correction
    assert load_correction(tmp_path / 'none.yaml') is None and load_correction('') is None


@pytest.mark.parametrize('change,message', [
    ({'offset_yaw': 2.0}, 'offset_yaw is 2.0; expected -0.524 to 0.524'),
    ({'offset_yaw': math.nan}, 'offset_yaw is nan'), ({'gain_pitch': 9.0}, 'gain_pitch'),
    ({'stddev_factor': 0.0}, 'stddev_factor'), ({'model': 5}, 'model is not a str'),
    ({'head_frame': 1}, 'head_frame is not a bool'), ({'samples': True}, 'samples is not a int'),
    ({'more': 1}, "unknown name 'more'"), ({'targets': None}, 'targets is not a int')])
def test_file_with_other_values_is_refused(tmp_path, change, message):
    path = save_correction(tmp_path / 'user.yaml', GazeCorrection('m', True, 0.1, 0.0))
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    with pytest.raises(GazeRosError, match=message):
        load_correction(path)


@pytest.mark.parametrize('text', ['', '[1, 2]', 'model: m', 'a: &a 1\nb: *a', '\0'])
def test_other_file_is_refused(tmp_path, text):
    path = tmp_path / 'user.yaml'
    path.write_text(text)
    with pytest.raises(GazeRosError, match='is not a file that gaze/calibrate saved'):
        load_correction(path)


@pytest.fixture(scope='module')
def columbia(shared, adas):
    """Return subject, measured and true angles, and head rotation of each real pair of eyes."""
    path = shared / 'labelled' / 'columbia_eyes_420.zip'
    with ZipFile(path) as archive:
        rows = csv.DictReader(io.StringIO(archive.read('labels.csv').decode()))
        subjects = [row['subject'] for row in rows]
    samples = []
    for subject, (left, right, label) in zip(subjects, labelled_eyes(path, 'labels.csv')[1]):
        estimate = adas.estimate_eyes(left, right, (label.head_yaw, 0.0, 0.0))
        if math.isfinite(estimate.pitch):
            samples.append((
                subject, (estimate.pitch, estimate.yaw), angles_to_unit(label.pitch, label.yaw),
                head(yaw=math.radians(label.head_yaw))))
    assert len(samples) > 400
    return samples


def errors_with(columbia, count):
    """Return degrees before and after, for every third pair calibrated on others of its subject.

    :param count: how many others, at random; each is one target.
    """
    rng = np.random.default_rng(0)
    result = []
    for i, (subject, gaze, true, rotation) in [*enumerate(columbia)][::3]:
        others = [s for j, s in enumerate(columbia) if j != i and s[0] == subject]
        if len(others) < min(count, 4):
            continue
        looks = []
        for k in rng.permutation(len(others))[:count]:
            looks.append(Look())
            looks[-1].add(*others[k][1], others[k][3], others[k][2])
        try:
            corrected = fit_correction(looks, minimum=1).apply(*gaze, rotation)
        except GazeRosError:  # it does not help: the service leaves the gaze as it is
            corrected = gaze
        result.append([math.degrees(angle(angles_to_unit(*g), true)) for g in (gaze, corrected)])
    return np.array(result)


@pytest.mark.parametrize('count,gain', [(3, 0.92), (5, 0.85), (99, 0.75)])
def test_calibration_on_other_images_of_a_person_helps(columbia, count, gain):
    errors = errors_with(columbia, count)
    before, after = errors.mean(axis=0)
    print(f'{len(errors)} pairs, {count} others: {before:.2f} -> {after:.2f}')
    assert after < gain * before
