"""Services that do one thing and tell how it went."""
from collections.abc import Callable

from gaze_ros.ros.process.error_text import format_error
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger


def create_trigger_service(node: Node, name: str, do: Callable[[], str]) -> None:
    """Create a service of std_srvs/srv/Trigger.

    :param do: returns the message; what it raises is the message of a failure, whatever it is:
        who asks is told, and the process goes on. It may wait: nothing else does for it.
    """
    def answer(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message = do()
            response.success = True
        except Exception as e:
            response.message = format_error(e)
        return response

    node.create_service(
        Trigger, name, answer, callback_group=MutuallyExclusiveCallbackGroup())
