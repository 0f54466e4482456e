"""What the nodes that work on images have in common: threads, their queues, the subscription."""
import time
from typing import Optional

from gaze_ros.core.parameters import NODES, Value
from gaze_ros.core.stage import Stage
from gaze_ros.core.worker import Worker
from gaze_ros.ros import topics
from gaze_ros.ros.handover import Reader
from gaze_ros.ros.images import Picture, subscribe_images
from gaze_ros.ros.managed import ManagedNode
from gaze_ros.ros.stop import Stop
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup


class ConsumerNode(ManagedNode):
    """A node with the parameters queue_depth and image_transport.

    :ivar workers: its threads, made and started by begin.
    """

    def __init__(self, name: str, stage: Stage, stop: Stop) -> None:
        super().__init__(name, NODES[name], stage, stop)
        self.workers: list[Worker] = []
        self._images: Optional[Reader] = None

    def end(self) -> None:
        """Tell the threads to end."""
        for worker in self.workers:
            worker.end()

    def join(self, timeout: float) -> bool:
        """Wait for the threads, in seconds; return whether they have ended, or never began."""
        until = time.monotonic() + timeout
        return all(w.join(max(0.0, until - time.monotonic())) for w in self.workers)

    def change(self, values: dict[str, Value]) -> None:
        """Take new values."""
        if 'queue_depth' in values:
            for worker in self.workers:
                worker.set_queue_depth(values['queue_depth'])
        if 'image_transport' in values and self._images in self.readers:
            old = self._images
            old.end()
            self.readers[self.readers.index(old)] = self.listen()

    def listen(self) -> Reader:
        """Return a subscription to images, to be one of the readers."""
        self._images = subscribe_images(
            self, topics.IMAGE, self.on_image, MutuallyExclusiveCallbackGroup(),
            self.values['image_transport'])
        return self._images

    def on_image(self, picture: Picture) -> None:
        """Take an image."""
        raise NotImplementedError
