"""The parameters of all nodes: one table for nodes, command line, launch files, docs and tests."""
from dataclasses import dataclass
import re
from typing import Any, Optional, Union

from gaze_ros.core.attention import focus
from gaze_ros.core.detectors import DETECTORS
from gaze_ros.core.estimators import CHOICES, Settings
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.system.utf8 import is_utf8, printable

Value = Union[bool, int, float, str]


#: Names of the types for an error.
_KINDS = {bool: 'true or false', int: 'an integer', float: 'a number', str: 'a text'}


@dataclass(frozen=True)
class Spec:
    """One parameter. The default sets its type.

    :ivar low: smallest value; None for no limit.
    :ivar high: largest value; None for no limit.
    :ivar choices: the values it accepts, strings or integers; empty for any.
    :ivar live: whether it can be changed while the node is configured.
    :ivar accepts_int: whether an integer is accepted for a string: ``0`` for ``'0'``.
    :ivar pattern: regular expression that a string must match as a whole.
    """

    name: str
    default: Value
    description: str
    low: Optional[float] = None
    high: Optional[float] = None
    choices: tuple[Value, ...] = ()
    live: bool = False
    accepts_int: bool = False
    pattern: str = ''

    def problem(self, value: Any) -> str:
        """Return why a value is rejected, or ''."""
        if isinstance(self.default, float):
            fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        elif self.accepts_int:
            fits = isinstance(value, (int, str)) and not isinstance(value, bool)
            value = str(value)
        else:
            fits = type(value) is type(self.default)
        if not fits:
            return f'{self.name} must be {_KINDS[type(self.default)]}, not {value!r}' + (
                self._remedy(value))
        if isinstance(value, str) and not is_utf8(value):
            return f"{self.name} '{printable(value)}' is not UTF-8: rename the file or folder"
        if self.choices and value not in self.choices:
            return f"{self.name} '{value}' is not one of: {', '.join(map(str, self.choices))}"
        if self.pattern and not re.fullmatch(self.pattern, value):
            return f"{self.name} '{value}' does not match {self.pattern}: {self.description}"
        if self.low is not None and not self.low <= value <= self.high:
            return f'{self.name} {value} is not in {self.low:g}..{self.high:g}'
        return ''

    def _remedy(self, value: Any) -> str:
        """Return how a value of another type is to be written, or ''."""
        if isinstance(self.default, str) and isinstance(value, (bool, int, float)):
            return f': quote it, {self.name}:="\'{value}\'"'
        if isinstance(self.default, bool) and value in (0, 1):
            return f': write {str(bool(value)).lower()}'
        if isinstance(value, float) and value.is_integer():
            return f': write {int(value)}'
        return ''

    def convert(self, value: Any) -> Value:
        """Return an accepted value in the type of the default: 0 becomes 0.0."""
        return type(self.default)(value)


#: Image transports a node can subscribe to, as image_transport names them.
TRANSPORTS = ('raw', 'compressed', 'shared')

#: Maximum queue lengths a user may choose.
QUEUE_DEPTHS = ('auto', '1', '2', '4')

#: Numbers of images in flight a user may choose.
PARALLEL = ('auto', '1', '2', '3', '4', '6', '8', '12', '16')

_IMAGE_TRANSPORT = Spec(
    'image_transport', 'raw', 'Transport of the subscribed images. shared: shared memory of a '
    'camera node of this machine.', choices=TRANSPORTS, live=True)
_QUEUE_DEPTH = Spec(
    'queue_depth', 'auto', 'Maximum queued images; the oldest is dropped first. auto: what fits '
    'into one frame period.', choices=QUEUE_DEPTHS, accepts_int=True, live=True)

