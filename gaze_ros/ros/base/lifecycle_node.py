"""What the nodes have in common: states, parameters, diagnostics."""
from collections.abc import Callable
import math
from threading import Lock
import time
from typing import Any, Optional, Union

from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.diagnostics.status import InactiveStatus, NodeStatus
from gaze_ros.core.parameters import NODES, Spec, Value
from gaze_ros.core.pipeline.worker import Worker
from gaze_ros.ros.base.diagnostics import DiagnosticsPublisher
from gaze_ros.ros.base.parameters import declare_parameters
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import seconds
from gaze_ros.ros.comm.image_transport import ReceivedImage, subscribe_images
from gaze_ros.ros.comm.intra_process import IntraProcessSubscription
from gaze_ros.ros.process.error_text import format_error
from gaze_ros.ros.process.rclpy_compat import CompatibleLifecycleNode
from gaze_ros.ros.process.shutdown import Shutdown
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from std_msgs.msg import Header

_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE

#: Seconds threads have to end when a node is deactivated; diagnostics wait for a transition.
_PATIENCE, _GLANCE = 2.0, 0.1


class ManagedNode(CompatibleLifecycleNode):
    """A node with the states of ROS's managed nodes.

    unconfigured --make--> inactive --begin--> active, and back by end, join and part, and free.
    What of publishers, subscriptions, services and timers make creates is destroyed with free.

    :param specs: its parameters; :attr:`values` has what they are at.
    :param stage: what it does, counted.
    :param stop: asked to end the process.
    :ivar readers: those made in make; they are ended before free.
    """

    def __init__(self, name: str, specs: tuple[Spec, ...], stage: StageStats, stop: Shutdown) -> None:
        self.managed_subscriptions: list[IntraProcessSubscription] = []
        super().__init__(name)
        self.stats = stage
        self.shutdown = stop
        self.configured = self.active = False
        self._fixed = {spec.name for spec in specs if not spec.live}
        try:
            self.values = declare_parameters(self, specs, self._on_change, self._check)
        except BaseException:
            self.destroy_node()
            raise
        self._entities = EntityTracker(self)
        #: What the diagnostics were told last of the node at work.
        self._last_state: Optional[tuple[NodeStatus, str]] = None
        #: While a transition or a change is under way.
        self._transition_lock = Lock()
        DiagnosticsPublisher(self)

    @property
    def hardware_id(self) -> str:
        """The diagnostics' hardware_id: the camera, the model, or ''; while configured."""
        return ''

    def status(self) -> NodeStatus:
        """Return what is known beside the stage's figures; called while configured."""
        raise NotImplementedError

    def configure(self) -> None:
        """Open and load what the node needs, and create its topics.

        :raises GazeRosError: if something it was given does not work.
        """

    def activate(self) -> None:
        """Begin to work: make and start the threads."""

    def request_stop(self) -> None:
        """Tell the threads to end; at any time."""

    def join(self, timeout: float) -> bool:
        """Wait for the threads, in seconds; return whether they have ended, or never began."""
        return True

    def deactivate(self) -> None:
        """Take back what was told, and drop what waits; the threads have ended.

        It may be called again, or without begin.
        """

    def cleanup(self) -> None:
        """Close what make opened, as far as it came; the threads have ended."""

    def prepare_parameters(self, values: dict[str, Value]) -> None:
        """Prepare for new values of live parameters, while configured: load what they name.

        :raises GazeRosError, ValueError: if they do not work; they are refused for it.
        """

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Take new values of live parameters; they are in :attr:`values` already."""

    def age(self, header: Header) -> float:
        """Return how long ago a picture was taken, in seconds; NaN where it has no stamp."""
        stamp = seconds(header.stamp)
        return 1e-9 * self.get_clock().now().nanoseconds - stamp if stamp else math.nan

    def close(self, timeout: float) -> None:
        """Wait for a transition and the threads, in seconds, and free what make opened."""
        until = time.monotonic() + timeout
        # What hangs still uses it: then the process ends without.
        if self._transition_lock.acquire(timeout=timeout):
            try:
                if self._join_threads(max(0.0, until - time.monotonic())) and self.configured:
                    self._clean_up()
            finally:
                self._transition_lock.release()

    def destroy_node(self) -> None:
        """Take nothing more, and destroy the node."""
        for reader in self.managed_subscriptions:
            reader.destroy()
        super().destroy_node()

    def diagnostic_state(self) -> tuple[Union[NodeStatus, InactiveStatus], str]:
        """Return the facts and the hardware as they are, for the diagnostics."""
        if not self._transition_lock.acquire(timeout=_GLANCE):
            told = self._last_state
            return told if told and self.active else (InactiveStatus(self.configured, in_transition=True), '')
        try:
            self._last_state = (self.status(), self.hardware_id) if self.active else None
            return self._last_state or (
                InactiveStatus(self.configured), self.hardware_id if self.configured else '')
        finally:
            self._transition_lock.release()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make; where that fails, say why and stay unconfigured."""
        def configure() -> bool:
            try:
                with self._entities:
                    self.configure()
            except BaseException:  # a signal breaks off the start by SystemExit
                self._clean_up()
                raise
            self.configured = True
            return True
        return self._run_transition(configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin; where that fails, say why and stay inactive."""
        def activate() -> bool:
            try:
                self.activate()
            except Exception:
                self._stop_threads()
                raise
            self.active = True
            return True
        return self._run_transition(activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End; where a thread hangs, say so and stay active, though idle, to be told again."""
        return self._run_transition(self._stop_threads)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free."""
        def clean() -> bool:
            self._clean_up()
            return True
        return self._run_transition(clean)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End and free; the process goes on until it is told to end."""
        def shut_down() -> bool:
            if self._stop_threads():
                self._clean_up()
            return True
        return self._run_transition(shut_down)

    def _run_transition(self, transition: Callable[[], bool]) -> TransitionCallbackReturn:
        """Do a transition: one at a time, and none when the process ends."""
        with self._transition_lock:
            try:
                if not self.shutdown.event.is_set() and transition():
                    return _SUCCESS
            except Exception as e:
                if not self.shutdown.event.is_set():
                    self.stats.failed(format_error(e))
                    if self.values['autostart']:  # mostly the process ends
                        self.get_logger().fatal(format_error(e))
                    else:
                        self.get_logger().error(format_error(e))
        return _FAILURE

    def _stop_threads(self) -> bool:
        """End the threads; return whether they have ended."""
        if not (ended := self._join_threads(_PATIENCE)):
            self.get_logger().error(f'still at work after {_PATIENCE:g} s: not deactivated')
        return ended

    def _join_threads(self, timeout: float) -> bool:
        self.active = False
        # Once more where the process ends: begin may have come after.
        self.request_stop()
        ended = self.join(timeout)
        if ended and self.configured:
            self.deactivate()
        return ended

    def _clean_up(self) -> None:
        self.configured = False
        for reader in self.managed_subscriptions:
            reader.destroy()
        self.managed_subscriptions = []
        try:
            self.cleanup()
        finally:
            self._entities.destroy()

    def _check(self, values: dict[str, Value]) -> Optional[str]:
        if not self.configured:
            return None
        if fixed := sorted(self._fixed.intersection(values)):
            first = 'deactivate and cleanup' if self.active else 'cleanup'
            return (f'{fixed[0]} is not taken while the node is configured: change it after '
                    f"{first} ('ros2 lifecycle set {self.get_fully_qualified_name()} ...')")
        try:
            self.prepare_parameters(values)
        except Exception as e:  # whatever a runtime raises: it is no reason to end
            return format_error(e)
        return None

    def _on_change(self, values: dict[str, Value]) -> None:
        self.values.update(values)
        with self._transition_lock:
            if not self.configured:
                return
            try:
                self.apply_parameters(values)
            except Exception as e:
                self.get_logger().error(f"not changed: {', '.join(values)}: {format_error(e)}")


class ImageConsumerNode(ManagedNode):
    """A node with the parameters queue_depth and image_transport.

    :ivar workers: its threads, made and started by begin.
    """

    def __init__(self, name: str, stage: StageStats, stop: Shutdown) -> None:
        super().__init__(name, NODES[name], stage, stop)
        self.workers: list[Worker] = []
        self._images: Optional[IntraProcessSubscription] = None

    def request_stop(self) -> None:
        """Tell the threads to end."""
        for worker in self.workers:
            worker.request_stop()

    def join(self, timeout: float) -> bool:
        """Wait for the threads, in seconds; return whether they have ended, or never began."""
        until = time.monotonic() + timeout
        return all(w.join(max(0.0, until - time.monotonic())) for w in self.workers)

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Take new values."""
        if 'queue_depth' in values:
            for worker in self.workers:
                worker.set_queue_depth(values['queue_depth'])
        if 'image_transport' in values and self._images in self.managed_subscriptions:
            old = self._images
            old.destroy()
            self.managed_subscriptions[self.managed_subscriptions.index(old)] = self.subscribe_to_images()

    def subscribe_to_images(self) -> IntraProcessSubscription:
        """Return a subscription to images, to be one of the readers."""
        self._images = subscribe_images(
            self, topics.IMAGE, self.on_image, MutuallyExclusiveCallbackGroup(),
            self.values['image_transport'])
        return self._images

    def on_image(self, picture: ReceivedImage) -> None:
        """Take an image."""
        raise NotImplementedError


class EntityTracker:
    """Those that a node creates within with-blocks, until they are destroyed.

    What rclpy creates at other times stays, as its subscription to /clock for use_sim_time.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._before: dict[Any, Callable[[Any], bool]] = {}
        self._made: dict[Any, Callable[[Any], bool]] = {}

    def __enter__(self) -> None:
        self._before = self._all()

    def __exit__(self, *_: object) -> None:
        self._made |= {
            one: destroy for one, destroy in self._all().items() if one not in self._before}
        self._before = {}

    def destroy(self) -> None:
        """Destroy them."""
        made, self._made = self._made, {}
        for one, destroy in made.items():
            destroy(one)

    def _all(self) -> dict[Any, Callable[[Any], bool]]:
        """Return all of the node, and what destroys each."""
        node = self._node
        return {one: destroy for several, destroy in (
            (node.publishers, node.destroy_publisher),
            (node.subscriptions, node.destroy_subscription),
            (node.services, node.destroy_service), (node.clients, node.destroy_client),
            (node.timers, node.destroy_timer)) for one in [*several]}
