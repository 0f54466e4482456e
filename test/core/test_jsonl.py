import json
import math

from gaze_ros.core.output.jsonl import json_line
from gaze_ros.core.types import Face, FrameGaze, Gaze
from hypothesis import example, given
from hypothesis import strategies as st
import numpy as np

NUMBERS = ('score', 'pitch', 'yaw', 'raw_pitch', 'raw_yaw', 'confidence')


def strict(line):
    """Parse standard JSON, without NaN and Infinity."""
    def refuse(word):
        raise AssertionError(f'{word} is not JSON')
    assert '\n' not in line
    return json.loads(line, parse_constant=refuse)


def test_frame_is_one_line_with_all_fields():
    gaze = Gaze('f1', Face((10, 20, 30, 40), 0.9), 0.1, -0.2, 0.3, -0.4, 0.5)
    assert strict(json_line(7, 1.25, FrameGaze(640, 480, 'm', [gaze]))) == {
        'frame': 7, 'stamp': 1.25, 'width': 640, 'height': 480, 'gazes': [{
            'track_id': 'f1', 'box': [10, 20, 30, 40], 'score': 0.9, 'pitch': 0.1, 'yaw': -0.2,
            'raw_pitch': 0.3, 'raw_yaw': -0.4, 'confidence': 0.5}]}


def test_no_face_is_an_empty_list():
    assert strict(json_line(0, 0.0, FrameGaze(64, 48, 'm', [])))['gazes'] == []


def test_current_stamp_keeps_its_microseconds():
    assert strict(json_line(0, 1790000000.123456, FrameGaze(64, 48, 'm', [])))['stamp'] == (
        1790000000.123456)


def test_unknown_gaze_is_null():
    line = json_line(0, 0.0, FrameGaze(64, 48, 'm', [Gaze('f1', Face((0, 0, 9, 9), 1.0))]))
    gaze, = strict(line)['gazes']
    assert [gaze[k] for k in ('pitch', 'yaw', 'raw_pitch', 'raw_yaw')] == [None] * 4
    assert gaze['confidence'] == 0


def test_numpy_numbers_become_json_numbers():
    face = Face(tuple(np.float32([1.4, 2.6, 3, 4])), np.float32(0.5))
    gaze, = strict(json_line(0, 0.0, FrameGaze(
        64, 48, 'm', [Gaze('f1', face, *np.float32([0.5, 0.25, 0.5, 0.25, 1]))])))['gazes']
    assert (gaze['box'], gaze['pitch'], gaze['yaw']) == ([1, 3, 3, 4], 0.5, 0.25)


@example((0, 0, 9, 9), [math.inf, -math.inf, math.nan, 1e308, -0.0, 5e-324], 0.0)
@given(st.tuples(*[st.floats(-1e6, 1e6)] * 4), st.lists(st.floats(), min_size=6, max_size=6),
       st.floats(allow_nan=False, allow_infinity=False))
def test_any_numbers_make_valid_json_with_the_box_inside_the_image(box, numbers, stamp):
    score, *rest = numbers
    gaze = Gaze('f1', Face(box, score), *rest)
    gaze, = strict(json_line(3, stamp, FrameGaze(320, 200, 'm', [gaze])))['gazes']
    assert set(gaze) == {'track_id', 'box', *NUMBERS}
    x, y, w, h = gaze['box']
    assert min(x, y, w, h) >= 0
    assert x + w <= 320
    assert y + h <= 200
    for key, value in zip(NUMBERS, numbers):
        assert (gaze[key] is None) == (not math.isfinite(value))
