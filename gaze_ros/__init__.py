"""Faces in camera images and where each person looks: nodes and tools for ROS 2.

``gaze_ros.core`` needs no ROS; ``gaze_ros.ros`` holds the nodes; ``gaze_ros.msg`` and
``gaze_ros.srv`` are generated.
"""
import os
from pkgutil import extend_path
import sys

# This folder and the generated modules may be in two places: a source checkout before the
# installed package on the path.
__path__ = extend_path(__path__, __name__)

# No setup file is sourced in an environment installed by pip alone.
_prefixes = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
if sys.prefix not in _prefixes and os.path.exists(os.path.join(
        sys.prefix, 'share', 'ament_index', 'resource_index', 'packages', __name__)):
    os.environ['AMENT_PREFIX_PATH'] = os.pathsep.join([*_prefixes, sys.prefix])
