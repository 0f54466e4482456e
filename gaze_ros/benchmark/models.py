"""Time per face of a model, by runtime, precision, device and batch size."""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Optional

from gaze_ros.core.errors import GazeRosError, ModelError
from gaze_ros.core.estimators import create_estimator, Estimator, Settings
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.model_zoo.fetch import fetchable
from gaze_ros.core.runtimes import available, CHECKPOINTS, installed, RUNTIMES
from gaze_ros.core.system import native_threads
from gaze_ros.core.types import Face
import numpy as np

#: Families whose models are networks of :mod:`gaze_ros.core.networks`: every runtime runs them.
_NETWORKS = ('mobilegaze', 'l2cs')

#: Precisions of each runtime by device. A machine that lacks one refuses it when loading.
_PRECISIONS = {
    ('openvino', 'cpu'): ('fp32', 'bf16', 'int8'), ('openvino', 'npu'): ('fp16', 'int8'),
    ('torch', 'cpu'): ('fp32', 'bf16'), ('torch', 'cuda'): ('fp32', 'fp16', 'bf16'),
    ('torch', 'mps'): ('fp32', 'fp16'),
    ('coreml', 'cpu'): ('fp32',), ('coreml', 'mps'): ('fp16',), ('coreml', 'npu'): ('fp16',)}

#: A turn is one call that is not measured, then calls for this time in s, at most this many.
_TURN, _MAX_CALLS = 0.25, 15

#: Images in which a face is searched, and bins of the heads of random weights.
_MAX_IMAGES, _BINS = 300, 90

#: Side of the matrices that measure the arithmetic rate of a device, and number of products.
_SIDE, _PRODUCTS = 4096, 30


@dataclass(eq=False)
class Run:
    """One way to run a model.

    :ivar threads: of the CPU; 0 where the device or the model decides.
    :ivar seconds: of each measured call, by the number of faces.
    """

    model: str
    estimator: Estimator
    runtime: str
    device: str
    precision: str
    threads: int
    weight: str
    random_weights: bool = False
    seconds: dict[int, list[float]] = field(default_factory=dict)

    @property
    def milliseconds(self) -> dict[int, float]:
        """Median time of a call, by the number of faces."""
        return {n: 1e3 * float(np.median(taken)) for n, taken in self.seconds.items()}


def devices() -> list[str]:
    """Return the devices that installed runtimes find on this machine."""
    every = dict.fromkeys(device for row in RUNTIMES.values() for device in row[3])
    return [device for device in every
            if any(installed(name) and available(name, device) for name in RUNTIMES)]


def how_to_install(entry: registry.Model) -> str:
    """Return how to get the missing files of a model; '' if all are installed."""
    files = [entry, *(registry.entry(part, 'part') for part in entry.parts)]
    lacking = [m for m in files if m.needs_weight and store.locate(m.name, m.kind) is None]
    if not lacking:
        return ''
    if not all(any(file.url or file.bin for file in m.files) for m in lacking):
        return f'by hand: {entry.source}'
    accept = '' if entry.may_be_shipped else ' --accept-license'
    digest = '' if all(fetchable(m) for m in lacking) else ' --sha256 DIGEST'
    return f'gaze_ros models fetch {entry.name}{accept}{digest}'


def settings_of(entry: registry.Model, device: str, weight: str = '') -> Iterator[Settings]:
    """Yield all settings with which this machine may run a model on a device.

    :param weight: file of the model; '' for the files of the model store.
    """
    if entry.family not in _NETWORKS:
        if device == 'cpu':
            precisions = ('fp32', 'bf16') if entry.family == 'adas' else ('auto',)
            for precision in precisions:
                yield Settings(weight=weight, precision=precision)
        return
    for runtime, row in RUNTIMES.items():
        if not (installed(runtime) and available(runtime, device)):
            continue
        for precision in _PRECISIONS.get((runtime, device), ('fp32',)):
            # Only an IR may be quantized; it then runs in int8, whatever precision is requested.
            readable = ('.xml',) if precision == 'int8' else sorted(
                row[4], key=('.onnx', *CHECKPOINTS, '.xml', '.mlpackage').index)
            path = Path(weight) if weight else store.locate(entry.name, suffixes=readable)
            if path is None or path.suffix.lower() not in readable:
                continue
            for count in _threads(runtime, device, precision):
                yield Settings(weight=str(path), runtime=runtime, device=device,
                               precision=precision, threads=count)


def _threads(runtime: str, device: str, precision: str) -> list[int]:
    """Return the thread counts to try: one was often as fast as all in torch."""
    if device != 'cpu':
        return [0]
    every = native_threads.thread_count()
    return sorted({1, every}) if (runtime, precision) == ('torch', 'fp32') else [every]


