import os

from gaze_ros.ros.comm import dds_profile
import pytest
import rclpy
from support import Listener, Process

# No robot nearby is to see these nodes.
os.environ.setdefault('ROS_DOMAIN_ID', '42')
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')


@pytest.fixture(scope='session', autouse=True)
def ros():
    dds_profile.configure()
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope='module', autouse=True)
def nothing_left():
    """Kill what a test that failed has left running: the next ones would hear it."""
    yield
    for process in Process.started:
        if process.running:
            process.kill()
    Process.started.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Report with a test that failed what the processes printed that it had started."""
    if call.when == 'setup':
        item.before = len(Process.started)
    report = yield
    if call.when == 'call' and report.failed:
        for process in Process.started[item.before:]:
            report.sections.append((process.name, '\n'.join(process.lines[-30:])))
    return report


@pytest.fixture
def listener():
    one = Listener()
    yield one
    one.close()
