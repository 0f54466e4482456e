import json
import os
import pickle
import sys

from gaze_ros.core.errors import ModelError
import numpy as np
import pytest

pytest.importorskip('torch')

from gaze_ros.core.networks import ARCHITECTURES, build
from gaze_ros.core.networks.checkpoints import load_network, read_state
import torch
from torch import nn

#: Parameters, with two heads of 90 bins, and tensors: the published ones.
SIZES = {
    'resnet18': (11_268_852, 124), 'resnet34': (21_377_012, 220), 'resnet50': (23_876_852, 322),
    'resnet101': (42_868_980, 628), 'resnet152': (58_512_628, 934),
    'mobilenetv2': (2_454_452, 316), 'mobileone_s0': (1_238_004, 90),
    'mobileone_s1': (3_714_420, 90), 'mobileone_s2': (6_127_988, 90),
    'mobileone_s3': (8_398_132, 90), 'mobileone_s4': (13_158_172, 138)}
#: MobileOne as trained: channels of stage 0 to 4, branches, tensors.
UNFUSED = {
    'mobileone_s0': ((48, 48, 128, 256, 1024), 4, 1325),
    'mobileone_s1': ((64, 96, 192, 512, 1280), 1, 564),
    'mobileone_s2': ((64, 96, 256, 640, 2048), 1, 564),
    'mobileone_s3': ((64, 128, 320, 768, 2048), 1, 564),
    'mobileone_s4': ((64, 192, 448, 896, 2048), 1, 612)}
#: One of each kind of block.
KINDS = ['resnet18', 'resnet50', 'mobilenetv2', 'mobileone_s0', 'mobileone_s4']


def empty(architecture, bins=90):
    with torch.device('meta'):
        return build(architecture, bins)


def thin(architecture, bins=90):
    """Return tensors of the right names and shapes that repeat one number: small files."""
    return {key: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)
            for key, tensor in empty(architecture, bins).state_dict().items()}


def randomise(net):
    """Return the network with random weights and random statistics, ready to infer.

    Activations stay alive, so that every layer affects the outputs.
    """
    for module in reversed([*net.modules()]):  # what is inside first
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.7, 1.2)
            nn.init.normal_(module.bias, std=0.1)
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
        if hasattr(module, 'expand'):  # squeeze-excite: mostly open, and no switch
            nn.init.constant_(module.expand.bias, 2)
            module.expand.weight.data *= 0.1
        if isinstance(module, Block):
            for norm in module.norms():
                norm.weight.data /= len(module.norms()) ** 0.5
    return net.eval()


def randomised(architecture, bins=90):
    torch.manual_seed(0)
    return randomise(build(architecture, bins))


def images(count=2, height=64, width=64):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def infer(net, batch):
    with torch.inference_mode():
        return torch.stack(net(batch))