#: Parameters of every node.
COMMON = (
    Spec('autostart', True, 'Configure and activate the node at start-up. false: a lifecycle '
         'manager or ros2 lifecycle does it.'),
    Spec('warn_age', 0.5, 'Warn when the p95 latency exceeds this (s); 0 = off.', 0.0, 60.0,
         live=True),
    Spec('error_age', 5.0, 'Report an error when the p95 latency exceeds this (s); 0 = off.', 0.0,
         60.0, live=True),
    Spec('warn_rate', 0.0, 'Warn when the processed rate is below this (Hz); 0 = off.', 0.0,
         240.0, live=True),
    Spec('error_rate', 0.0, 'Report an error when the processed rate is below this (Hz); 0 = '
         'off.', 0.0, 240.0, live=True),
)

CAMERA = (
    Spec('source', '0', 'Webcam index, video file, image, folder of images, http or rtsp URL, '
         "or 'sample' for the built-in image.", accepts_int=True, live=True),
    Spec('rate', 0.0, "Playback rate of a file (frames/s); 0 = the file's own times.", 0.0, 1000.0,
         live=True),
    Spec('loop', False, 'Restart a file at its end.', live=True),
    Spec('width', 0, "Requested width in pixels; 0 = the driver's default.", 0, 16384),
    Spec('height', 0, "Requested height in pixels; 0 = the driver's default.", 0, 16384),
    Spec('fps', 0.0, "Requested frame rate (frames/s); 0 = the driver's default.", 0.0, 1000.0),
    Spec('frame_id', 'camera_optical', 'TF frame of the images, an optical frame: x right, y '
         'down, z forward.', live=True),
    Spec('camera_info_url', '', 'Calibration YAML: a path or a file:// or package:// URL.',
         live=True),
    Spec('exit_on_end', False, 'Exit the process at the end of a file.', live=True),
    Spec('jpeg_quality', 90, 'JPEG quality of camera/image_raw/compressed.', 1, 100, live=True),
    Spec('wait_for_subscribers', 1, 'Start a file when this many subscribers listen to its '
         'images, after 15 s at the latest; 0 = at once.', 0, 100, live=True),
    Spec('rotate', '0', 'Clockwise rotation (degrees) of the images and their calibration, so '
         'that people are upright. auto: found from the first images with a face.',
         choices=('0', '90', '180', '270', 'auto'), accepts_int=True, live=True),
)

