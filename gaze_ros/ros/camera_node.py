"""The camera: pictures from a source, stamped when they are taken."""
from copy import copy
import math
from threading import Event, Thread
import time

from gaze_ros.core.errors import SourceError
from gaze_ros.core.facts import CameraFacts
from gaze_ros.core.parameters import CAMERA
from gaze_ros.core.sources import open_source
from gaze_ros.core.sources.pacing import Pacer
from gaze_ros.core.stage import Stage
from gaze_ros.ros import topics
from gaze_ros.ros.calibration import load_camera_info
from gaze_ros.ros.diagnostics import Diagnostics
from gaze_ros.ros.handover import Outlet
from gaze_ros.ros.images import ImagePublisher
from gaze_ros.ros.parameters import declare
from gaze_ros.ros.stop import Stop
import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

#: Seconds a file waits for its subscribers, a failed camera until it is tried again, and the
#: process lives on after the last frame so that it gets through the other nodes.
_WAIT, _RETRY, _LINGER = 15.0, 1.0, 1.0

#: A file is read this many times earlier than reading the last picture took.
_LEAD = 2.0


class CameraNode(Node):
    """Publishes camera/image_raw and camera/camera_info from a thread of its own.

    :param stop: asked to end the process when a file ends and exit_on_end is set.
    :raises SourceError: if the source or the calibration cannot be opened.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__('camera')
        self.stage = Stage('Camera')
        self._stop = stop
        self._ending = Event()
        self._values = values = declare(self, CAMERA)
        self._info = load_camera_info(values['camera_info_url'])
        self._source = open_source(
            values['source'], width=values['width'], height=values['height'], fps=values['fps'],
            loop=values['loop'])
        self._images = ImagePublisher(self, topics.IMAGE, values['jpeg_quality'])
        self._infos = Outlet(self, CameraInfo, topics.CAMERA_INFO)
        self._failure = self._idle = ''
        Diagnostics(self, self.stage, self._source.name, self._facts)
        self._thread = Thread(target=self._run, name='camera', daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self.get_logger().info(f"publishing '{self._source.name}' on {self._images.topic_name}")
        self._thread.start()

    def end(self) -> None:
        """Tell the thread to end."""
        self._ending.set()

    def close(self, timeout: float) -> None:
        """Wait for the thread and let go of the source."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if not self._thread.is_alive():  # else a read hangs: the process ends without it
            self._source.close()

    def _facts(self) -> CameraFacts:
        rate = self._source.rate
        return CameraFacts(
            self._source.name, rate and self._values['rate'] or rate or self._values['fps'],
            self.stage.rate.recent, not rate, self._failure, self._idle)

    def _run(self) -> None:
        try:
            self._play()
        except Exception as e:
            # The context ends under the thread when the process does.
            if not self._ending.is_set() and self.context.ok():
                self.get_logger().fatal(f'{type(e).__name__}: {e}')
                self._stop.ask(1)

    def _play(self) -> None:
        rate = self._source.rate and (self._values['rate'] or self._source.rate)
        pacer = Pacer(rate) if rate else None
        if pacer:
            self._idle = f"for {self._values['wait_for_subscribers']} subscribers"
            self._wait_for_subscribers()
            self._idle = ''
        reading = 0.0
        while not self._ending.is_set():
            # A file is read no sooner than need be: till then the cores are the other nodes'.
            if pacer and not pacer.approach(self._ending, _LEAD * reading):
                return
            start = time.monotonic()
            try:
                picture = self._source.read()
            except SourceError as e:
                self.stage.drop('failed')
                if not self._failure:
                    self.get_logger().error(f'{e}; trying again every {_RETRY:g} s')
                self._failure = str(e)
                self._ending.wait(_RETRY)
                continue
            reading = time.monotonic() - start
            if self._failure:
                self.get_logger().info(f"source '{self._source.name}' is back")
                self._failure = ''
            if picture is None:
                self._end()
                return
            self.stage.come()
            if pacer and not pacer.wait(self._ending):
                return
            self._publish(picture, reading)

    def _publish(self, picture: np.ndarray, reading: float) -> None:
        taken = self.get_clock().now()
        age = time.monotonic() - self._source.taken
        if math.isfinite(age) and taken.nanoseconds > 1e9 * age:  # else no /clock has come yet
            taken -= Duration(seconds=age)
        header = Header(stamp=taken.to_msg(), frame_id=self._values['frame_id'])
        height, width = picture.shape[:2]
        if not self._info.k[0]:
            # Not calibrated: REP-104 wants the size, and K all 0.
            self._info.width, self._info.height = width, height
        elif self.stage.rate.count == 0 and (self._info.width, self._info.height) != (
                width, height):
            self.get_logger().warning(
                f"the calibration is for {self._info.width}x{self._info.height}, but "
                f"'{self._source.name}' gives {width}x{height}")
        self._info.header = header
        self._infos.publish(copy(self._info))
        self._images.publish(picture, header)
        age = 1e-9 * (self.get_clock().now() - taken).nanoseconds
        self.stage.done(age, reading)

    def _wait_for_subscribers(self) -> None:
        wanted = self._values['wait_for_subscribers']
        until = time.monotonic() + _WAIT
        while self._images.get_subscription_count() < wanted:
            if self._ending.wait(0.02):
                return
            if time.monotonic() > until:
                self.get_logger().warning(
                    f'{self._images.get_subscription_count()} of {wanted} subscribers to '
                    f'{self._images.topic_name} after {_WAIT:g} s: starting all the same')
                return

    def _end(self) -> None:
        self._idle = 'the source is at its end'
        self.get_logger().info(
            f"source '{self._source.name}' is at its end after {self.stage.rate.count} frames")
        if self._values['exit_on_end']:
            self._ending.wait(_LINGER)
            self._stop.ask()