def assert_same(found, expected):
    """Check each number to 1e-5 of the largest, and that the outputs depend on the images."""
    assert len(expected) == 2
    assert len(expected[0]) == 1 or (
        expected.std(dim=1).mean() > 0.001 * expected.abs().max() > 0)
    torch.testing.assert_close(
        found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.fixture
def saved(tmp_path):
    """Return a function that saves an object with torch and returns the path."""
    def save(thing, name='a.pt', **settings):
        torch.save(thing, tmp_path / name, **settings)
        return str(tmp_path / name)
    return save


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_networks_have_the_published_size(architecture):
    net = empty(architecture)
    size = sum(p.numel() for p in net.parameters()), len(net.state_dict())
    assert size == SIZES[architecture]
    assert net.fc_yaw.weight.shape == net.fc_pitch.weight.shape


def test_unknown_architecture_is_reported():
    with pytest.raises(ModelError, match='resnet9.*resnet18.*mobileone_s4'):
        build('resnet9', 90)


@pytest.mark.filterwarnings('ignore:.torch.jit.trace:DeprecationWarning')
@pytest.mark.parametrize('architecture', KINDS)
def test_any_batch_size_tracing_and_channels_last_give_the_same(architecture):
    net = randomised(architecture, 28)
    batch = images(3, 96, 64)
    expected = infer(net, batch)
    assert expected.shape == (2, 3, 28)
    assert_same(infer(torch.jit.trace(net, images(1)), batch), expected)
    assert_same(torch.cat([infer(net, image[None]) for image in batch], 1), expected)
    net.to(memory_format=torch.channels_last)
    assert_same(infer(net, batch.to(memory_format=torch.channels_last)), expected)


@pytest.mark.filterwarnings('ignore:.torch.jit.trace:DeprecationWarning')
@pytest.mark.parametrize('architecture', ['resnet50', 'mobilenetv2', 'mobileone_s4'])
def test_openvino_gives_the_same(architecture):
    openvino = pytest.importorskip('openvino')
    net = randomised(architecture)
    model = openvino.compile_model(
        openvino.convert_model(net, example_input=images(1)), 'CPU',
        {'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': 1})
    found = model(images(3).numpy())
    assert_same(torch.tensor(np.stack([found[0], found[1]])), infer(net, images(3)))


@pytest.mark.parametrize(('ours', 'module', 'theirs'), [
    ('resnet18', 'resnet', 'resnet18'), ('resnet34', 'resnet', 'resnet34'),
    ('resnet50', 'resnet', 'resnet50b'), ('resnet101', 'resnet', 'resnet101b'),
    ('resnet152', 'resnet', 'resnet152b'), ('mobilenetv2', 'mobilenetv2', 'mobilenetv2b_w1')])
def test_equal_weights_give_the_same_as_pytorchcv(ours, module, theirs):
    """Its tensors have other names, and the same order."""
    module = pytest.importorskip(f'pytorchcv.models.{module}')
    torch.manual_seed(0)
    reference = getattr(module, theirs)(num_classes=12)
    reference.features.final_pool = nn.AdaptiveAvgPool2d(1)  # for smaller images
    for name, norm in reference.named_modules():
        if ours == 'mobilenetv2' and isinstance(norm, nn.BatchNorm2d):
            norm.eps = 1e-5 if name.endswith('conv3.bn') else 1e-3
    randomise(reference)
    tensors = [t for name, t in reference.state_dict().items() if not name.startswith('output')]
    weight = reference.output.weight.flatten(1)
    bias = torch.zeros(12) if reference.output.bias is None else reference.output.bias
    net = build(ours, 12)
    net.load_state_dict(dict(zip(net.state_dict(), [*tensors, weight, bias, -weight, -bias])))
    expected, = infer(lambda batch: [reference(batch)], images(2, 64, 96))
    assert_same(infer(net.eval(), images(2, 64, 96)), torch.stack([expected, -expected]))


def test_mobilenetv2_normalises_as_upstream():
    """By 1e-3 before each ReLU6 and 1e-5 on the linear layers: 1e-5 everywhere loads as well."""
    net = empty('mobilenetv2')
    linear = {f'features.{i}.conv.{2 if i == 1 else 3}' for i in range(1, 18)}
    found = {name: (module.eps, module.momentum) for name, module in net.named_modules()
             if isinstance(module, nn.BatchNorm2d)}
    assert found == {name: (1e-5, 0.1) if name in linear else (1e-3, 0.01) for name in found}
    assert len(found) == 52
    assert linear < found.keys()


class Squeeze(nn.Module):

    def __init__(self, channels):
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 16, 1)
        self.expand = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x):
        mean = nn.functional.adaptive_avg_pool2d(x, 1)
        return x * self.expand(self.reduce(mean).relu()).sigmoid()


