"""Estimate gaze in every image of a bag and write a bag of GazeArray messages."""
import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, ExitStack
from pathlib import Path
import signal
import sys
from threading import Event
from typing import TYPE_CHECKING

from gaze_ros.cli import options
from gaze_ros.core.errors import GazeRosError, SourceError

if TYPE_CHECKING:
    from gaze_ros.core.types import FrameGaze
    import numpy as np
    from std_msgs.msg import Header

HELP = 'estimate gaze in a bag'

#: Parameters of the nodes without meaning here: every image of a bag is processed, in order.
_NODES_ONLY = ('image_transport', 'frame_skip', 'max_age', 'queue_depth', 'parallel', 'depth')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('input', metavar='IN', help='rosbag2 folder, or .mcap or .db3 file')
    parser.add_argument('output', metavar='OUT',
                        help='rosbag2 folder to create, or a file that ends in .mcap')
    parser.add_argument('--topic', default='', help='image topic [the only one in the bag]')
    parser.add_argument('--camera-info', metavar='TOPIC', default='',
                        help="camera_info topic [camera_info in the image topic's namespace]")
    parser.add_argument('--annotated', action='store_true',
                        help='also write annotated images, as JPEG')
    parser.add_argument('--overlays', action='store_true',
                        help='also write boxes, arrows and labels, which Foxglove draws over the '
                        'images of IN')
    options.add(parser, *_NODES_ONLY, nodes=True)
    parser.add_argument('--quiet', action='store_true', help='no progress bar')


def run(arguments: argparse.Namespace) -> int:
    """Process the whole bag; return the exit code."""
    from gaze_ros.bags.reading import BagReader
    from gaze_ros.bags.streams import find_streams
    from gaze_ros.bags.writing import BagWriter
    from gaze_ros.core.pipeline.engine import create_engine
    from gaze_ros.ros.offline import BagImages
    from tqdm import tqdm

    if arguments.detect_interval == 0:
        raise GazeRosError("detect_interval 0 adapts to this machine's speed, but a bag must give "
                           'the same result on every machine: set it to 1 or more')
    with ExitStack() as stack:
        reader = BagReader(Path(arguments.input))
        stack.callback(reader.close)
        streams = find_streams(reader.topics, arguments.topic, arguments.camera_info)
        gaze = f'{streams.namespace}/gaze'
        outputs = _outputs(gaze, arguments.overlays, arguments.annotated)
        engine = create_engine(options.values(arguments))
        stack.callback(engine.close)
        interrupted = stack.enter_context(_interruption())
        writer = BagWriter(
            Path(arguments.output), {topic: kind for topic, (kind, _) in outputs.items()})
        count = reader.topics[streams.images].count
        processed = faces = 0
        try:
            bar = stack.enter_context(tqdm(
                total=count, unit='frame', disable=arguments.quiet or None))
            images = BagImages(engine, reader, streams,
                               lambda text: tqdm.write(text, file=sys.stderr))
            for time, header, image, frame in images:
                for topic, (_, message) in outputs.items():
                    writer.add(topic, time, message(image, frame, header))
                processed += 1
                faces += len(frame.gazes)
                bar.update()
                if interrupted.is_set():
                    break
            bar.close()
            if not processed:
                raise SourceError(f"'{streams.images}' in bag '{arguments.input}' holds no image "
                                  'that can be decoded')
            path = writer.close(processed + images.failed >= count or not interrupted.is_set())
        except BaseException as e:
            if processed and isinstance(e, SourceError):
                path = writer.close(False)
                raise SourceError(
                    f"{e}; the gaze of the {processed} images before that is in '{path}'") from e
            writer.discard()
            raise
    print(f"{processed} frames, {faces / processed:.2f} faces per frame, in '{path}'; "
          f'{engine.description}', file=sys.stderr)
    if incomplete := path != writer.path:
        print(f'gaze_ros bag: interrupted after {processed} of {count} images', file=sys.stderr)
    elif processed < count:
        print(f'gaze_ros bag: {count - processed} of {count} images were skipped',
              file=sys.stderr)
    return 130 if incomplete else 0


def _outputs(gaze: str, overlays: bool, annotated: bool
             ) -> 'dict[str, tuple[str, Callable[[np.ndarray, FrameGaze, Header], memoryview]]]':
    """Return the type of each topic, and what makes its serialized message.

    :param gaze: the topic of gaze; the others are below it.
    """
    from gaze_ros.bags.foxglove import ANNOTATIONS
    from gaze_ros.ros.offline import ANNOTATED, annotated_cdr, GAZE, gaze_cdr
    from gaze_ros.ros.publishers.annotations import annotations_cdr
    outputs = {gaze: (GAZE, lambda image, frame, header: gaze_cdr(frame, header))}
    if overlays:
        outputs[f'{gaze}/annotations'] = (
            ANNOTATIONS, lambda image, frame, header: annotations_cdr(frame, header))
    if annotated:  # last: it draws into the image
        outputs[f'{gaze}/image_annotated/compressed'] = ANNOTATED, annotated_cdr
    return outputs


@contextmanager
def _interruption() -> Iterator[Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets; the second one aborts."""
    interrupted = Event()
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def on_signal(number: int, frame: object) -> None:
        interrupted.set()
        restore()

    for number in previous:
        signal.signal(number, on_signal)
    try:
        yield interrupted
    finally:
        restore()
