from gaze_ros.ros import transport
import pytest
import rclpy
from support import Listener


@pytest.fixture(scope='session', autouse=True)
def ros():
    transport.configure()
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


@pytest.fixture
def listener():
    one = Listener()
    yield one
    one.close()
