"""Check a model's pitch and yaw axes by the mirror test, which needs no labels.

An image and its mirror image must give opposite yaw and the same pitch.
"""
import argparse
from contextlib import ExitStack

from gaze_ros.cli import inputs, options
from gaze_ros.core.errors import GazeRosError

HELP = "check a model's axes on a clip"

#: Number of images used, spread over the clip.
_IMAGES = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument('--input', metavar='FILE', required=True,
                        help='video or folder of images in which people look around')
    # The images used are not consecutive.
    options.add(parser, 'detect_interval', 'parallel')


def run(arguments: argparse.Namespace) -> int:
    """Run the test; return 0 only if the axes are right."""
    from gaze_ros.core.evaluation.mirror_test import assess, mirror_angles
    from gaze_ros.core.pipeline.engine import create_engine
    from gaze_ros.core.sources import open_source
    import numpy as np
    from tqdm import tqdm

    path = inputs.existing(arguments.input)
    with ExitStack() as stack:
        source = open_source(path)
        stack.callback(source.close)
        engine = create_engine(options.values(arguments))
        stack.callback(engine.close)
        bar = stack.enter_context(tqdm(total=source.count or None, unit='frame', disable=None))
        step = max(1, source.count // _IMAGES)
        angles, index = [], 0
        while (image := source.read()) is not None:
            if index % step == 0:
                height, width = image.shape[:2]
                faces = [face for face in engine.detector.detect(image)
                         if all(face.clipped(width, height)[2:])]
                angles.append(mirror_angles(engine.estimator, image, faces))
            index += 1
            bar.update()
    test = assess(np.concatenate([np.empty((0, 4)), *angles]))
    print(f'{engine.estimator.name}: {test.n} faces in {len(angles)} images and their mirror '
          'images')
    print(f'{"":<12}{"r":>8}{"std, deg":>10}   should be')
    for axis, r, deviation, expected in (
            ('pitch', test.correlation_pitch, test.deviation_pitch_deg, 'r > 0.5'),
            ('yaw', test.correlation_yaw, test.deviation_yaw_deg, 'r < -0.5')):
        shown = '-' if r is None else f'{r:.2f}'
        print(f'{axis:<12}{shown:>8}{deviation:10.1f}   {expected}')
    if test.verdict != 'right':
        raise GazeRosError(f'{test.verdict}: {test.reason}')
    print('right: yaw changes its sign in the mirror image, pitch does not')
    return 0
