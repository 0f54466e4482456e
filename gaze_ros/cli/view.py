"""Show the gaze in a browser: of running nodes, or of a video, an image or a bag."""
import argparse
from contextlib import closing, ExitStack
import math
from pathlib import Path
import sys
import time
from typing import TYPE_CHECKING

from gaze_ros.cli import inputs, options
from gaze_ros.core.attention.attention import AttentionTracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaze_ros.core.attention.targets import Target
    from gaze_ros.core.output.web_viewer import WebViewer
    from gaze_ros.core.pipeline.engine import Engine
    from gaze_ros.core.types import FrameGaze
    import numpy as np

HELP = 'show the gaze in a browser'

#: Parameters of the nodes without meaning here.
_NODES_ONLY = ('image_transport', 'frame_skip', 'max_age', 'queue_depth', 'parallel', 'depth')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('input', nargs='?', default='',
                        help='video, image, folder of images or bag [the running nodes]')
    parser.add_argument('--port', type=int, default=8080, help='of the page; the next free one if '
                        'it is in use [8080]')
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on; 0.0.0.0: '
                        'everybody in the network sees the images [127.0.0.1]')
    parser.add_argument('--namespace', default='', help='of the running nodes')
    parser.add_argument('--targets', metavar='FILE', default='', help='YAML file of what people '
                        'may look at, as targets_file of the people node')
    parser.add_argument('--topic', default='', help='image topic of a bag [the only one]')
    options.add(parser, *_NODES_ONLY, nodes=True)
    parser.add_argument('--ros-args', nargs=argparse.REMAINDER, default=[], help='for the running '
                        'nodes: namespace and remappings, as of every node')


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C; return the exit code."""
    from gaze_ros.core.attention.targets import load_targets
    from gaze_ros.core.output.web_viewer import WebViewer
    targets = load_targets(arguments.targets)
    path = inputs.existing(arguments.input) if arguments.input else None
    with ExitStack() as stack:
        viewer = WebViewer(arguments.port, arguments.host)
        stack.callback(viewer.close)
        if path is None:
            from gaze_ros.ros.live_view import show_nodes
            print(f'viewer: {viewer.url}', flush=True)
            return show_nodes(viewer, arguments.namespace, targets, arguments.ros_args)
        from gaze_ros.core.pipeline.engine import create_engine
        engine = create_engine(options.values(arguments))
        stack.callback(engine.close)
        print(f'viewer: {viewer.url}', flush=True)
        images = stack.enter_context(closing(_images(path, arguments.topic, engine)))
        try:
            _play(viewer, images, _in_camera_frame(targets))
            print('end of the input; Ctrl-C ends the viewer', flush=True)
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            return 0


def _in_camera_frame(targets: 'list[Target]') -> 'list[Target]':
    """Return the targets in the frame of the images; without TF the others are nowhere."""
    for frame in {target.frame for target in targets if target.frame}:
        print(f"targets in frame '{frame}' are not used: a file has no TF", file=sys.stderr)
    return [target for target in targets if not target.frame]


def _play(viewer: 'WebViewer', images: 'Iterator[tuple[np.ndarray, FrameGaze, float]]',
          targets: 'list[Target]') -> None:
    """Show images at their own pace, or slower if the machine is."""
    tracker, start = AttentionTracker(), math.nan
    while not viewer.watched:  # the beginning is not missed
        time.sleep(0.1)
    for image, frame, stamp in images:
        tracker.update(frame, round(1e9 * stamp), objects=targets)
        now = time.monotonic()
        if not math.isfinite(start) or now - start > stamp:
            start = now - stamp  # too slow: continue from here
        time.sleep(min(max(0.0, start + stamp - now), 1.0))
        viewer.show(image, frame, tracker.present, stamp, objects=targets, hits={
            attention.track_id: attention.hit.incidence.point for attention in tracker.present
            if attention.hit is not None and attention.track_id in tracker.at_objects})


def _images(path: Path, topic: str, engine: 'Engine'
            ) -> 'Iterator[tuple[np.ndarray, FrameGaze, float]]':
    """Yield image, gaze and seconds since the first image of a file or a bag."""
    if path.suffix in ('.mcap', '.db3') or (path / 'metadata.yaml').is_file():
        yield from _bag_images(path, topic, engine)
        return
    from gaze_ros.core.sources import open_source
    with closing(open_source(path)) as source:
        while (image := source.read()) is not None:
            yield image, engine.process(image, source.stamp), source.stamp


def _bag_images(path: Path, topic: str, engine: 'Engine'
                ) -> 'Iterator[tuple[np.ndarray, FrameGaze, float]]':
    from gaze_ros.bags.reading import BagReader
    from gaze_ros.bags.streams import find_streams
    from gaze_ros.ros.offline import BagImages
    first = None
    with closing(BagReader(path)) as reader:
        for recorded, _, image, frame in BagImages(
                engine, reader, find_streams(reader.topics, topic, ''), print):
            first = recorded if first is None else first
            yield image, frame, 1e-9 * (recorded - first)
