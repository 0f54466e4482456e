"""Convert a model's checkpoint for another runtime, and check that the results are equal.

For OpenVINO it can be quantised to int8, calibrated on a clip of yours; the loss is measured on
other faces of the clip. A file made from research-only weights has the same licence as these.
"""
import argparse
from pathlib import Path
import sys

from gaze_ros.cli import inputs
from gaze_ros.core.errors import GazeRosError

HELP = 'convert a model for another runtime'

#: Number of faces on which int8 is calibrated, and of other faces on which it is evaluated.
_CALIBRATION_FACES, _TEST_FACES = 300, 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from gaze_ros.core.estimators import CHOICES
    parser.add_argument('name', metavar='NAME', help='gaze model from gaze_ros models list')
    parser.add_argument('--format', required=True,
                        choices=('onnx', 'openvino', 'coreml', 'safetensors'))
    parser.add_argument('--weight', default='', metavar='FILE',
                        help='checkpoint [the one found by gaze_ros models path]')
    parser.add_argument('--head-order', default='auto', choices=CHOICES['head_order'],
                        help='as for the gaze node [auto]')
    parser.add_argument('--precision', default='fp32', choices=('fp32', 'fp16'),
                        help='precision of the weights; fp16 for openvino and coreml only [fp32]')
    parser.add_argument('--int8', default='', metavar='CLIP',
                        help='quantise to int8 for openvino, calibrated on the faces of a video '
                             'or folder of images')
    parser.add_argument('--output', default='', metavar='FILE',
                        help="[NAME with the format's suffix]")


def run(arguments: argparse.Namespace) -> int:
    """Write the file and check it; return the exit code."""
    from gaze_ros.core.estimators import export
    from gaze_ros.core.model_zoo import registry, store
    from gaze_ros.core.runtimes import CHECKPOINTS

    form, entry = arguments.format, registry.entry(arguments.name)
    if not entry.architecture or entry.family not in ('mobilegaze', 'l2cs'):
        raise GazeRosError(
            f"model '{entry.name}' has no checkpoint to export; models with one: "
            + ', '.join(m.name for m in registry.manifest() if m.family in ('mobilegaze', 'l2cs')))
    if arguments.int8 and form != 'openvino':
        raise GazeRosError(f"--int8 is for --format openvino, not for '{form}'")
    if arguments.precision == 'fp16' and form not in ('openvino', 'coreml'):
        raise GazeRosError(f"--precision fp16 is for openvino and coreml, not for '{form}'")
    target = Path(arguments.output or entry.name).absolute()
    if target.suffix != export.FORMATS[form]:
        target = target.with_name(target.name + export.FORMATS[form])
    onnx = ('.onnx',) if form == 'openvino' else ()
    path = Path(arguments.weight) if arguments.weight else store.find(
        entry.name, suffixes=(*CHECKPOINTS, *onnx))
    if path.resolve() == target.resolve():
        raise GazeRosError(f"'{target}' is the weight: it would be overwritten")
    model = export.read(entry, path, arguments.head_order)
    if not entry.may_be_shipped:
        print(f'{entry.name}: licence {entry.licence}; it applies to the exported file, too',
              file=sys.stderr)
    if arguments.int8:
        return _quantise(entry, model, inputs.existing(arguments.int8), target)
    export.export(model, entry.architecture, form, target, arguments.precision)
    if form == 'coreml':
        print('not checked: Core ML runs on macOS only', file=sys.stderr)
    else:
        try:
            _check(entry, path, target, arguments.head_order)
        except GazeRosError:
            target.unlink()
            if form == 'openvino':
                target.with_suffix('.bin').unlink()
            raise
    print(target)
    return 0


def _check(entry, path: Path, target: Path, head_order: str) -> None:
    """Compare the exported file with the original, in fp32, on noise images."""
    from gaze_ros.core.estimators import Settings
    from gaze_ros.core.estimators.binned_estimator import BinnedEstimator, INPUT_SIZE
    import numpy as np
    rng = np.random.default_rng(0)
    faces = [rng.integers(0, 256, (14, 14, 3), np.uint8).repeat(32, 0).repeat(32, 1)
             for _ in range(8)]
    assert faces[0].shape[0] == INPUT_SIZE
    runtimes = {'.onnx': 'auto', '.xml': 'openvino', '.safetensors': 'torch'}
    angles = []
    for file, order in ((path, head_order), (target, 'auto')):
        estimator = BinnedEstimator(entry, Settings(
            weight=str(file), precision='fp32', head_order=order, device='cpu',
            runtime=runtimes.get(file.suffix, 'torch')))
        angles.append(estimator.angles(faces))
        estimator.close()
    difference = np.degrees(np.abs(angles[0] - angles[1])).max()
    print(f'maximum difference from the original on noise images: {difference:.3f} deg',
          file=sys.stderr)
    if not difference < 0.5:
        raise GazeRosError(f"'{target}' gives other results than '{path}': do not use it")


def _quantise(entry, model, clip: Path, target: Path) -> int:
    from gaze_ros.core.estimators import export, Settings
    from gaze_ros.core.estimators.binned_estimator import BinnedEstimator
    from gaze_ros.core.evaluation.metrics import angular_errors, correlation
    import numpy as np

    faces = _faces(clip)
    if len(faces) < 20:
        raise GazeRosError(
            f"'{clip}' shows {len(faces)} faces; int8 calibration needs at least 20, better 300")
    graph = export.openvino_model(model)
    fp32 = target.with_name(f'.{target.stem}-fp32.xml')
    export.save_openvino(graph, fp32)
    try:
        export.save_openvino(
            export.quantised(graph, faces[0::2][:_CALIBRATION_FACES]), target)
        angles = []
        for file, precision in ((fp32, 'fp32'), (target, 'int8')):
            estimator = BinnedEstimator(entry, Settings(
                weight=str(file), runtime='openvino', device='cpu', precision=precision))
            angles.append(estimator.angles(faces[1::2][:_TEST_FACES]))
            estimator.close()
    finally:
        fp32.unlink(missing_ok=True)
        fp32.with_suffix('.bin').unlink(missing_ok=True)
    errors = np.degrees(angular_errors(*angles))
    r = [correlation(angles[0][:, i], angles[1][:, i]) or 0.0 for i in (0, 1)]
    print(target)
    print(f'int8 against fp32 on {len(errors)} other faces of {clip.name}: mean '
          f'{errors.mean():.2f} deg, median {np.median(errors):.2f}, 95 % below '
          f'{np.percentile(errors, 95):.2f}; r pitch {r[0]:.3f}, yaw {r[1]:.3f}')
    return 0


def _faces(clip: Path) -> list:
    """Return face crops spread over a clip, as the estimator's input."""
    from gaze_ros.core.detectors import create_detector
    from gaze_ros.core.estimators.binned_estimator import face_input
    from gaze_ros.core.sources import open_source
    from tqdm import tqdm
    detector, faces, index = create_detector(), [], 0
    source = open_source(clip)
    try:
        wanted = _CALIBRATION_FACES + _TEST_FACES
        step = max(1, source.count // wanted)
        bar = tqdm(total=source.count or None, desc='faces', unit='frame', disable=None)
        # Some videos do not say how many images they have.
        while len(faces) < 4 * wanted and (image := source.read()) is not None:
            if index % step == 0:
                crops = (face_input(image, face) for face in detector.detect(image)[:3])
                faces += [crop for crop in crops if crop is not None]
            index += 1
            bar.update()
    finally:
        source.close()
        detector.close()
    return faces[::max(1, len(faces) // wanted)]