class Block(nn.Module):
    """A block of MobileOne as trained: the branches are summed, not fused."""

    def __init__(self, inputs, outputs, kernel, stride, groups, branches, squeeze):
        super().__init__()

        def branch(kernel):
            net = nn.Sequential()
            net.add_module('conv', nn.Conv2d(
                inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False))
            net.add_module('bn', nn.BatchNorm2d(outputs))
            return net

        self.rbr_skip = nn.BatchNorm2d(inputs) if (inputs, stride) == (outputs, 1) else None
        self.rbr_conv = nn.ModuleList(branch(kernel) for _ in range(branches))
        self.rbr_scale = branch(1) if kernel > 1 else None
        self.se = Squeeze(outputs) if squeeze else nn.Identity()

    def norms(self):
        return [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def forward(self, x):
        branches = [*self.rbr_conv, self.rbr_scale, self.rbr_skip]
        return self.se(sum(branch(x) for branch in branches if branch)).relu()


class Unfused(nn.Module):
    """MobileOne as trained, from the paper: what ours is compared with."""

    def __init__(self, architecture, bins):
        super().__init__()
        channels, branches, _ = UNFUSED[architecture]
        self.stage0 = Block(3, channels[0], 3, 2, 1, 1, False)
        for stage, pairs in enumerate((2, 8, 10, 1), start=1):
            inputs, outputs = channels[stage - 1:stage + 1]
            blocks = []
            for i in range(pairs):
                squeeze = architecture == 'mobileone_s4' and (
                    stage == 4 or stage == 3 and i >= 5)
                blocks += [
                    Block(inputs, inputs, 3, 1 if i else 2, inputs, branches, squeeze),
                    Block(inputs, outputs, 1, 1, 1, branches, squeeze)]
                inputs = outputs
            setattr(self, f'stage{stage}', nn.Sequential(*blocks))
        self.fc_yaw = nn.Linear(outputs, bins)
        self.fc_pitch = nn.Linear(outputs, bins)

    def forward(self, x):
        for stage in (self.stage0, self.stage1, self.stage2, self.stage3, self.stage4):
            x = stage(x)
        return self.fc_yaw(x.mean((2, 3))), self.fc_pitch(x.mean((2, 3)))


def unfused(architecture, bins=90):
    torch.manual_seed(0)
    return randomise(Unfused(architecture, bins))


@pytest.mark.parametrize('architecture', UNFUSED)
def test_fused_mobileone_gives_the_same_as_unfused(saved, architecture):
    """With random weights and random statistics."""
    reference = unfused(architecture)
    state = reference.state_dict()
    assert len(state) == UNFUSED[architecture][2]
    net, _ = load_network(architecture, saved(state))
    assert_same(infer(net, images()), infer(reference, images()))


@pytest.mark.parametrize('key', [
    'stage2.3.rbr_conv.1.conv.weight', 'stage1.0.rbr_scale.bn.bias', 'stage1.2.rbr_skip.weight',
    'stage0.rbr_conv.0.bn.running_var'])
@pytest.mark.parametrize('change', ['missing', 'over', 'misshapen'])
def test_any_differing_tensor_of_unfused_mobileone_is_reported(saved, key, change):
    state = unfused('mobileone_s0').state_dict()
    tensor = state.pop(key)
    if change != 'missing':
        state[key] = tensor if change == 'over' else tensor[1:]
    if change == 'over':
        key = key.replace('stage', 'stage9')
        state[key] = tensor
    with pytest.raises(ModelError, match=rf'1 .*first: {key}'):
        load_network('mobileone_s0', saved(state))


def test_negative_variance_is_reported(saved):
    state = unfused('mobileone_s0').state_dict()
    state['stage1.0.rbr_scale.bn.running_var'][3] = -2
    with pytest.raises(ModelError, match=r'a\.pt.*stage1\.0\.reparam_conv.*not finite'):
        load_network('mobileone_s0', saved(state))


def test_real_checkpoint_gives_the_same_as_its_onnx(shared):
    """Its first output is horizontal, which in these weights is fc_pitch."""
    runtime = pytest.importorskip('onnxruntime')
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(
        str(shared / 'models' / 'mobileone_s0_gaze.onnx'), options)
    net, _ = load_network('mobileone_s0', str(shared / 'models' / 'mobileone_s0.pt'))
    batch = images(1, 448, 448)
    expected = np.stack(session.run(None, {'input': batch.numpy()})[::-1])
    assert_same(infer(net, batch), torch.tensor(expected))


def l2cs(state, width):
    """Return the tensors as L2CS-Net saves them."""
    stored = {key.replace('fc_yaw.', 'fc_yaw_gaze.').replace('fc_pitch.', 'fc_pitch_gaze.'): tensor
              for key, tensor in state.items()}
    return stored | {'fc_finetune.weight': torch.zeros(()).expand(3, width + 3),
                     'fc_finetune.bias': torch.zeros(3)}


def test_l2cs_net_loads_as_resnet(saved):
    net = randomised('resnet18', 28)
    path = saved(l2cs(net.state_dict(), 512), 'a.pkl', _use_new_zipfile_serialization=False)
    found, metadata = load_network('resnet18', path)
    assert torch.equal(infer(found, images()), infer(net, images()))
    assert metadata == {}


@pytest.mark.parametrize(('architecture', 'width'), [
    ('resnet18', 512), ('resnet34', 512), ('resnet50', 2048), ('resnet101', 2048),
    ('resnet152', 2048)])
def test_every_l2cs_net_loads(saved, architecture, width):
    state = l2cs(thin(architecture), width)
    if architecture == 'resnet50':
        assert len(state) == 324
        assert sum(t.numel() for key, t in state.items() if not key.endswith((
            'running_mean', 'running_var', 'num_batches_tracked'))) == 23_883_008
    load_network(architecture, saved(state))


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_weights_of_another_network_are_reported_with_its_name(saved, architecture):
    named = next(name for name in ARCHITECTURES if name != architecture)
    with pytest.raises(ModelError, match=(
            rf"a\.pt.*'{named}'.* {SIZES[architecture][1]} tensors, {SIZES[named][1]} were "
            rf"expected; .*fits '{architecture}'$")):
        load_network(named, saved(thin(architecture, 28)))


def test_unfused_weights_of_another_network_are_reported_with_its_name(saved):
    with pytest.raises(ModelError, match="1325 tensors, 564 were.*fits 'mobileone_s0'$"):
        load_network('mobileone_s1', saved(unfused('mobileone_s0').state_dict()))


@pytest.mark.parametrize(('change', 'words'), [
    ('missing', '123 tensors, 124 were expected; 1 missing (first: layer1.0.bn1.running_var)'),
    ('over', '125 tensors, 124 were expected; 1 unknown (first: fc_finetune.bias)'),
    ('misshapen', '124 were expected; 1 of another shape (first: layer1.0.bn1.running_var)')])
def test_any_differing_tensor_is_reported(saved, change, words):
    state = thin('resnet18')
    key = 'fc_finetune.bias' if change == 'over' else 'layer1.0.bn1.running_var'
    tensor = state.pop(key, torch.zeros(3))
    if change != 'missing':
        state[key] = tensor[1:]
    with pytest.raises(ModelError) as error:
        load_network('resnet18', saved(state))
    assert str(error.value).endswith(words)


@pytest.mark.parametrize('keys', [['fc_yaw'], ['fc_pitch'], ['fc_yaw', 'fc_pitch']])
def test_missing_head_is_reported(saved, keys):
    state = {k: t for k, t in thin('resnet18').items() if k.partition('.')[0] not in keys}
    with pytest.raises(ModelError, match=rf'expected; {2 * len(keys)} missing[^,;]*$'):
        load_network('resnet18', saved(state))


def test_heads_with_both_naming_schemes_are_refused(saved):
    state = thin('resnet18')
    with pytest.raises(ModelError, match='6 unknown'):
        load_network('resnet18', saved(state | l2cs(state, 512)))


@pytest.mark.parametrize('architecture', ['resnet18', 'mobilenetv2'])
def test_training_counters_may_be_missing(saved, architecture):
    net = randomised(architecture)
    state = {k: t for k, t in net.state_dict().items() if 'num_batches_tracked' not in k}
    found, _ = load_network(architecture, saved(state))
    assert torch.equal(infer(found, images()), infer(net, images()))
    assert {int(t) for k, t in found.state_dict().items() if 'num_batches' in k} == {0}


@pytest.mark.parametrize('bins', [None, 28])
def test_bins_are_taken_from_the_file(saved, bins):
    net, _ = load_network('mobileone_s0', saved(thin('mobileone_s0', 28)), bins)
    assert net(images())[0].shape == (2, 28)
    assert not net.training
    assert {t.dtype for t in net.parameters()} == {torch.float32}


@pytest.mark.parametrize(('held', 'wanted', 'words'), [
    (90, 28, '90 bins, not 28'), (28, 90, '28 bins, not 90'), (0, None, '0 bins'),
    (10 ** 9, None, '1000000000 bins')])
def test_wrong_bins_are_reported(saved, held, wanted, words):
    state = thin('mobileone_s0')
    for head in ('fc_yaw', 'fc_pitch'):
        state[f'{head}.weight'] = torch.zeros(1, 1).expand(held, 1024)
        state[f'{head}.bias'] = torch.zeros(1).expand(held)
    with pytest.raises(ModelError, match=rf'a\.pt.* has {words}'):
        load_network('mobileone_s0', saved(state), wanted)


@pytest.mark.parametrize('number', [float('nan'), float('inf'), -float('inf')])
def test_weights_that_are_not_finite_are_reported(saved, number):
    state = randomised('mobileone_s0').state_dict()
    state['stage3.2.reparam_conv.weight'][5, 0, 1, 1] = number
    state['fc_yaw.bias'][7] = number
    with pytest.raises(ModelError, match=r'a\.pt.*stage3\.2\.reparam_conv\.weight.*not finite'):
        load_network('mobileone_s0', saved(state))


@pytest.mark.parametrize('dtype', [torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_weights_that_are_not_floats_are_reported(saved, dtype):
    state = thin('mobileone_s0')
    state['fc_yaw.bias'] = torch.zeros(90, dtype=dtype)
    with pytest.raises(ModelError, match=rf'a\.pt.*fc_yaw\.bias as {dtype}'):
        load_network('mobileone_s0', saved(state))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_floats_are_converted_to_float32(saved, dtype):
    state = {k: t.to(dtype) for k, t in randomised('mobileone_s0').state_dict().items()}
    net, _ = load_network('mobileone_s0', saved(state))
    assert all(torch.equal(t, state[k].float()) for k, t in net.state_dict().items())


@pytest.mark.parametrize('wrap', [
    lambda s: s, lambda s: {'epoch': 3, 'model_state_dict': s, 'optimizer_state_dict': {'lr': 1}},
    lambda s: {'state_dict': s}, lambda s: {f'module.{k}': t for k, t in s.items()},
    lambda s: {'state_dict': {f'module.{k}': t for k, t in s.items()}}])
@pytest.mark.parametrize('name', ['a.pt', 'a.pth', 'a.ckpt', 'a.pkl', 'a'])
def test_all_checkpoint_formats_give_the_tensors(saved, wrap, name):
    state = {'a': torch.arange(3.0), 'module.b': torch.ones(2)}
    for new in (True, False):
        found, metadata = read_state(
            saved(wrap(state), name, _use_new_zipfile_serialization=new))
        assert {k: t.tolist() for k, t in found.items()} == {
            'a': [0, 1, 2], 'module.b': [1, 1]}
        assert metadata == {}


@pytest.fixture
def safe():
    return pytest.importorskip('safetensors.torch')


@pytest.mark.parametrize('metadata', [None, {'architecture': 'mobileone_s0', 'bins': '90'}])
def test_safetensors_round_trip_with_metadata(tmp_path, safe, metadata):
    net = randomised('mobileone_s0')
    path = str(tmp_path / 'a.SafeTensors')
    safe.save_file(net.state_dict(), path, metadata)
    found, loaded = load_network('mobileone_s0', path)
    assert loaded == (metadata or {})
    assert torch.equal(infer(found, images()), infer(net, images()))


def test_missing_safetensors_package_is_reported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    path = tmp_path / 'a.safetensors'
    path.write_bytes(header())
    with pytest.raises(ModelError, match='safetensors.*pip install safetensors'):
        read_state(str(path))


def header(**tensors):
    text = json.dumps(tensors).encode()
    return len(text).to_bytes(8, 'little') + text


@pytest.mark.parametrize('content', [
    b'', b'<!DOCTYPE html><html>Not Found</html>', b'\xff' * 99, header(a=1),
    header(a={'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 8]}) + b'1234',
    header(a={'dtype': 'F7', 'shape': [1], 'data_offsets': [0, 4]}) + b'1234',
    header(a={'dtype': 'F32', 'shape': [10 ** 9], 'data_offsets': [0, 4]}) + b'1234'])
def test_invalid_safetensors_file_is_reported(tmp_path, safe, content):
    path = tmp_path / 'a.safetensors'
    path.write_bytes(content)
    with pytest.raises(
            ModelError, match=rf'a\.safetensors.* \({len(content)} bytes\): .') as error:
        read_state(str(path))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('content', [
    b'', b'<!DOCTYPE html><html>Not Found</html>', b'PK\x03\x04 no zip', b'\x80\x02 no pickle',
    b'\x80\x02.', b'\x80\x02}.', b'\x80\x02h\x05.', None])
def test_invalid_checkpoint_is_reported(saved, tmp_path, content):
    path = tmp_path / 'a.pkl'
    if content is None:  # truncated
        saved({'a': torch.zeros(999)}, 'a.pkl')
        content = path.read_bytes()[:2000]
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf'a\.pkl.* \({len(content)} bytes\): .') as error:
        read_state(str(path))
    assert '\n' not in str(error.value)


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
@pytest.mark.parametrize('new', [True, False])
def test_damaged_file_is_reported_or_gives_tensors(saved, tmp_path, new):
    """Any one byte is changed."""
    path = tmp_path / 'a.pt'
    content = bytearray((tmp_path / saved(
        {'a': torch.arange(5.0)}, _use_new_zipfile_serialization=new)).read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = content.copy()
        damaged[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert read_state(str(path))[0]
        except ModelError as e:
            assert 'a.pt' in str(e)


def test_missing_file_is_reported(tmp_path):
    for path, why in ((tmp_path / 'no.pt', 'No such file'), (tmp_path, 'a folder, not a file')):
        with pytest.raises(ModelError, match=why):
            read_state(str(path))


@pytest.mark.parametrize('thing', [
    {}, [1, 2], {'a': 1}, {'model_state_dict': 5}, 'text', {1: torch.zeros(1)},
    {'a': torch.zeros(2, device='meta')}, {'a': torch.eye(2).to_sparse()}])
def test_checkpoint_without_tensors_is_reported(saved, thing):
    with pytest.raises(ModelError, match=r'a\.pt.*not hold a dictionary of tensors'):
        read_state(saved(thing))


class Evil:

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.system, (f'touch {self.mark}',)


@pytest.mark.parametrize('name', ['a.pt', 'a.pkl', 'a.ckpt', 'a.safetensors'])
@pytest.mark.parametrize('way', ['torch', 'legacy', 'pickle'])
def test_code_in_a_checkpoint_is_not_run(saved, tmp_path, way, name):
    if name == 'a.safetensors':
        pytest.importorskip('safetensors')
    thing = {'model_state_dict': {'fc_yaw.weight': Evil(tmp_path / 'ran')}}
    path = saved(thing, name, _use_new_zipfile_serialization=way == 'torch')
    if way == 'pickle':
        (tmp_path / name).write_bytes(pickle.dumps(thing, 2))
    with pytest.raises(ModelError, match='without running code|not a safetensors file'):
        load_network('resnet18', path)
    assert not (tmp_path / 'ran').exists()
    assert pickle.loads(pickle.dumps(Evil(tmp_path / 'ran'))) == 0  # it would have
    assert (tmp_path / 'ran').exists()
