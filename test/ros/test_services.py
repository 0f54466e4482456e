"""Services that trigger one action."""
from gaze_ros.core.errors import GazeRosError
from gaze_ros.ros.base.services import create_trigger_service
from helpers.ros_client import call_service, Listener
import pytest
from std_srvs.srv import Trigger


@pytest.fixture
def server():
    one = Listener('triggers')
    yield one
    one.close()


@pytest.mark.parametrize('raised,message', [
    (None, 'done'), (GazeRosError('it is\nmissing'), 'it is missing'),
    (RuntimeError('no home'), 'RuntimeError: no home')])
def test_errors_become_the_response_and_the_next_call_is_served(
        listener, server, raised, message):
    def do():
        if raised is not None:
            raise raised
        return 'done'

    create_trigger_service(server.node, '~/it', do)
    for _ in range(2):
        answer = call_service(listener.node, Trigger, '/triggers/it', Trigger.Request())
        assert (answer.success, answer.message) == (raised is None, message)