GAZE = (
    Spec('model', 'auto', 'Gaze model. auto: the best installed model whose licence allows '
         'redistribution (fused, else adas, else mediapipe).',
         choices=('auto', *registry.model_names()), live=True),
    Spec('weight', '', 'Weights file of the model; empty = the file that gaze_ros models path '
         'finds.', live=True),
    Spec('dataset', Settings.dataset, 'Dataset the weights were trained on. auto: from the '
         'number of bins.', choices=CHOICES['dataset'], live=True),
    Spec('head_order', Settings.head_order, 'Whether a checkpoint names its horizontal and '
         'vertical heads correctly. auto: from the sha256 of the file.',
         choices=CHOICES['head_order'], live=True),
    Spec('crop', Settings.crop, 'Face crop. square: undistorted square. raw: the box stretched '
         'to a square, as yakhyo/gaze-estimation does.', choices=CHOICES['crop'], live=True),
    Spec('crop_scale', Settings.crop_scale, 'Side of a square crop divided by the square root '
         'of the box area.', 0.3, 3.0, live=True),
    Spec('input_size', Settings.input_size, 'Side of the face crop for models with two heads, '
         'in pixels. Smaller is faster and needs a smaller crop_scale: 0.75 for 320, 0.55 for '
         '224.', choices=CHOICES['input_size'], live=True),
    Spec('runtime', Settings.runtime, 'Inference runtime. auto: on a CPU the first installed of '
         'openvino, onnx and torch.', choices=CHOICES['runtime'], live=True),
    Spec('device', Settings.device, 'Inference device. auto: cuda, else mps, else cpu.',
         choices=CHOICES['device'], live=True),
    Spec('precision', Settings.precision, 'Inference precision. auto: the fastest of the '
         'device.', choices=CHOICES['precision'], live=True),
    Spec('threads', Settings.threads, 'Threads of the detector and of the model; 0 = one per '
         'core.', 0, 1024, live=True),
    Spec('detector', 'auto', 'Face detector. auto: the first installed, in the listed order.',
         choices=('auto', *DETECTORS), live=True),
    Spec('detector_weight', '', 'Weights file of the detector; empty = the file that gaze_ros '
         'models path finds.', live=True),
    Spec('detector_size', 0, 'Long side of the largest image in which the detector searches '
         "faces, in pixels; 0 = the detector's own. Larger finds smaller faces and takes longer.",
         choices=(0, 320, 384, 640, 960, 1280, 1920, 2560, 3840), live=True),
    Spec('detect_interval', 1, 'Run the detector every N images; faces are tracked in between. '
         '0 = adaptive.', 0, 100, live=True),
    Spec('max_faces', 0, 'Maximum number of faces, largest first; 0 = no limit.', 0, 100,
         live=True),
    Spec('min_score', 0.65, 'Minimum detector score of a new face. A tracked face needs half of '
         'it.', 0.0, 1.0, live=True),
    Spec('smoothing_time', 0.2, 'Time constant of the smoothing for a steady gaze (s); 0 = off.',
         0.0, 60.0, live=True),
    Spec('smoothing_beta', 1.5, 'Reduction of the smoothing while the gaze moves (Hz per '
         'rad/s); 0 = constant smoothing.', 0.0, 100.0, live=True),
    Spec('track_timeout', 1.0, 'How long an undetected face keeps its id (s).', 0.0, 60.0,
         live=True),
    Spec('track_prefix', 'f', 'Prefix of track ids: a letter, then letters, digits and _. Give '
         'each camera its own if several share TF or /humans. Existing tracks keep their id.',
         pattern='[A-Za-z][A-Za-z0-9_]*', live=True),
    Spec('looking_at_camera_angle', 0.25, 'Maximum angle between the gaze and the ray to the '
         'lens for looking_at_camera (rad).', 0.0, 3.14, live=True),
    Spec('looking_at_camera_hysteresis', 0.05, 'Extra angle (rad) before the state is released.',
         0.0, 1.0, live=True),
    Spec('looking_at_camera_dwell', 0.2, 'How long the gaze must stay at the lens, or off it, '
         'before the state changes (s).', 0.0, 10.0, live=True),
    Spec('interpupillary_distance', 0.063, "Distance between people's pupils (m); ranges scale "
         'with it. Adults: 0.063 (standard deviation 6 %); six-year-olds: 0.052.', 0.04, 0.08,
         live=True),
    Spec('horizontal_fov', 1.05, 'Assumed horizontal field of view of an uncalibrated camera '
         '(rad).', 0.1, 3.0, live=True),
    Spec('depth', False, 'Take the ranges of faces from the registered depth image on '
         'camera/depth_registered/image_rect; needs a calibrated camera.'),
    Spec('gaze_calibration_file', '', 'YAML file with the gaze calibration of a single user. It '
         'is read if it exists, and written by gaze/calibrate with save; empty = none.',
         live=True),
    _IMAGE_TRANSPORT,
    Spec('frame_skip', 0, 'Images to skip after each processed one.', 0, 100, live=True),
    Spec('max_age', 0.0, 'Drop images older than this when their processing would start (s); 0 '
         '= off.', 0.0, 3600.0, live=True),
    _QUEUE_DEPTH,
    Spec('parallel', 'auto', 'Images processed side by side, each with one thread: more images '
         'per second, each later. auto: 1, or more while one at a time is slower than the camera, '
         'up to the number of threads.', choices=PARALLEL, accepts_int=True, live=True),
)

VISUALIZER = (
    Spec('view', False, 'Open a window; press q in it to stop everything.'),
    Spec('output', '', 'File for the annotated video: .mp4, .avi or .mkv; empty = none.',
         live=True),
    _IMAGE_TRANSPORT,
    Spec('jpeg_quality', 90, 'JPEG quality of gaze/image_annotated/compressed.', 1, 100,
         live=True),
    _QUEUE_DEPTH,
    Spec('snapshot_folder', '', 'Folder for the images of the save_snapshot service; empty = '
         'the folder in which the node was started.', live=True),
)

