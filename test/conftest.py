"""What all tests share."""
import os
from pathlib import Path
import signal

from gaze_ros.core.system import native_threads
from hypothesis import settings
import pytest

# Keep the nodes away from a robot nearby. Each worker of pytest-xdist has a domain of its own.
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
if os.environ.get('ROS_DISTRO') == 'humble':  # knows only this; later releases warn of it
    os.environ.setdefault('ROS_LOCALHOST_ONLY', '1')
os.environ['ROS_DOMAIN_ID'] = str(
    int(os.environ.get('ROS_DOMAIN_ID') or 42)
    + int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw')))

# A shell without job control starts background commands with SIGINT ignored, which the nodes would
# inherit: the tests of Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

native_threads.configure()
settings.register_profile('gaze_ros', deadline=None, database=None, derandomize=True)
settings.load_profile('gaze_ros')


def pytest_addoption(parser):
    parser.addoption('--full', action='store_true',
                     help='the whole fault suite and fuzzing, not their short forms')


def pytest_collection_modifyitems(items):
    """Start with the longest file, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.name != 'test_install.py')


@pytest.fixture(scope='session')
def rounds(request):
    """Return a function of how often to do something: in short, and with --full."""
    full = request.config.getoption('--full')
    return lambda short, long: long if full else short


@pytest.fixture(scope='session', autouse=True)
def no_models_of_this_machine(tmp_path_factory):
    """Hide the models the user has fetched: what ``auto`` takes depends on them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv('GAZE_ROS_MODELS', raising=False)
        patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
        yield


@pytest.fixture(scope='session')
def shared():
    """Return the folder of real models and clips: $GAZE_ROS_SHARED/data or ../shared/data."""
    named = os.environ.get('GAZE_ROS_SHARED')
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / 'shared'
    if not (folder / 'data').is_dir():
        pytest.skip('needs ../shared: not here')
    return folder / 'data'
