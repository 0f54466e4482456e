"""Our conversions against ROS 2's cv_bridge, where installed, and which cv_bridge is used."""
import array
import subprocess
import sys

from gaze_ros.ros.comm import conversions, other_encodings
from gaze_ros.ros.comm.conversions import image_to_bgr
import numpy as np
import pytest
from sensor_msgs.msg import Image

#: sensor_msgs names that cv_bridge does not know, and types that it takes for no colour.
OURS_ALONE = {'uyvy', 'yuyv', 'nv12', 'nv21', 'nv24', *(
    f'{bits}UC{channels}' for bits in (8, 16) for channels in (1, 3, 4))}


def random_image(encoding, big=False, height=48, width=64, pad=0):
    """Return a message of random values in the whole range."""
    size, channels, _ = conversions._ENCODINGS[encoding]
    step = width * size * channels + pad * size * channels
    values = np.random.default_rng(1).integers(0, 256, height * step, dtype=np.uint8)
    return Image(height=height, width=width, encoding=encoding, step=step, is_bigendian=big,
                 data=array.array('B', values.tobytes()))


@pytest.fixture
def bridge():
    found, problem = other_encodings.cv_bridge()
    if found is None:
        pytest.skip(f"ROS 2's cv_bridge {problem}")
    return found


@pytest.mark.parametrize('pad', [0, 3])
@pytest.mark.parametrize('encoding', sorted(set(conversions._ENCODINGS) - OURS_ALONE))
def test_both_return_the_same_pixels(bridge, encoding, pad):
    message = random_image(encoding, pad=pad)
    ours, theirs = image_to_bgr(message), bridge.imgmsg_to_cv2(message, 'bgr8')
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    # cv_bridge rounds 16 bits; we keep the upper byte.
    tolerance = int('16' in encoding)
    assert np.abs(ours.astype(int) - theirs).max() <= tolerance


@pytest.mark.parametrize('encoding', sorted(OURS_ALONE - {'nv12', 'nv21', 'nv24'}))
def test_cv_bridge_refuses_what_we_convert(bridge, encoding):
    message = random_image(encoding)
    assert image_to_bgr(message).shape == (48, 64, 3)
    with pytest.raises(Exception, match='not a color format|Unrecognized image encoding'):
        bridge.imgmsg_to_cv2(message, 'bgr8')


#: An image of an encoding that our table lacks: prints its first pixel, or why there is none.
CONVERT = """
import sys
sys.path.insert(0, sys.argv[1])
from gaze_ros.ros.comm.conversions import image_to_bgr
from gaze_ros.ros.comm.other_encodings import cv_bridge
from sensor_msgs.msg import Image
try:
    image = image_to_bgr(Image(
        encoding='cmyk8', height=2, width=2, step=8, data=bytes(16)))
    print(image[0, 0].tolist(), cv_bridge()[1])
except ValueError as e:
    print(e, cv_bridge()[1], sep='|')
"""

BRIDGE = """
import numpy as np
class CvBridge:
    def imgmsg_to_cv2(self, message, encoding):
        assert (message.encoding, encoding) == ('cmyk8', 'bgr8')
        {}
"""


@pytest.mark.parametrize('compiled,returned,printed', [
    (True, 'return np.full((2, 2, 3), 7, np.uint8)', '[7, 7, 7] '),
    (True, 'raise RuntimeError("no")', "encoding 'cmyk8' is not one of"),
    (True, 'return np.zeros((9, 9), np.uint8)', "encoding 'cmyk8' is not one of"),
    (False, 'return np.full((2, 2, 3), 7, np.uint8)', '|is not that of ROS 2')])
def test_other_encodings_are_left_to_the_cv_bridge_of_ros_2(
        tmp_path, compiled, returned, printed):
    package = tmp_path / 'cv_bridge'
    package.mkdir()
    (package / '__init__.py').write_text(BRIDGE.format(returned))
    if compiled:
        (package / 'boost').mkdir()
        (package / 'boost' / '__init__.py').write_text('')
        (package / 'boost' / 'cv_bridge_boost.py').write_text('')
    done = subprocess.run([sys.executable, '-c', CONVERT, str(tmp_path)], text=True, check=True,
                          stdout=subprocess.PIPE)
    assert printed in done.stdout


def test_without_cv_bridge_the_error_names_our_encodings():
    message = Image(encoding='32FC1', height=2, width=2, step=8, data=bytes(16))
    with pytest.raises(ValueError, match='not one of: bgr8, .*it holds distances'):
        image_to_bgr(message)
