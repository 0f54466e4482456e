import math
from pathlib import Path
from tempfile import TemporaryDirectory

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


#: A cell of each optional column, and the field and value that it gives.
CELLS = {
    'head_pitch_up_deg': ('-10', 'head_pitch', math.radians(-10)),
    'head_yaw_image_right_deg': ('97', 'head_yaw', math.radians(97)),
    'head_roll_deg': ('-180', 'head_roll', math.radians(-180)),
    'eyes_open': ('0.5', 'eyes_open', 0.5),
    'subject': ('Ann', 'subject', 'Ann')}
UNKNOWN = {'head_pitch': math.nan, 'head_yaw': math.nan, 'head_roll': math.nan,
           'eyes_open': math.nan, 'subject': ''}


@given(st.sets(st.sampled_from([*CELLS])), st.sets(st.sampled_from([*CELLS])), st.booleans(),
       st.booleans(), st.sampled_from(['', 'known', 'empty']))
def test_every_subset_of_columns_with_any_cell_empty(columns, empty, has_gaze, gaze_known, point):
    cells = {'file': 'a.png'}
    if has_gaze:
        cells |= dict.fromkeys(('pitch_up_deg', 'yaw_image_right_deg'), '5' if gaze_known else '')
    cells |= {name: '' if name in empty else CELLS[name][0] for name in sorted(columns)}
    if point:
        cells |= dict.fromkeys(('face_x', 'face_y'), '7' if point == 'known' else '')
    has_label = has_gaze and gaze_known or bool(columns - empty - {'subject'})
    with TemporaryDirectory() as folder:
        path = Path(folder, 'labels.csv')
        path.write_text(','.join(cells) + '\n' + ','.join(cells.values()) + '\n')
        if not has_label:
            with pytest.raises(GazeRosError, match='no valid one|no column for the pitch'):
                read_labels(path)
            return
        label, = read_labels(path)
    gaze = math.radians(5) if has_gaze and gaze_known else math.nan
    expected = {'pitch': gaze, 'yaw': gaze, 'image': 'a.png',
                'face': (7.0, 7.0) if point == 'known' else None} | UNKNOWN
    expected |= {field: value for _, field, value in (
        CELLS[name] for name in columns - empty)}
    for name, value in expected.items():
        assert getattr(label, name) == pytest.approx(value, nan_ok=True) if isinstance(
            value, float) else getattr(label, name) == value


def test_head_in_radians_as_in_the_messages(write):
    label, = read_labels(write('frame,head_pitch,head_yaw,head_roll\n0,0.1,-1.6,3\n'))
    assert (label.head_pitch, label.head_yaw, label.head_roll) == pytest.approx((0.1, -1.6, 3))
    assert math.isnan(label.pitch)


@pytest.mark.parametrize('text,reason', [
    ('frame,head_yaw_image_right_deg\n0,181\n', '181 is not in -180..180 deg'),
    ('frame,head_pitch_up_deg\n0,91\n', '91 is not in -90..90 deg'),
    ('frame,head_roll_deg\n0,x\n', "column head_roll_deg: 'x' is not a number"),
    ('frame,eyes_open\n0,1.5\n', 'column eyes_open: 1.5 is not in 0..1'),
    ('frame,eyes_open,face_x,face_y\n0,1,5,\n', "column face_y: '' is not a number"),
    ('frame,eyes_open,pitch_up_deg\n0,1,5\n', 'no column for the yaw'),
    ('frame,eyes_open,pitch_deg,yaw_deg\n0,1,5,\n', "column yaw_deg: '' is not a number"),
    ('frame,eyes_open\n0,"1\n2"\n', r"column eyes_open: '1\n2' is not a number"),
    ('frame,"a\nb"\n0,1\n', 'the columns are frame, a b'),
    ('frame,eyes_open,subject\n0,,Ann\n', '1 rows and no valid one: expected values in eyes_open'),
])
def test_invalid_cells_of_optional_columns(write, text, reason):
    with pytest.raises(GazeRosError) as error:
        read_labels(write(text))
    assert reason in str(error.value)


@pytest.mark.parametrize('name', ['rendered_faces', 'rendered_small', 'eyes_open'])
def test_shared_labels(shared, name):
    labels = read_labels(shared / 'labelled' / name / 'labels.csv')
    assert len(labels) == {'rendered_faces': 16, 'rendered_small': 51, 'eyes_open': 32}[name]
    assert all(math.isfinite(label.pitch) for label in labels) is (name != 'eyes_open')
    assert all(math.isfinite(label.head_yaw) for label in labels)
    assert all(math.isfinite(label.eyes_open) for label in labels) is (name != 'rendered_faces')
