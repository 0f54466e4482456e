"""Services that trigger one action and report its result."""
from collections.abc import Callable

from gaze_ros.core.system.utf8 import printable
from gaze_ros.ros.process.error_text import format_error
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger


def create_trigger_service(node: Node, name: str, action: Callable[[], str]) -> None:
    """Create a service of type std_srvs/srv/Trigger.

    :param action: returns the message of the response. Whatever it raises becomes the message of
        a failure, and the process continues. It may block: it has a callback group of its own.
    """
    def on_request(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message = printable(action())
            response.success = True
        except Exception as e:
            response.message = format_error(e)
        return response

    node.create_service(
        Trigger, name, on_request, callback_group=MutuallyExclusiveCallbackGroup())