PEOPLE = (
    Spec('publish_tf', True, 'Publish the TF frames face_<id> and gaze_<id>.', live=True),
    Spec('humans', False, 'Publish /humans (REP-155); needs hri_msgs.'),
    Spec('persons', True, 'With humans: publish a person for each face, with the engagement. Set '
         'it to false next to a person manager.'),
    Spec('engagement_distance', 2.0, 'Distance up to which a person can become engaged (m).', 0.1,
         20.0, live=True),
    Spec('engagement_duration', 1.5, 'How long a person must look at the robot to be engaged, or '
         'turn away from it to be disengaged (s).', 0.0, 60.0, live=True),
    Spec('looking_at_person_angle', 0.25, "Maximum angle between a gaze and another person's "
         'head for looking at that person (rad).', 0.0, 3.14, live=True),
    Spec('looking_at_person_hysteresis', 0.05, 'Extra angle (rad) before the state is released.',
         0.0, 1.0, live=True),
    Spec('looking_at_person_dwell', 0.3, 'How long the gaze must stay on a new target before '
         'attention changes (s).', 0.0, 10.0, live=True),
    Spec('targets_file', '', 'YAML file of the objects that people may look at; empty = none. '
         'Read when it is set.', live=True),
    Spec('looking_at_object_angle', 0.15, 'Angle by which a gaze may pass an object for looking '
         'at it (rad).', 0.0, 1.57, live=True),
    Spec('detections', '', 'Topic of vision_msgs/msg/Detection3DArray whose objects people may '
         'look at; empty = none. Needs vision_msgs.'),
    Spec('detections_2d', '', 'Topic of vision_msgs/msg/Detection2DArray whose objects people may '
         'look at; empty = none. Needs vision_msgs, a registered depth image as depth does, and a '
         'calibrated camera.'),
    Spec('focus_rule', focus.DEFAULT_RULE, 'Whom gaze/focus prefers, the most important '
         f'criterion first, separated by commas: {", ".join(focus.CRITERIA)}.',
         pattern='({0})(,({0}))*'.format('|'.join(focus.CRITERIA)), live=True),
    Spec('focus_hold', 1.0, 'How long another person must come first before gaze/focus changes '
         '(s).', 0.0, 60.0, live=True),
    Spec('focus_hysteresis', 0.2, 'Part by which another person must be nearer, or another face '
         'larger, than the one in gaze/focus.', 0.0, 10.0, live=True),
    _IMAGE_TRANSPORT,
    _QUEUE_DEPTH,
)

#: Parameters of each node of the pipeline.
NODES = {
    'camera': COMMON + CAMERA, 'gaze': COMMON + GAZE, 'visualizer': COMMON + VISUALIZER,
    'people': COMMON + PEOPLE}

REPLAY = (
    Spec('bag', '', 'rosbag2 folder, or a single .mcap or .db3 file.'),
    Spec('rate', 1.0, 'Playback speed relative to the recording.', 0.01, 100.0, live=True),
    Spec('loop', False, 'Restart the bag at its end; stamps keep increasing.', live=True),
    Spec('image_topic', '', 'Image topic in the bag; empty = the only one.'),
    Spec('wait_for_subscribers', 1, 'Start the bag when this many subscribers listen to its '
         'images, after 15 s at the latest; 0 = at once.', 0, 100, live=True),
    Spec('exit_on_end', True, 'Exit the process at the end of the bag.', live=True),
)

RECORDER = (
    Spec('output', '', 'Folder to create and record to; empty = gaze_ and the time, in the '
         'folder in which the node was started.'),
    Spec('images', False, 'Also record annotated images.'),
    Spec('overlays', False, "Also record the camera's images (JPEG) and camera_info, and boxes, "
         'arrows and labels that Foxglove draws over them.'),
)

#: Parameters of the nodes that replay and record bags.
BAG_NODES = {'replay': COMMON + REPLAY, 'recorder': COMMON + RECORDER}
