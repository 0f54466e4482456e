"""Run the pipeline for some seconds without a screen; save the video and the gaze."""
import argparse
from io import TextIOWrapper
from pathlib import Path
import signal
import subprocess
import sys
import time

from gaze_ros.cli import inputs
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import safe_paths
from gaze_ros.core.system.urls import local_path, redact_url
from gaze_ros.core.system.utf8 import is_utf8

HELP = 'run the pipeline for some seconds and check that it works'

# Removes the '' that -c puts on the path: it would import modules of the current folder.
_PIPELINE = ('import sys; sys.path[:] = filter(None, sys.path); '
             'from gaze_ros.ros.process.entry_points import pipeline; sys.exit(pipeline())')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('--seconds', type=float, default=15.0,
                        help='duration from the first gaze message on (default: 15)')
    parser.add_argument('--source', default='sample', help='source of the camera node')
    parser.add_argument('--out', default='out', help='folder for demo.mp4 and gaze.jsonl')
    parser.add_argument('-p', '--parameter', action='append', default=[], metavar='NAME:=VALUE',
                        help='parameter of the nodes; may be repeated')


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return 0 only if faces were found and GazeArray messages arrived."""
    try:
        out = safe_paths.safe_folder(arguments.out)
    except OSError as e:
        raise GazeRosError(f"'{arguments.out}' cannot be created: {e}") from e
    video, lines = out / 'demo.mp4', out / 'gaze.jsonl'
    for name in (arguments.source, str(video), *arguments.parameter):
        if not is_utf8(name):
            raise GazeRosError(f"'{name}' is not UTF-8, and a ROS parameter must be: rename the "
                               'file or folder')
    inputs.check_outputs((str(video), str(lines)), [] if '://' in arguments.source else [
        local_path(arguments.source)])
    import rclpy  # noqa: F401, if it is missing, it is reported before anything is started
    video.unlink(missing_ok=True)
    parameters = [f'source:={arguments.source}', f'output:={video}', 'loop:=true',
                  *arguments.parameter]
    pipeline = subprocess.Popen(  # noqa: S603, our own interpreter and code
        [sys.executable, '-c', _PIPELINE, '--ros-args',
         *(argument for p in parameters for argument in ('-p', p))])
    try:
        messages, faces = _listen(pipeline, lines, arguments.seconds)
    finally:
        pipeline.send_signal(signal.SIGINT)
        try:
            code = pipeline.wait(5)
        except subprocess.TimeoutExpired:
            pipeline.kill()
            code = pipeline.wait()
    print(f'{messages} GazeArray messages with {faces} faces: {lines}; video: {video}')
    if code:
        raise GazeRosError(f'the pipeline exited with exit code {code}')
    if not messages:
        raise GazeRosError('no GazeArray message arrived on the topic gaze')
    if not faces:
        raise GazeRosError(f"no face was found in '{redact_url(arguments.source)}'")
    if not video.is_file():
        raise GazeRosError(f"'{video}' was not saved")
    return 0


def _listen(pipeline: subprocess.Popen, path: Path, seconds: float) -> tuple[int, int]:
    """Write the gaze messages to a file; return their number and that of their faces.

    Stops ``seconds`` after the first message, when the pipeline exits, or if no message arrives
    within 30 s.
    """
    from gaze_ros.core.output.jsonl import json_line
    from gaze_ros.msg import GazeArray
    from gaze_ros.ros.comm import dds_profile, topics
    from gaze_ros.ros.comm.conversions import frame_gaze
    from gaze_ros.ros.comm.conversions import seconds as as_seconds
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    dds_profile.configure()
    counts = [0, 0]
    with TextIOWrapper(safe_paths.open_output(path), encoding='utf-8') as file:
        def on_gaze(message: GazeArray) -> None:
            frame = frame_gaze(message)
            file.write(json_line(counts[0], as_seconds(message.header.stamp), frame) + '\n')
            counts[0] += 1
            counts[1] += len(frame.gazes)

        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        try:
            node = rclpy.create_node('gaze_ros_demo')
            node.create_subscription(GazeArray, topics.GAZE, on_gaze, topics.default_qos())
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            end = time.monotonic() + 30
            receiving = False
            while time.monotonic() < end and pipeline.poll() is None:
                executor.spin_once(timeout_sec=0.2)
                if counts[0] and not receiving:
                    receiving = True
                    end = time.monotonic() + seconds
            executor.shutdown()
            node.destroy_node()
        finally:
            rclpy.try_shutdown()
    return counts[0], counts[1]
