"""Untrusted bytes are accepted or refused; nothing crashes, hangs or uses much memory.

`make fuzz` does the same for longer, guided by coverage: see __main__.py.
"""
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import pytest

pytest.importorskip('torch')
pytest.importorskip('safetensors')

from fuzz.targets import run, SEEDS, TARGETS

FILES = [path for path in sorted(SEEDS.rglob('*')) if path.is_file()]


def test_every_target_has_seeds():
    assert {path.parent.name for path in FILES} == set(TARGETS)


@pytest.mark.parametrize('path', FILES, ids=lambda path: f'{path.parent.name}-{path.name}')
def test_seeds(path):
    """The seeds include every input that once failed."""
    run(path.parent.name, path.read_bytes())


@st.composite
def mutated(draw, name):
    """Draw a seed of a target with parts removed, replaced and inserted."""
    data = bytearray(draw(st.sampled_from(
        [path for path in FILES if path.parent.name == name])).read_bytes())
    del data[draw(st.just(len(data)) | st.integers(0, len(data))):]
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at:at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return bytes(data)


@pytest.mark.parametrize('name', TARGETS)
def test_mutated_and_random_bytes(name, rounds):
    @settings(max_examples=rounds(25, 500), suppress_health_check=[*HealthCheck])
    @given(mutated(name) | st.binary(max_size=99))
    def check(data):
        run(name, data)

    check()
