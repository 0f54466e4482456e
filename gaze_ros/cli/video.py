"""Estimate gaze in a video, an image or a folder of images: every frame, none dropped, no ROS."""
import argparse
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
import sys

from gaze_ros.core.errors import GazeRosError, SourceError
from gaze_ros.core.parameters import GAZE, Spec, Value

HELP = 'estimate gaze in a file'

#: The gaze node's parameters are this verb's options.
_SPECS = tuple(spec for spec in GAZE if spec.name not in ('looking_at_camera_angle',
                                                          'horizontal_fov'))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('input', help='video, image or folder of images')
    parser.add_argument('--output', metavar='OUT.mp4', default='', help='annotated video')
    parser.add_argument('--json', metavar='OUT.jsonl', default='',
                        help="one JSON object a line for each frame; '-' for standard output")
    for spec in _SPECS:
        more = f' ({", ".join(spec.choices)})' if spec.choices else ''
        parser.add_argument(
            '--' + spec.name.replace('_', '-'), default=spec.default, type=_value(spec),
            metavar=type(spec.default).__name__.upper(),
            help=f'{spec.description}{more} [{spec.default}]')
    parser.add_argument('--quiet', action='store_true', help='no progress bar')


def _value(spec: Spec) -> Callable[[str], Value]:
    """Return what turns a word of the command line into the value of a parameter."""
    def convert(word: str) -> Value:
        value = spec.coerced(word)
        if why := spec.complaint(value):
            raise argparse.ArgumentTypeError(why)
        return value
    convert.__name__ = type(spec.default).__name__  # what argparse says was expected
    return convert


def run(arguments: argparse.Namespace) -> int:
    """Process the whole input; return the exit code."""
    from gaze_ros.core.detectors import create_detector
    from gaze_ros.core.drawing import draw
    from gaze_ros.core.engine import Engine
    from gaze_ros.core.estimators import create_estimator
    from gaze_ros.core.recording import VideoRecorder
    from gaze_ros.core.records import record
    from gaze_ros.core.sources import open_source
    from tqdm import tqdm

    path = Path(arguments.input)
    if not path.exists():
        raise SourceError(f"input '{path}' does not exist")
    if not (path.is_file() or path.is_dir()):
        raise SourceError(f"input '{path}' is no file: the pipeline takes cameras")
    with ExitStack() as stack:
        source = open_source(str(path.resolve()))
        stack.callback(source.close)
        engine = Engine(
            create_detector(arguments.detector, weight=arguments.detector_weight,
                            min_score=arguments.min_score),
            create_estimator(arguments.model, weight=arguments.weight, dataset=arguments.dataset,
                             device=arguments.device, threads=arguments.threads,
                             head_order=arguments.head_order),
            max_faces=arguments.max_faces, smoothing_time=arguments.smoothing_time,
            track_timeout=arguments.track_timeout)
        stack.callback(engine.close)
        for out in (arguments.output, arguments.json):
            if out and Path(out).resolve() == path.resolve():
                raise GazeRosError(f"'{out}' is the input: it would be overwritten")
        recorder = VideoRecorder(arguments.output, source.rate) if arguments.output else None
        if recorder:
            stack.callback(recorder.close)
        lines = None
        if arguments.json == '-':
            lines = sys.stdout
        elif arguments.json:
            lines = stack.enter_context(_open_text(arguments.json))
        bar = stack.enter_context(tqdm(
            total=source.count or None, unit='frame', disable=arguments.quiet or None))
        faces = index = 0
        while (picture := source.read()) is not None:
            stamp = index / source.rate
            frame = engine.process(picture, stamp)
            faces += len(frame.gazes)
            if lines:
                lines.write(record(index, stamp, frame) + '\n')
            if recorder:
                draw(picture, frame)
                recorder.add(picture, stamp)
            index += 1
            bar.update()
    if not index:
        raise SourceError(f"input '{arguments.input}' holds no frame that can be decoded")
    print(f'{index} frames, {faces / index:.2f} faces a frame', file=sys.stderr)
    return 0


def _open_text(path: str):
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return open(path, 'w', encoding='utf-8')
    except OSError as e:
        raise GazeRosError(f"'{path}' cannot be written: {e}") from e
