"""What the nodes have in common: states, parameters, diagnostics."""
from collections.abc import Iterator
from typing import Any, Optional

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.health import Facts
from gaze_ros.core.parameters import Spec, Value
from gaze_ros.core.stage import Stage
from gaze_ros.ros.diagnostics import Diagnostics
from gaze_ros.ros.handover import Reader
from gaze_ros.ros.parameters import declare
from gaze_ros.ros.stop import Stop
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE

#: Seconds a node's threads have to end when it is deactivated.
_PATIENCE = 2.0


class ManagedNode(LifecycleNode):
    """A node with the states of ROS's managed nodes.

    unconfigured --make--> inactive --begin--> active, and back by end and join, and free. What of
    publishers, subscriptions, services and timers make creates is destroyed with free.

    :param specs: its parameters; :attr:`values` has what they are at.
    :param stage: what it does, counted.
    :param stop: asked to end the process.
    :ivar readers: those made in make; they are ended before free.
    """

    def __init__(self, name: str, specs: tuple[Spec, ...], stage: Stage, stop: Stop) -> None:
        super().__init__(name)
        self.stage = stage
        self.stop = stop
        self.readers: list[Reader] = []
        self.configured = self.active = False
        self._fixed = {spec.name for spec in specs if not spec.live}
        self.values = declare(self, specs, self._on_change, self._check)
        Diagnostics(self)
        self._kept = set(self._entities())

    @property
    def hardware(self) -> str:
        """The diagnostics' hardware_id: the camera, the model, or ''; while configured."""
        return ''

    def facts(self) -> Facts:
        """Return what is known beside the stage's figures; called while configured."""
        raise NotImplementedError

    def make(self) -> None:
        """Open and load what the node needs, and create its topics.

        :raises GazeRosError: if something it was given does not work.
        """

    def begin(self) -> None:
        """Begin to work: make and start the threads."""

    def end(self) -> None:
        """Tell the threads to end; at any time."""

    def join(self, timeout: float) -> bool:
        """Wait for the threads, in seconds; return whether they have ended, or never began."""
        return True

    def free(self) -> None:
        """Close what make opened, as far as it came; the threads have ended."""

    def prepare(self, values: dict[str, Value]) -> None:
        """Prepare for new values of live parameters, while configured: load what they name.

        :raises GazeRosError, ValueError: if they do not work; they are refused for it.
        """

    def change(self, values: dict[str, Value]) -> None:
        """Take new values of live parameters; they are in :attr:`values` already."""

    def close(self, timeout: float) -> None:
        """Wait for the threads, in seconds, and free what make opened."""
        # A thread that hangs still uses it: then the process ends without.
        if self.join(timeout) and self.configured:
            self._discard()

    def destroy_node(self) -> None:
        """Take nothing more, and destroy the node."""
        for reader in self.readers:
            reader.end()
        super().destroy_node()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make; where that fails, say why and stay unconfigured."""
        try:
            self.make()
        except Exception as e:
            self.get_logger().fatal(reason(e))
            self._discard()
            return _FAILURE
        self.configured = True
        return _SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin."""
        self.begin()
        self.active = True
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End; what still works after a while keeps the node active."""
        self.active = False
        self.end()
        if not self.join(_PATIENCE):
            self.get_logger().error(f'still at work after {_PATIENCE:g} s: not deactivated')
            return _FAILURE
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free."""
        self._discard()
        return _SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End and free; the process goes on until it is told to end."""
        self.active = False
        self.end()
        self.close(_PATIENCE)
        return _SUCCESS

    def _discard(self) -> None:
        self.configured = False
        for reader in self.readers:
            reader.end()
        self.readers = []
        self.free()
        for entity, destroy in self._entities():
            if (entity, destroy) not in self._kept:
                destroy(entity)

    def _entities(self) -> Iterator[tuple[Any, Any]]:
        for entities, destroy in (
                (self.publishers, self.destroy_publisher),
                (self.subscriptions, self.destroy_subscription),
                (self.services, self.destroy_service), (self.clients, self.destroy_client),
                (self.timers, self.destroy_timer)):
            yield from ((entity, destroy) for entity in [*entities])

    def _check(self, values: dict[str, Value]) -> Optional[str]:
        if not self.configured:
            return None
        if fixed := sorted(self._fixed.intersection(values)):
            return (f'{fixed[0]} is not taken while the node is configured: change it after '
                    f"'ros2 lifecycle set {self.get_fully_qualified_name()} cleanup', or start "
                    'the node anew with it')
        try:
            self.prepare(values)
        except (GazeRosError, ValueError) as e:
            return reason(e)
        return None

    def _on_change(self, values: dict[str, Value]) -> None:
        self.values.update(values)
        if self.configured:
            self.change(values)


def reason(error: Exception) -> str:
    """Return an error as one line for the log."""
    words = ' '.join(str(error).split())
    return words if isinstance(error, (GazeRosError, ValueError)) else (
        f'{type(error).__name__}: {words}')