def open_run(entry: registry.Model, settings: Settings, random_weights: bool = False) -> Run:
    """Load a model; raise ModelError if this machine cannot run it with these settings."""
    estimator = create_estimator(entry.name, settings)
    runtime, device, precision = estimator.running.split(', ')
    if settings.precision not in ('auto', precision):
        estimator.close()
        raise ModelError(f'it runs in {precision}')
    return Run(entry.name, estimator, runtime, device, precision, settings.threads,
               '' if random_weights else settings.weight, random_weights)


def save_random(entry: registry.Model, folder: Path) -> Path:
    """Save an untrained checkpoint of a model's network, for speed only; return its path."""
    from gaze_ros.core.networks import build
    import torch
    path = folder / f'{entry.architecture}.pt'
    torch.save(build(entry.architecture, _BINS).state_dict(), path)
    return path


def find_face(source: str) -> tuple[np.ndarray, Face]:
    """Return the first image of a source that shows a face, and the face.

    :returns: (H, W, 3) uint8 BGR, and the detector's first face.
    :raises GazeRosError: if no face is found, or the source cannot be opened.
    """
    from gaze_ros.core.detectors import create_detector
    from gaze_ros.core.sources import open_source
    detector = create_detector()
    opened = open_source(source)
    try:
        for _ in range(_MAX_IMAGES):
            if (image := opened.read()) is None:
                break
            height, width = image.shape[:2]
            for face in detector.detect(image):
                if min(face.clipped(width, height)[2:]) > 0:
                    return image, face
    finally:
        opened.close()
        detector.close()
    raise GazeRosError(f"input '{source}' shows no face in its first {_MAX_IMAGES} images")


def time_calls(run: Run, image: np.ndarray, face: Face, faces: int) -> None:
    """Measure calls of a run on N copies of a face in a (H, W, 3) uint8 BGR image."""
    if (run.runtime, run.device) == ('torch', 'cpu'):
        import torch
        torch.set_num_threads(run.threads)  # global in a process
    several = [face] * faces
    taken = run.seconds.setdefault(faces, [])
    # Not measured: the caches hold the data of the run before.
    run.estimator.estimate(image, several)
    first = until = perf_counter()
    for _ in range(_MAX_CALLS):
        start = perf_counter()
        run.estimator.estimate(image, several)
        until = perf_counter()
        taken.append(until - start)
        if until - first > _TURN:
            break


def further_share(milliseconds: dict[int, float]) -> Optional[float]:
    """Return the mean time of faces 2 to 8 as a share of the first; None if unknown."""
    if not {1, 8} <= milliseconds.keys():
        return None
    return (milliseconds[8] - milliseconds[1]) / 7 / milliseconds[1]


def operations(architecture: str) -> int:
    """Return the floating point operations of convolutions and linear layers for one face.

    A multiplication and its addition count as 2. These layers are 99 % of a network.
    """
    from gaze_ros.core.estimators.binned_estimator import INPUT_SIZE
    from gaze_ros.core.networks import build
    import torch
    from torch import nn
    total = 0

    def count(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        # Number of weights that contribute to one output value.
        total += 2 * output.numel() * layer.weight[0].numel()

    with torch.device('meta'):  # shapes without data
        net = build(architecture, _BINS).eval()
        for layer in net.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.register_forward_hook(count)
        net(torch.empty(1, 3, INPUT_SIZE, INPUT_SIZE))
    return total


def matmul_rate(precision: str) -> float:
    """Return the floating point operations per second of CUDA in a large matrix product.

    fp32 uses TF32 where convolutions do. A small network does not reach this rate: its layers wait
    for memory and for one another.
    """
    import torch
    kind = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}[precision]
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        a, b = (torch.randn(_SIDE, _SIDE, device='cuda', dtype=kind) for _ in range(2))
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        for _ in range(_PRODUCTS):  # the clock rate rises under load
            a @ b
        start.record()
        for _ in range(_PRODUCTS):
            a @ b
        end.record()
        torch.cuda.synchronize()
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return _PRODUCTS * 2 * _SIDE ** 3 / (1e-3 * start.elapsed_time(end))


def arithmetic_floors(runs: Sequence[Run]) -> dict[Run, dict[str, float]]:
    """Return the time that the arithmetic alone takes of each run on CUDA, ms per face."""
    rates: dict[str, float] = {}
    found = {}
    for run in runs:
        entry = registry.entry(run.model)
        if run.device != 'cuda' or not entry.architecture:
            continue
        if run.precision not in rates:
            rates[run.precision] = matmul_rate(run.precision)
        flops = operations(entry.architecture)
        found[run] = {'gflop': 1e-9 * flops, 'matmul_tflops': 1e-12 * rates[run.precision],
                      'ms': 1e3 * flops / rates[run.precision]}
    return found
