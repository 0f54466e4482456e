from gaze_ros.ros.comm import dds_profile
from helpers.processes import Process
from helpers.ros_client import Listener
import pytest
import rclpy


@pytest.fixture(scope='session', autouse=True)
def ros():
    dds_profile.configure()
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope='module', autouse=True)
def no_processes_left():
    """Kill processes that a failed test left running: the next tests would receive their data."""
    yield
    for process in Process.started:
        if process.running:
            process.kill()
    Process.started.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Add the output of the processes that a failed test started to its report."""
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
