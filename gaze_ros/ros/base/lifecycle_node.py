"""Base classes of the nodes: lifecycle, threads, parameters and diagnostics."""
from collections.abc import Callable
import math
from threading import Lock
import time
from typing import Any, Optional, Union

from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.diagnostics.status import InactiveStatus, NodeStatus
from gaze_ros.core.parameters import NODES, Spec, Value
from gaze_ros.core.pipeline.worker import Worker
from gaze_ros.core.system.shared_images import NEVER, SharedImageReader
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
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidHandle
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from std_msgs.msg import Header

_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE

#: Seconds the threads have to stop when a node is deactivated.
_JOIN_TIMEOUT = 2.0
#: Seconds between two looks at the publishers of the images.
_MATCH_PERIOD = 0.5
#: Seconds the diagnostics wait for a transition that is under way.
_STATE_TIMEOUT = 0.1


class ManagedNode(CompatibleLifecycleNode):
    """A lifecycle node: unconfigured, inactive or active.

    The transitions call these hooks, which subclasses override:

    - configure: :meth:`configure`
    - activate: :meth:`activate`
    - deactivate: :meth:`request_stop`, :meth:`join`, :meth:`deactivate`
    - cleanup: :meth:`cleanup`

    Publishers, subscriptions, services and timers created in :meth:`configure` are destroyed after
    :meth:`cleanup`.

    :param specs: the parameters of the node; :attr:`values` holds their values.
    :param stats: counts what the node processes.
    :param shutdown: ends the process on request.
    :ivar managed_subscriptions: subscriptions that :meth:`configure` created; they are destroyed
        before :meth:`cleanup`.
    :ivar configured: whether the node is inactive or active.
    :ivar active: whether the node processes input.
    """

    def __init__(
            self, name: str, specs: tuple[Spec, ...], stats: StageStats, shutdown: Shutdown
            ) -> None:
        self.managed_subscriptions: list[IntraProcessSubscription] = []
        super().__init__(name)
        self.stats = stats
        self.shutdown = shutdown
        self.configured = self.active = False
        self._fixed = {spec.name for spec in specs if not spec.live}
        try:
            self.values = declare_parameters(self, specs, self._on_change, self._check)
        except BaseException:
            self.destroy_node()
            raise
        self._entities = EntityTracker(self)
        #: The state that diagnostics read last while the node was active.
        self._last_state: Optional[tuple[NodeStatus, str]] = None
        #: Held during a transition or a parameter change.
        self._transition_lock = Lock()
        DiagnosticsPublisher(self)

    @property
    def hardware_id(self) -> str:
        """The hardware_id in diagnostics: the camera or the model, or ''; read when configured."""
        return ''

    def status(self) -> NodeStatus:
        """Return the state of the node beside its statistics; called while it is active."""
        raise NotImplementedError

    def configure(self) -> None:
        """Open and load what the node needs, and create its topics.

        :raises GazeRosError: if a parameter names something that cannot be used.
        """

    def activate(self) -> None:
        """Start to process input: create and start the threads."""

    def request_stop(self) -> None:
        """Ask the threads to stop; may be called at any time."""

    def join(self, timeout: float) -> bool:
        """Wait up to ``timeout`` s for the threads; return whether none is running."""
        return True

    def deactivate(self) -> None:
        """Withdraw what was published and drop queued input; the threads have stopped.

        It may be called more than once, or without :meth:`activate`.
        """

    def cleanup(self) -> None:
        """Close what :meth:`configure` opened; the threads have stopped.

        Also called when :meth:`configure` failed halfway.
        """

    def prepare_parameters(self, values: dict[str, Value]) -> None:
        """Load what new values of live parameters name; called only while configured.

        :raises GazeRosError, ValueError: if they cannot be used; the change is rejected.
        """

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Apply new values of live parameters; :attr:`values` has them already."""

    def report_callback_error(self, reason: str) -> None:
        """Report an error that a callback raised, in the log and on /diagnostics."""
        self.stats.failed(reason)
        self.get_logger().error(f'{reason}; message skipped')

    def age(self, header: Header) -> float:
        """Return the seconds since an image was captured; NaN if it has no stamp."""
        stamp = seconds(header.stamp)
        return 1e-9 * self.get_clock().now().nanoseconds - stamp if stamp else math.nan

    def close(self, timeout: float) -> None:
        """Wait up to ``timeout`` s for a transition and the threads, then clean up."""
        until = time.monotonic() + timeout
        # A thread that hangs still uses what cleanup closes: then the process ends without it.
        if self._transition_lock.acquire(timeout=timeout):
            try:
                if self._join_threads(max(0.0, until - time.monotonic())) and self.configured:
                    self._clean_up()
            finally:
                self._transition_lock.release()

    def destroy_node(self) -> None:
        """Destroy the subscriptions and the node."""
        for subscription in self.managed_subscriptions:
            subscription.destroy()
        super().destroy_node()

    def diagnostic_state(self) -> tuple[Union[NodeStatus, InactiveStatus], str]:
        """Return the status and the hardware_id for the diagnostics."""
        if not self._transition_lock.acquire(timeout=_STATE_TIMEOUT):
            last = self._last_state
            return last if last and self.active else (
                InactiveStatus(self.configured, in_transition=True), '')
        try:
            self._last_state = (self.status(), self.hardware_id) if self.active else None
            return self._last_state or (
                InactiveStatus(self.configured), self.hardware_id if self.configured else '')
        finally:
            self._transition_lock.release()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure; on failure log why and stay unconfigured."""
        def configure() -> bool:
            try:
                with self._entities:
                    self.configure()
            except BaseException:  # a signal interrupts startup with SystemExit
                self._clean_up()
                raise
            self.configured = True
            return True
        return self._run_transition(configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Activate; on failure log why and stay inactive."""
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
        """Deactivate; if a thread hangs, log it and stay active, but idle.

        Deactivation may be requested again.
        """
        return self._run_transition(self._stop_threads)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Clean up."""
        def clean_up() -> bool:
            self._clean_up()
            return True
        return self._run_transition(clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate and clean up; the process keeps running until its shutdown is requested."""
        def shut_down() -> bool:
            if self._stop_threads():
                self._clean_up()
            return True
        return self._run_transition(shut_down)

    def _run_transition(self, transition: Callable[[], bool]) -> TransitionCallbackReturn:
        """Run a transition, one at a time; it fails once shutdown was requested."""
        with self._transition_lock:
            try:
                if not self.shutdown.event.is_set() and transition():
                    return _SUCCESS
            except Exception as e:
                if not self.shutdown.event.is_set():
                    self.stats.failed(format_error(e))
                    if self.values['autostart']:  # at startup, where the process ends
                        self.get_logger().fatal(format_error(e))
                    else:
                        self.get_logger().error(format_error(e))
        return _FAILURE

    def _stop_threads(self) -> bool:
        """Stop the threads; return whether none is running."""
        if not (stopped := self._join_threads(_JOIN_TIMEOUT)):
            self.get_logger().error(
                f'threads did not stop within {_JOIN_TIMEOUT:g} s; deactivation failed')
        return stopped

    def _join_threads(self, timeout: float) -> bool:
        self.active = False
        # Again at the end of the process: activate may have run after the first request.
        self.request_stop()
        stopped = self.join(timeout)
        if stopped and self.configured:
            self.deactivate()
        return stopped

    def _clean_up(self) -> None:
        self.configured = False
        for subscription in self.managed_subscriptions:
            subscription.destroy()
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
            return (f'{fixed[0]} cannot be changed while the node is configured; change it after '
                    f"{first} ('ros2 lifecycle set {self.get_fully_qualified_name()} ...')")
        try:
            self.prepare_parameters(values)
        except Exception as e:  # a runtime may raise anything: the node keeps running
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
                self.get_logger().error(f"cannot apply {', '.join(values)}: {format_error(e)}")


class ImageConsumerNode(ManagedNode):
    """A node that subscribes to images; it has the parameters queue_depth and image_transport.

    :ivar workers: its threads, created and started by :meth:`activate`.
    """

    def __init__(self, name: str, stats: StageStats, shutdown: Shutdown) -> None:
        self._shared_images = SharedImageReader()
        super().__init__(name, NODES[name], stats, shutdown)
        self.workers: list[Worker] = []
        self._image_subscription: Optional[IntraProcessSubscription] = None
        self.create_timer(
            _MATCH_PERIOD, self._match_publishers, MutuallyExclusiveCallbackGroup(),
            Clock(clock_type=ClockType.STEADY_TIME))

    def request_stop(self) -> None:
        """Ask the threads to stop."""
        for worker in self.workers:
            worker.request_stop()

    def join(self, timeout: float) -> bool:
        """Wait up to ``timeout`` s for the threads; return whether none is running."""
        until = time.monotonic() + timeout
        return all(w.join(max(0.0, until - time.monotonic())) for w in self.workers)

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Apply a new queue_depth and image_transport."""
        if 'queue_depth' in values:
            for worker in self.workers:
                worker.set_queue_depth(values['queue_depth'])
        if 'image_transport' in values:
            self._resubscribe_to_images()

    def _match_publishers(self) -> None:
        """Subscribe again if publishers came or went that offer another reliability."""
        if not self._transition_lock.acquire(blocking=False):
            return
        try:
            old = self._image_subscription
            if self.configured and old in self.managed_subscriptions and (
                    topics.image_reliability(self, old.topic_name) != old.qos.reliability):
                self._resubscribe_to_images()
        except InvalidHandle:
            pass  # the node was destroyed meanwhile
        finally:
            self._transition_lock.release()

    def _resubscribe_to_images(self) -> None:
        subscriptions, old = self.managed_subscriptions, self._image_subscription
        if old in subscriptions:
            old.destroy()
            subscriptions[subscriptions.index(old)] = self.subscribe_to_images()

    def subscribe_to_images(self) -> IntraProcessSubscription:
        """Return a subscription to images, to be added to :attr:`managed_subscriptions`."""
        self._image_subscription = subscribe_images(
            self, topics.IMAGE, self._receive_image,
            self.values['image_transport'], wants=self.wants_image, skip=self.skip_image,
            needed=self.takes_images, reader=self._shared_images,
            on_error=self.report_callback_error)
        return self._image_subscription

    def destroy_node(self) -> None:
        """Destroy the node and close the shared memory."""
        super().destroy_node()
        self._shared_images.close()

    def tell_need(self) -> None:
        """Tell a camera node that shares its images when the next one is needed."""
        self._shared_images.tell(self.next_need())

    def next_need(self) -> int:
        """Return the time.monotonic_ns() from which on the node needs a new image.

        NEVER if it needs only those that others need.
        """
        return NEVER

    def _receive_image(self, image: ReceivedImage) -> None:
        self.on_image(image)
        if image.seen:
            self.tell_need()

    def on_image(self, image: ReceivedImage) -> None:
        """Process a received image."""
        raise NotImplementedError

    def takes_images(self) -> bool:
        """Return whether the node takes images of other processes at present."""
        return True

    def wants_image(self, horizon: float) -> bool:
        """Return whether the node needs an image that others in this process do not need.

        :param horizon: seconds until the next image replaces it.
        """
        return False

    def skip_image(self) -> None:
        """Count an image that no node of this process needs."""


class EntityTracker:
    """Records the entities a node creates inside with-blocks, to destroy them later.

    Entities that rclpy creates at other times remain, such as the subscription to /clock for
    use_sim_time.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._before: dict[Any, Callable[[Any], bool]] = {}
        self._created: dict[Any, Callable[[Any], bool]] = {}

    def __enter__(self) -> None:
        self._before = self._all()

    def __exit__(self, *_: object) -> None:
        self._created |= {
            entity: destroy for entity, destroy in self._all().items()
            if entity not in self._before}
        self._before = {}

    def destroy(self) -> None:
        """Destroy the recorded entities."""
        created, self._created = self._created, {}
        for entity, destroy in created.items():
            destroy(entity)

    def _all(self) -> dict[Any, Callable[[Any], bool]]:
        """Return all entities of the node, each with the function that destroys it."""
        node = self._node
        return {entity: destroy for entities, destroy in (
            (node.publishers, node.destroy_publisher),
            (node.subscriptions, node.destroy_subscription),
            (node.services, node.destroy_service), (node.clients, node.destroy_client),
            (node.timers, node.destroy_timer)) for entity in [*entities]}
