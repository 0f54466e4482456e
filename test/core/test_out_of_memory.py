"""Memory that is too small for a batch: it is run in parts, with the same result.

There is no GPU here. The first test has a limit on the memory of a process, which torch and ONNX
Runtime meet with errors of the same kind. The others have a module that raises CUDA's error.
"""
import gc
import logging
import subprocess
import sys
import weakref

from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes.batches import Batches, one_line
from gaze_ros.core.system.malloc import is_out_of_memory
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

LIMITED = """
import logging, resource, sys
from pathlib import Path
import numpy as np
from gaze_ros.core.system import native_threads
native_threads.configure()
from gaze_ros.core.networks.checkpoints import load_network
from gaze_ros.core.runtimes import open_network
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')
file, out = Path(sys.argv[1]), sys.argv[2]
net = open_network(
    file, runtime='onnx' if file.suffix == '.onnx' else 'torch', device='cpu', size=448,
    module=None if file.suffix == '.onnx' else lambda: load_network('mobileone_s0', str(file))[0])
x = np.random.default_rng(0).normal(size=(24, 3, 448, 448)).astype(np.float32)
net(x[:1])
if out:
    has = next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmSize'))
    resource.setrlimit(resource.RLIMIT_AS, (1024 * has + (300 << 20),) * 2)
parts = net(x)
np.savez(sys.argv[3], *parts)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='needs a limit on memory')
@pytest.mark.parametrize('name', ['mobileone_s0.pt', 'mobileone_s0_gaze.onnx'])
def test_real_network_gives_the_same_outputs_in_too_little_memory(shared, tmp_path, name):
    pytest.importorskip('torch')
    pytest.importorskip('onnxruntime')

    def run(limited):
        file = tmp_path / f'{bool(limited)}.npz'
        done = subprocess.run(
            [sys.executable, '-c', LIMITED, str(shared / 'models' / name), limited, str(file)],
            capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        with np.load(file) as saved:
            return [saved[one] for one in saved], done.stdout

    whole, log = run('')
    assert 'too small' not in log
    parts, log = run('limited')
    assert log.count('too small for a batch of 24 faces') == log.count('\n') == 1, log
    assert [p.shape for p in parts] == [w.shape for w in whole]
    for part, one in zip(parts, whole):
        np.testing.assert_allclose(part, one, rtol=1e-4, atol=1e-4)


class Device:
    """Accepts a limited batch size and raises CUDA's error for more."""

    def __init__(self, limit):
        self.limit = limit
        self.sizes = []

    def infer(self, x, y):
        self.sizes.append(len(x))
        if len(x) > self.limit:
            import torch
            raise torch.OutOfMemoryError(
                'CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of '
                '7.60 GiB of which 3.00 MiB is free.\nIf reserved but unallocated memory is large '
                'try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True.')
        return [x * 2 + y, x.sum(axis=1)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 40))
def test_result_equals_the_whole_batch_for_any_size(counts, limit):
    pytest.importorskip('torch')
    device, batches = Device(limit), Batches()
    for count in counts:
        x = np.arange(count * 3, dtype=np.float32).reshape(count, 3)
        whole = [x * 2 + 1, x.sum(axis=1)]
        for got, one in zip(batches.run(device.infer, [x, np.ones_like(x)]), whole):
            np.testing.assert_array_equal(got, one)
    # Each size that fails is tried once: six halvings of 40 at most.
    assert sum(n > limit for n in device.sizes) <= 6


def test_warning_is_logged_once_and_retries_back_off(caplog):
    pytest.importorskip('torch')
    device, batches = Device(4), Batches()
    x = np.ones((8, 3), np.float32)
    with caplog.at_level(logging.INFO):
        for _ in range(2000):
            batches.run(device.infer, [x, x])
    assert [r.getMessage() for r in caplog.records] == [
        'the device memory is too small for a batch of 8 faces: using batches of 4, which is '
        'slower (CUDA out of memory. Tried to allocate 20.00 MiB)']
    assert 3 <= device.sizes.count(8) <= 6
    device.limit = 8
    for _ in range(2000):
        batches.run(device.infer, [x, x])
    assert device.sizes[-100:] == [8] * 100


def test_single_face_that_does_not_fit_fails_and_the_next_call_tries_again():
    pytest.importorskip('torch')
    device, batches = Device(0), Batches()
    freed = []
    x = np.ones((5, 3), np.float32)
    for _ in range(3):
        with pytest.raises(ModelError, match='one face: CUDA out of memory.*device to cpu') as e:
            batches.run(device.infer, [x, x], lambda: freed.append(1))
        assert '\n' not in str(e.value)
    assert len(freed) == 5
    device.limit = 100
    assert len(batches.run(device.infer, [x, x])[0]) == 5


def test_torch_network_splits_batches_and_frees_its_memory(monkeypatch):
    torch = pytest.importorskip('torch')
    from gaze_ros.core.runtimes.torch_runtime import TorchNetwork

    class Heads(torch.nn.Module):

        def __init__(self):
            super().__init__()
            self.net = torch.nn.Conv2d(3, 4, 3)

        def forward(self, x):
            if len(x) > 3:
                raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB. So.')
            out = self.net(x).mean((2, 3))
            return out, -out

    torch.manual_seed(0)
    module = Heads()
    net = TorchNetwork(module, device='cpu', precision='fp32', threads=1)
    x = np.random.default_rng(0).normal(size=(10, 3, 8, 8)).astype(np.float32)
    with torch.inference_mode():
        whole = module.net(torch.from_numpy(x)).mean((2, 3)).numpy()
    plus, minus = net(x)
    np.testing.assert_allclose(plus, whole, atol=1e-6)
    np.testing.assert_allclose(minus, -whole, atol=1e-6)
    # A replaced model must not wait for the garbage collector: its GPU memory is needed.
    gone = weakref.ref(net)
    gc.disable()
    try:
        del net
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(('error', 'exhausted'), [
    (RuntimeError('MPS backend out of memory (MPS allocated: 5.40 GB, other: 1 MB).'), True),
    (RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate'), True),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 12 bytes"), True),
    (MemoryError(), True),
    (RuntimeError('mat1 and mat2 shapes cannot be multiplied (1x8 and 9x5)'), False),
    (ValueError('x'), False)])
def test_out_of_memory_errors_are_recognised(error, exhausted):
    assert is_out_of_memory(error) is exhausted
    assert one_line(error)
    device, batches = Device(99), Batches()

    def infer(*inputs):
        if len(inputs[0]) > 1:
            raise error
        return device.infer(*inputs)

    x = np.ones((2, 3), np.float32)
    if exhausted:
        assert len(batches.run(infer, [x, x])[0]) == 2
    else:
        with pytest.raises(type(error)):
            batches.run(infer, [x, x])
