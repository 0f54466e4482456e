import math

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.evaluation.labels import Label, read_eye_labels, read_labels
from hypothesis import given
from hypothesis import strategies as st
import pytest


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / 'labels.csv'
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path
    return write


def angles(labels):
    return [(round(math.degrees(x.pitch), 6), round(math.degrees(x.yaw), 6)) for x in labels]


@pytest.mark.parametrize('text', [
    'frame,pitch_up_deg,yaw_image_right_deg\n3,10,-20\n',
    'frame,pitch_deg,yaw_deg\r\n3,10,-20\r\n',
    'frame,pitch_up_V_deg,yaw_H_deg_image_right\n3,10,-20',
    f'frame,pitch,yaw\n3,{math.radians(10)},{math.radians(-20)}\n',
    '\ufeffFrame; Pitch_Deg; Yaw_Deg\n 3.0; 10; -20\n\n',
    'yaw_deg\tnote\tframe\tpitch_deg\n-20\t"a\tb"\t3\t1e1\n;',
    'frame,pitch,pitch_deg,yaw_deg\n3,0.5,10,-20\n'])
def test_column_names_delimiters_and_units(write, text):
    path = write(text.removesuffix(';'))
    label, = read_labels(path)
    assert angles([label]) == [(10, -20)]
    assert (label.frame, label.image, label.face, label.line) == (3, '', None, 2)


def test_images_and_faces(write):
    assert read_labels(write(
        'file,pitch,yaw,face_x,face_y\na b/1.jpg,0.25,-0.5,100,50.5\n')) == [
            Label(0.25, -0.5, 2, None, 'a b/1.jpg', (100.0, 50.5))]


def test_unsettled_and_empty_rows_are_skipped(write):
    labels = read_labels(write(
        'frame,pitch_deg,yaw_deg,settled\n0,1,1,0\n1,2,2,1\n2,,,1\n3,4,4,true\n4,5,5,\n'))
    assert [label.frame for label in labels] == [1, 3]
    assert [label.line for label in labels] == [3, 5]


@pytest.mark.parametrize('text,reason', [
    ('', 'no column for the image: expected one of frame, image, file, filename; the columns are '
         'none'),
    ('a,b\n1,2\n', 'expected one of frame, image, file, filename; the columns are a, b'),
    ('frame,yaw\n1,2\n', 'no column for the pitch: expected one of pitch_up_deg, pitch_deg'),
    ('frame,pitch\n1,2\n', 'no column for the yaw: expected one of yaw_image_right_deg, yaw_deg'),
    ('frame,pitch_deg,yaw_deg\n', '0 rows and no valid one'),
    ('frame,pitch_deg,yaw_deg,settled\n1,2,3,0\n', '1 rows and no valid one'),
    ('frame,pitch_deg,yaw_deg\n1,2,3\n2,up,3\n', "line 3, column pitch_deg: 'up' is not a number"),
    ('frame,pitch_deg,yaw_deg\n1,2\n', "line 2, column yaw_deg: '' is not a number"),
    ('frame,pitch_deg,yaw_deg\n1,nan,3\n', "column pitch_deg: 'nan' is not a number"),
    ('frame,pitch_deg,yaw_deg\n1,91,3\n', 'column pitch_deg: 91 is not in -90..90 deg'),
    ('frame,pitch,yaw\n1,0,10\n', 'degrees belong in a column yaw_deg'),
    ('frame,pitch,yaw\n-1,0,1\n', 'column frame: -1 is not a frame number'),
    ('frame,pitch,yaw\n1.5,0,1\n', 'column frame: 1.5 is not a frame number'),
    ('frame,pitch,yaw\na.jpg,0,1\n', "column frame: 'a.jpg' is not a number"),
    ('image,pitch,yaw\n,0,1\n', 'column image: it is empty'),
    ('frame,pitch,yaw,settled\n1,0,1,maybe\n', "column settled: 'maybe' is neither 1 nor 0"),
    (b'frame,pitch,yaw\n1,0,\xff\n', 'not a CSV in UTF-8'),
    ('frame,pitch,yaw\n' + 'x' * 200000 + ',0,1\n', 'line 2: field larger'),
])
def test_errors_name_file_line_and_column(write, text, reason):
    path = write(text)
    with pytest.raises(GazeRosError, match='^labels ') as error:
        read_labels(path)
    assert str(path) in str(error.value) and reason in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(GazeRosError, match=r"x\.csv' cannot be read: No such file"):
        read_labels(tmp_path / 'x.csv')


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        assert read_eye_labels(text, 'x')
    except GazeRosError as e:
        assert str(e).startswith("labels 'x'")


def test_eye_labels():
    head = 'left_eye,right_eye,subject,head_yaw_P_deg,pitch_up_V_deg,yaw_H_deg_image_right\n'
    label, = read_eye_labels(head + 'a/L.jpg,a/R.jpg,0025,-15,-10,5\n', 'x.zip:labels.csv')
    assert (label.left, label.right, label.head_yaw) == ('a/L.jpg', 'a/R.jpg', -15)
    assert angles([label]) == [(-10, 5)]
    for column, reason in (('left_eye', 'the eyes'), ('head_yaw_P_deg', "the head's yaw")):
        with pytest.raises(GazeRosError, match=f'no column for {reason}'):
            read_eye_labels(head.replace(column, 'x') + 'a,b,c,1,2,3\n', 'x')
