"""Describe the machine of a measurement."""
from importlib import metadata
from pathlib import Path
import platform
import subprocess
import sys
from typing import Any

from gaze_ros.core.system import native_threads
import psutil

#: Distributions whose version affects the results.
_PACKAGES = ('gaze_ros', 'openvino', 'onnxruntime', 'torch', 'mediapipe', 'opencv-python',
             'opencv-contrib-python', 'opencv-python-headless', 'numpy', 'rclpy', 'ros-rclpy')


def machine() -> dict[str, Any]:
    """Return cpu, cores (that this process may use), memory_gb, os, python and versions."""
    return {
        'cpu': _cpu(), 'cores': native_threads.thread_count(),
        'memory_gb': round(psutil.virtual_memory().total / 1e9, 1), 'os': platform.platform(),
        'python': platform.python_version(), 'versions': _versions()}


def _cpu() -> str:
    info = Path('/proc/cpuinfo')
    if info.is_file():
        for line in info.read_text(encoding='utf-8').splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    if sys.platform == 'darwin':
        done = subprocess.run(
            ['/usr/sbin/sysctl', '-n', 'machdep.cpu.brand_string'],  # noqa: S603
            capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
