"""Text that is not UTF-8, and the path of a text."""
from pathlib import Path

from gaze_ros.core.errors import GazeRosError, SourceError
from gaze_ros.core.parameters import NODES
from gaze_ros.core.system.opencv_files import opencv_path
from gaze_ros.core.system.utf8 import is_utf8, printable
from hypothesis import given
from hypothesis import strategies as st
import pytest


@pytest.mark.parametrize(('text', 'shown'), [
    ('plain', 'plain'), ('café 中', 'café 中'), ('caf\udce9', r'caf\xe9'),
    ('é\udce9', r'é\xe9'), ('\ud800', r'\ud800')])
def test_bytes_that_are_not_utf8_are_shown_as_numbers(text, shown):
    assert printable(text) == shown
    assert is_utf8(text) == (text == shown)
    assert str(SourceError(f"'{text}'")) == f"'{shown}'"


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_utf8(text):
    assert is_utf8(printable(text))
    assert printable(printable(text)) == printable(text)


def test_opencv_gets_no_name_that_is_not_utf8_and_no_protocol():
    with pytest.raises(GazeRosError, match=r"'caf\\xe9\.mp4' is not UTF-8.*rename"):
        opencv_path('caf\udce9.mp4')
    assert opencv_path(Path('/a/b.mp4')) == '/a/b.mp4'
    assert opencv_path('12:30.mp4') == './12:30.mp4'


def test_parameters_are_utf8():
    for specs in NODES.values():
        for spec in specs:
            if isinstance(spec.default, str) and not spec.choices:
                assert r"'caf\xe9' is not UTF-8" in spec.problem('caf\udce9'), spec.name
