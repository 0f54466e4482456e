import json
import math

from gaze_ros.core.output.jsonl import json_line
from gaze_ros.core.types import Face, FrameGaze, Gaze
from hypothesis import example, given
from hypothesis import strategies as st
import numpy as np

NUMBERS = ('score', 'pitch', 'yaw', 'raw_pitch', 'raw_yaw', 'confidence', 'gaze_stddev',
           'head_pitch', 'head_yaw', 'head_roll', 'head_stddev', 'left_eye_openness',
           'right_eye_openness')
VECTORS = ('direction', 'origin')


def strict(line):
    """Parse standard JSON, without NaN and Infinity."""
    def refuse(word):
        raise AssertionError(f'{word} is not JSON')
    assert '\n' not in line
    return json.loads(line, parse_constant=refuse)


def test_frame_is_one_line_with_all_fields():
    gaze = Gaze('f1', Face((10, 20, 30, 40), 0.9), 0.1, -0.2, 0.3, -0.4, 0.5,
                np.array([0.6, 0.0, -0.8]), True, np.array([0.01, -0.02, 0.75]), stddev=0.125,
                head_pitch=0.05, head_yaw=-0.15, head_roll=3.0, head_stddev=0.08,
                eye_openness=(0.25, 1.0))
    assert strict(json_line(7, 1.25, FrameGaze(640, 480, 'm', [gaze]))) == {
        'frame': 7, 'stamp': 1.25, 'width': 640, 'height': 480, 'gazes': [{
            'track_id': 'f1', 'box': [10, 20, 30, 40], 'score': 0.9, 'pitch': 0.1, 'yaw': -0.2,
            'raw_pitch': 0.3, 'raw_yaw': -0.4, 'confidence': 0.5, 'gaze_stddev': 0.125,
            'head_pitch': 0.05, 'head_yaw': -0.15, 'head_roll': 3.0, 'head_stddev': 0.08,
            'left_eye_openness': 0.25, 'right_eye_openness': 1.0,
            'direction': [0.6, 0.0, -0.8], 'origin': [0.01, -0.02, 0.75],
            'looking_at_camera': True}]}


def test_no_face_is_an_empty_list():
    assert strict(json_line(0, 0.0, FrameGaze(64, 48, 'm', [])))['gazes'] == []


def test_current_stamp_keeps_its_microseconds():
    assert strict(json_line(0, 1790000000.123456, FrameGaze(64, 48, 'm', [])))['stamp'] == (
        1790000000.123456)


def test_unknown_gaze_is_null():
    line = json_line(0, 0.0, FrameGaze(64, 48, 'm', [Gaze('f1', Face((0, 0, 9, 9), 1.0))]))
    gaze, = strict(line)['gazes']
    known = 'score', 'confidence'
    assert {gaze[k] for k in (*NUMBERS, *VECTORS) if k not in known} == {None}
    assert gaze['confidence'] == 0
    assert gaze['looking_at_camera'] is False


def test_numpy_numbers_become_json_numbers():
    face = Face(tuple(np.float32([1.4, 2.6, 3, 4])), np.float32(0.5))
    gaze, = strict(json_line(0, 0.0, FrameGaze(
        64, 48, 'm', [Gaze('f1', face, *np.float32([0.5, 0.25, 0.5, 0.25, 1]))])))['gazes']
    assert (gaze['box'], gaze['pitch'], gaze['yaw']) == ([1, 3, 3, 4], 0.5, 0.25)


@example((0, 0, 9, 9), [math.inf, -math.inf, math.nan, 1e308, -0.0, 5e-324, *range(7)], [0.0] * 6,
         0.0)
@given(st.tuples(*[st.floats(-1e6, 1e6)] * 4), st.lists(st.floats(), min_size=13, max_size=13),
       st.lists(st.floats(), min_size=6, max_size=6),
       st.floats(allow_nan=False, allow_infinity=False))
def test_any_numbers_make_valid_json_with_the_box_inside_the_image(box, numbers, vectors, stamp):
    score, pitch, yaw, raw_pitch, raw_yaw, confidence, *rest = numbers
    stddev, head_pitch, head_yaw, head_roll, head_stddev, *openness = rest
    gaze = Gaze(
        'f1', Face(box, score), pitch, yaw, raw_pitch, raw_yaw, confidence,
        direction=np.array(vectors[:3]), origin=np.array(vectors[3:]), stddev=stddev,
        head_pitch=head_pitch, head_yaw=head_yaw, head_roll=head_roll, head_stddev=head_stddev,
        eye_openness=tuple(openness))
    gaze, = strict(json_line(3, stamp, FrameGaze(320, 200, 'm', [gaze])))['gazes']
    assert set(gaze) == {'track_id', 'box', 'looking_at_camera', *NUMBERS, *VECTORS}
    x, y, w, h = gaze['box']
    assert min(x, y, w, h) >= 0
    assert x + w <= 320
    assert y + h <= 200
    for key, value in zip(NUMBERS, numbers):
        assert (gaze[key] is None) == (not math.isfinite(value))
    for key, values in zip(VECTORS, (vectors[:3], vectors[3:])):
        assert (gaze[key] is None) == (not np.isfinite(values).all())
