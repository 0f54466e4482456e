"""Estimate gaze in a bag: every picture, none dropped, into a bag of GazeArray messages."""
import argparse
from collections.abc import Iterator
from contextlib import contextmanager, ExitStack
from pathlib import Path
import signal
import sys
from threading import Event

from gaze_ros.cli import options
from gaze_ros.core.errors import GazeRosError, SourceError

HELP = 'estimate gaze in a bag'

#: Of the nodes alone: a bag's pictures come in one form, each in its turn.
_OF_NODES = ('image_transport', 'frame_skip', 'max_age', 'queue_depth', 'overlap')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('input', metavar='IN', help='rosbag2 folder, or .mcap or .db3 file')
    parser.add_argument('output', metavar='OUT',
                        help='rosbag2 folder to make, or a file that ends in .mcap')
    parser.add_argument('--topic', default='', help="the images' [the only one there]")
    parser.add_argument('--camera-info', metavar='TOPIC', default='',
                        help="the calibration's [camera_info beside the images]")
    parser.add_argument('--annotated', action='store_true',
                        help='write annotated images, too, as JPEG')
    options.add(parser, *_OF_NODES, nodes=True)
    parser.add_argument('--quiet', action='store_true', help='no progress bar')


def run(arguments: argparse.Namespace) -> int:
    """Process the whole bag; return the exit code."""
    from gaze_ros.bags.reading import BagReader
    from gaze_ros.bags.streams import find_streams
    from gaze_ros.bags.writing import BagWriter
    from gaze_ros.core.pipeline.engine import create_engine
    from gaze_ros.ros.offline import ANNOTATED, annotated_cdr, BagImages, GAZE, gaze_cdr
    from tqdm import tqdm

    if arguments.detect_interval == 0:
        raise GazeRosError('detect_interval 0 goes by how fast this machine is, and a bag is to '
                           'give the same gaze everywhere: give 1 or more')
    with ExitStack() as stack:
        reader = BagReader(Path(arguments.input))
        stack.callback(reader.close)
        streams = find_streams(reader.topics, arguments.topic, arguments.camera_info)
        gaze = f'{streams.namespace}/gaze'
        annotated = f'{gaze}/image_annotated/compressed'
        engine = create_engine(options.values(arguments))
        stack.callback(engine.close)
        asked = stack.enter_context(_asked_to_end())
        writer = BagWriter(Path(arguments.output), {
            gaze: GAZE, **({annotated: ANNOTATED} if arguments.annotated else {})})
        count = reader.topics[streams.images].count
        done = faces = 0
        try:
            bar = stack.enter_context(tqdm(
                total=count, unit='frame', disable=arguments.quiet or None))
            pictures = BagImages(engine, reader, streams,
                                lambda words: tqdm.write(words, file=sys.stderr))
            for time, header, bgr, frame in pictures:
                writer.add(gaze, time, gaze_cdr(frame, header))
                if arguments.annotated:
                    writer.add(annotated, time, annotated_cdr(bgr, frame, header))
                done += 1
                faces += len(frame.gazes)
                bar.update()
                if asked.is_set():
                    break
            bar.close()
            if not done:
                raise SourceError(f"'{streams.images}' in bag '{arguments.input}' holds no image "
                                  'that can be decoded')
            place = writer.close(done + pictures.failed >= count or not asked.is_set())
        except BaseException as e:
            if done and isinstance(e, SourceError):
                place = writer.close(False)
                raise SourceError(
                    f"{e}; gaze of the {done} images before that is in '{place}'") from e
            writer.discard()
            raise
    print(f"{done} frames, {faces / done:.2f} faces a frame, in '{place}'; {engine.description}",
          file=sys.stderr)
    if broken_off := place != writer.path:
        print(f'gaze_ros bag: broken off after {done} of {count} images', file=sys.stderr)
    elif done < count:
        print(f'gaze_ros bag: {count - done} of {count} images were left out', file=sys.stderr)
    return 130 if broken_off else 0


@contextmanager
def _asked_to_end() -> Iterator[Event]:
    """Give an event that the first Ctrl-C or SIGTERM sets; the second one breaks off."""
    asked = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def on_signal(number: int, frame: object) -> None:
        asked.set()
        restore()

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield asked
    finally:
        restore()
