"""What of publishers, subscriptions, services, clients and timers a node creates when."""
from collections.abc import Callable
from typing import Any

from rclpy.node import Node


class Entities:
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
