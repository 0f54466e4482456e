"""Encodings that only ROS 2's cv_bridge knows, where it is installed.

cv_bridge is used for nothing else, by these figures (docs/performance.md): an image of 1920x1080
takes it 0.3 to 10 ms, and conversions.py 0.003 to 1.5 ms, with equal pixels. The exception is
16-bit colour, 1.6 instead of 3.8 ms, where cv_bridge makes 10 to 14 bits almost black.
"""
from functools import cache
import re
from typing import Any, Optional

import numpy as np
from sensor_msgs.msg import Image

#: OpenCV's generic types, such as 32FC1: cv_bridge takes none of them for a colour.
_GENERIC = re.compile('[0-9]+[USF]')


@cache
def cv_bridge() -> tuple[Optional[Any], str]:
    """Return ROS 2's CvBridge, or None and why there is none."""
    try:
        from cv_bridge import CvBridge
    except ImportError as e:
        return None, f'not installed ({e})' if e.name == 'cv_bridge' else f'does not load: {e}'
    try:
        # Its compiled half. PyPI's cv-bridge, the Python file of ROS 1, has none; with numpy 2 it
        # fails, and it knows no YUV. Built against another numpy, it raises more than ImportError.
        from cv_bridge.boost import cv_bridge_boost  # noqa: F401
    except Exception as e:
        return None, f'is not that of ROS 2, or does not load: {type(e).__name__}: {e}'
    return CvBridge(), ''


def image_by_cv_bridge(message: Image) -> Optional[np.ndarray]:
    """Return an image message as a (H, W, 3) uint8 BGR array; None if cv_bridge cannot either."""
    bridge, _ = cv_bridge()
    if bridge is None or _GENERIC.match(message.encoding):
        return None
    try:
        image = bridge.imgmsg_to_cv2(message, 'bgr8')
    except Exception:  # CvBridgeError, and what numpy and OpenCV raise for inconsistent sizes
        return None
    shape = message.height, message.width, 3
    return image if image.shape == shape and image.dtype == np.uint8 else None
