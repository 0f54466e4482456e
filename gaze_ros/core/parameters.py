"""The parameters there are: one table for nodes, command line, launch file, docs and tests."""
from dataclasses import dataclass
import re
from typing import Any, Optional, Union

from gaze_ros.core.detectors import DETECTORS
from gaze_ros.core.estimators import CHOICES, Settings
from gaze_ros.core.model_zoo import registry

Value = Union[bool, int, float, str]


@dataclass(frozen=True)
class Spec:
    """A parameter: its default sets its type, its other fields what values it takes.

    :ivar live: whether it can be changed while the node runs.
    :ivar choices: the values it may have, strings or whole numbers; none for any.
    :ivar pattern: a regular expression that all of a text must match.
    :ivar loose: whether a whole number is as good as the text of it.
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
        """Return why a value is refused, or ''."""
        if isinstance(self.default, float):
            fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        elif self.accepts_int:
            fits = isinstance(value, (int, str)) and not isinstance(value, bool)
            value = str(value)
        else:
            fits = type(value) is type(self.default)
        if not fits:
            kind = 'number' if isinstance(self.default, float) else type(self.default).__name__
            return f'{self.name} must be a {kind}, not {value!r}'
        if self.choices and value not in self.choices:
            return f"{self.name} '{value}' is not one of: {', '.join(map(str, self.choices))}"
        if self.pattern and not re.fullmatch(self.pattern, value):
            return f"{self.name} '{value}' is not as it must be: {self.description}"
        if self.low is not None and not self.low <= value <= self.high:
            return f'{self.name} {value} is not in {self.low:g}..{self.high:g}'
        return ''

    def convert(self, value: Any) -> Value:
        """Return a value that fits as the type of the default: 0 is a good 0.0."""
        return type(self.default)(value)


#: How pictures may be subscribed to, by image_transport's names.
TRANSPORTS = ('raw', 'compressed')

#: Maximum queue lengths a user may choose.
QUEUE_DEPTHS = ('auto', '1', '2', '4')

_QUEUE_DEPTH = Spec(
    'queue_depth', 'auto', 'images that may wait for their turn, the oldest dropped first; auto: '
    'as many as are worked off before the next one comes', choices=QUEUE_DEPTHS, accepts_int=True,
    live=True)

#: Of every node.
COMMON = (
    Spec('autostart', True, 'configure and activate the node when it starts; false: that is left '
         'to a manager, or to ros2 lifecycle'),
    Spec('warn_age', 0.5, '/diagnostics warns where one of 20 pictures is older than this when it '
         'is done, s; 0 for never', 0.0, 60.0, live=True),
    Spec('error_age', 5.0, '/diagnostics tells of an error from this age on, s; 0 for never', 0.0,
         60.0, live=True),
    Spec('warn_rate', 0.0, '/diagnostics warns where fewer pictures a second than this are done; '
         '0 for never', 0.0, 1000.0, live=True),
    Spec('error_rate', 0.0, '/diagnostics tells of an error below this rate, Hz; 0 for never', 0.0,
         1000.0, live=True),
)

CAMERA = (
    Spec('source', '0', "a webcam's index, a video file, an image, a folder of images, an http "
         "or rtsp URL, or 'sample'", accepts_int=True, live=True),
    Spec('rate', 0.0, 'frames a second at which a file is played; 0 for its own', 0.0, 1000.0,
         live=True),
    Spec('loop', False, 'start a file again when it ends', live=True),
    Spec('width', 0, 'pixels, asked of a webcam; 0 for its own', 0, 16384),
    Spec('height', 0, 'pixels, asked of a webcam; 0 for its own', 0, 16384),
    Spec('fps', 0.0, 'frames a second, asked of a webcam; 0 for its own', 0.0, 1000.0),
    Spec('frame_id', 'camera_optical', 'frame of the images: x right, y down, z forward',
         live=True),
    Spec('camera_info_url', '', 'calibration YAML: a path or a file:// or package:// URL',
         live=True),
    Spec('exit_on_end', False, 'end the process when a file is at its end', live=True),
    Spec('jpeg_quality', 90, 'of camera/image_raw/compressed', 1, 100, live=True),
    Spec('wait_for_subscribers', 1, 'a file starts when so many subscribe to its images, after '
         '15 s at the latest; 0 for at once', 0, 100, live=True),
)

GAZE = (
    Spec('model', 'auto', 'gaze model; auto: the best that is here and may be shipped, adas, else '
         'mediapipe', choices=('auto', *registry.model_names()), live=True),
    Spec('weight', '', "file with the model's weights; empty: the one found by gaze_ros models "
         'path', live=True),
    Spec('dataset', Settings.dataset, 'what the weights were trained on; auto: by their number '
         'of bins', choices=CHOICES['dataset'], live=True),
    Spec('head_order', Settings.head_order, 'whether the horizontal and vertical heads of a '
         'checkpoint are named rightly; auto: by the sha256 of the file',
         choices=CHOICES['head_order'], live=True),
    Spec('crop', Settings.crop, 'how a face is cut out: square, undistorted, or raw, its box '
         'stretched to a square as yakhyo/gaze-estimation does', choices=CHOICES['crop'],
         live=True),
    Spec('crop_scale', Settings.crop_scale, "side of a square crop over the square root of the "
         "box's area", 0.3, 3.0, live=True),
    Spec('input_size', Settings.input_size, 'side of the picture of a face that a model with two '
         'heads is given, pixels; a smaller one is faster, and wants a smaller crop_scale: 320 '
         'about 0.75, 224 about 0.55', choices=CHOICES['input_size'], live=True),
    Spec('runtime', Settings.runtime, 'what runs the network; auto: on a CPU the first installed '
         'of openvino, onnx and torch', choices=CHOICES['runtime'], live=True),
    Spec('device', Settings.device, 'what the network runs on; auto: cuda, else mps, else cpu',
         choices=CHOICES['device'], live=True),
    Spec('precision', Settings.precision, 'what the network computes in; auto: the fastest of '
         'the device', choices=CHOICES['precision'], live=True),
    Spec('threads', Settings.threads, 'threads of the detector and of the model; 0 for one a core',
         0, 1024, live=True),
    Spec('detector', 'auto', 'face detector; auto: the first that is here, as listed',
         choices=('auto', *DETECTORS), live=True),
    Spec('detector_weight', '', "file with the detector's weights; empty: the one found by "
         'gaze_ros models path', live=True),
    Spec('detect_interval', 1, 'the detector runs on every so many pictures, faces are followed '
         'in between; 0 for as often as it may take a third of the time between two pictures', 0,
         100, live=True),
    Spec('max_faces', 0, 'the largest faces are kept; 0 for all', 0, 1000, live=True),
    Spec('min_score', 0.65, 'faces scored lower are left out, save for those half as good that '
         'go on with a track', 0.0, 1.0, live=True),
    Spec('smoothing_time', 0.2, 'time constant of the smoothing at rest, s; 0 for none', 0.0,
         60.0, live=True),
    Spec('smoothing_beta', 1.5, 'how much less is smoothed while a gaze turns, Hz per rad/s; 0 '
         'for smoothing that stays', 0.0, 100.0, live=True),
    Spec('track_timeout', 1.0, 'how long a face may stay unseen and keep its id, s', 0.0, 60.0,
         live=True),
    Spec('track_prefix', 'f', 'what track ids begin with: a letter, then letters, digits and _; '
         'for each camera its own where several share TF or /humans; who has an id keeps it',
         pattern='[A-Za-z][A-Za-z0-9_]*', live=True),
    Spec('looking_at_camera_angle', 0.25, 'angle from the lens below which a gaze is at it, rad',
         0.0, 3.14, live=True),
    Spec('looking_at_camera_hysteresis', 0.05, 'how far beyond that angle it still is, rad', 0.0,
         1.0, live=True),
    Spec('looking_at_camera_dwell', 0.2, 'how long a gaze must be at the lens, or off it, to '
         'count, s', 0.0, 10.0, live=True),
    Spec('interpupillary_distance', 0.063, "how far apart people's eyes are, m: adults 0.063 "
         '(one standard deviation 6 %), children of six 0.052; distances go by it', 0.04, 0.08,
         live=True),
    Spec('horizontal_fov', 1.05, 'field of view assumed for directions while the camera is not '
         'calibrated, rad', 0.1, 3.0, live=True),
    Spec('image_transport', 'raw', 'the form in which images are subscribed to',
         choices=TRANSPORTS, live=True),
    Spec('frame_skip', 0, 'images left out after each that is worked on', 0, 1000, live=True),
    Spec('max_age', 0.0, 'images older than this when their turn comes are dropped, s; 0 for '
         'none', 0.0, 3600.0, live=True),
    _QUEUE_DEPTH,
    Spec('overlap', 'auto', "whether the next image's faces are looked for while the gaze of "
         'these is estimated; auto: with 4 cores or more',
         choices=('auto', 'always', 'never')),
)

VISUALIZER = (
    Spec('view', False, 'open a window; q in it ends everything'),
    Spec('output', '', 'file the annotated video is saved to: .mp4, .avi or .mkv', live=True),
    Spec('image_transport', 'raw', 'the form in which images are subscribed to',
         choices=TRANSPORTS, live=True),
    Spec('jpeg_quality', 90, 'of gaze/image_annotated/compressed', 1, 100, live=True),
    _QUEUE_DEPTH,
    Spec('snapshot_folder', '', 'where the service save_snapshot puts its pictures; empty: the '
         'folder the node was started in', live=True),
)

PEOPLE = (
    Spec('publish_tf', True, 'publish the frames face_<id> and gaze_<id>', live=True),
    Spec('humans', False, 'publish /humans as REP-155 has it; needs hri_msgs'),
    Spec('looking_at_person_angle', 0.25, 'angle from the head of another person below which a '
         'gaze is at it, rad', 0.0, 3.14, live=True),
    Spec('looking_at_person_hysteresis', 0.05, 'how far beyond that angle it still is, rad', 0.0,
         1.0, live=True),
    Spec('looking_at_person_dwell', 0.3, 'how long attention must stay where it turns to to '
         'count, s', 0.0, 10.0, live=True),
    Spec('image_transport', 'raw', 'the form in which images are subscribed to',
         choices=TRANSPORTS, live=True),
    _QUEUE_DEPTH,
)

#: Of the nodes of the pipeline.
NODES = {
    'camera': COMMON + CAMERA, 'gaze': COMMON + GAZE, 'visualizer': COMMON + VISUALIZER,
    'people': COMMON + PEOPLE}

REPLAY = (
    Spec('bag', '', 'rosbag2 folder, or a lone .mcap or .db3 file'),
    Spec('rate', 1.0, 'how many times as fast as it was recorded', 0.01, 100.0, live=True),
    Spec('loop', False, 'start the bag again when it ends, with stamps that go on', live=True),
    Spec('image_topic', '', "the images' topic in the bag; empty: the only one there"),
    Spec('wait_for_subscribers', 1, 'the bag starts when so many subscribe to its images, after '
         '15 s at the latest; 0 for at once', 0, 100, live=True),
    Spec('exit_on_end', True, 'end the process when the bag is at its end', live=True),
)

RECORDER = (
    Spec('output', '', 'folder to make and record to; empty: gaze_ and the time, in the folder '
         'the node was started in'),
    Spec('images', False, 'record annotated images, too'),
)

#: Of the nodes that replay and record bags.
BAG_NODES = {'replay': COMMON + REPLAY, 'recorder': COMMON + RECORDER}
