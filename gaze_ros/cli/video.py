"""Estimate gaze in every frame of a video, an image or a folder of images, without ROS."""
import argparse
from contextlib import closing, ExitStack
from io import TextIOWrapper
import math
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from gaze_ros.cli import inputs, options
from gaze_ros.core.errors import GazeRosError, SourceError
from gaze_ros.core.output import safe_paths
from gaze_ros.core.parameters import CAMERA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaze_ros.core.sources import Source
    import numpy as np

HELP = 'estimate gaze in a file'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('input', help='video, image or folder of images')
    parser.add_argument('--output', metavar='OUT.mp4', default='', help='annotated video')
    parser.add_argument('--json', metavar='OUT.jsonl', default='',
                        help="write one JSON object per frame and line; '-' for standard output")
    rotate = next(spec for spec in CAMERA if spec.name == 'rotate')
    parser.add_argument('--rotate', choices=rotate.choices, default=rotate.default,
                        help='clockwise rotation (degrees) of the images, so that people are '
                        f'upright; auto: found from images with a face [{rotate.default}]')
    options.add(parser)
    parser.add_argument('--quiet', action='store_true', help='no progress bar')


def run(arguments: argparse.Namespace) -> int:
    """Process the whole input; return the exit code."""
    from gaze_ros.core.output.drawing import draw
    from gaze_ros.core.output.jsonl import json_line
    from gaze_ros.core.output.video_recorder import VideoRecorder
    from gaze_ros.core.pipeline.engine import create_engine
    from gaze_ros.core.pipeline.side_by_side import process_file
    from gaze_ros.core.sources import open_source
    from gaze_ros.core.sources.capture import VideoFile
    from tqdm import tqdm

    path = inputs.existing(arguments.input)
    with ExitStack() as stack:
        inputs.check_outputs((arguments.output, arguments.json), (
            path, arguments.weight, arguments.detector_weight, arguments.gaze_calibration_file))
        rotation = _rotation(arguments, path)
        source = open_source(path)
        stack.callback(source.close)
        engine = create_engine(options.values(arguments))
        stack.callback(engine.close)
        recorder = VideoRecorder(
            arguments.output, source.recording_rate() if isinstance(source, VideoFile)
            else source.rate, math.inf) if arguments.output else None
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
        results = stack.enter_context(closing(process_file(
            engine, _images(source, rotation), source.count, options.values(arguments))))
        for image, stamp, frame in results:
            faces += len(frame.gazes)
            if lines:
                lines.write(json_line(index, stamp, frame) + '\n')
            if recorder:
                draw(image, frame)
                recorder.add(image, stamp)
            index += 1
            bar.update()
        bar.total = index  # a video may only estimate it
    if lines and lines is sys.stdout:
        lines.flush()  # a full disk is reported instead of the summary, not after it
    if not index:
        raise SourceError(f"input '{arguments.input}' holds no frame that can be decoded")
    print(f'{index} frames, {faces / index:.2f} faces per frame; {engine.description}',
          file=sys.stderr)
    return 0


def _images(source: 'Source', rotation: int) -> 'Iterator[tuple[np.ndarray, float]]':
    """Yield each image of a file, rotated, and its time in seconds."""
    from gaze_ros.core.sources.rotation import rotate_image
    while (image := source.read()) is not None:
        yield rotate_image(image, rotation), source.stamp


def _rotation(arguments: argparse.Namespace, path: Path) -> int:
    """Return by how many degrees the images of a file are to be rotated clockwise."""
    if arguments.rotate != 'auto':
        return int(arguments.rotate)
    from gaze_ros.core.detectors import create_detector
    from gaze_ros.core.sources import open_source
    from gaze_ros.core.sources.rotation import find_rotation
    with closing(open_source(path)) as source:
        return find_rotation(source, create_detector(
            arguments.detector, weight=arguments.detector_weight, size=arguments.detector_size,
            threads=arguments.threads))


def _open_text(path: str):
    try:
        return TextIOWrapper(safe_paths.open_output(path), encoding='utf-8')
    except OSError as e:
        raise GazeRosError(f"'{path}' cannot be written: {e}") from e
