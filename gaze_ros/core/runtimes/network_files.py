"""Checking network files before a runtime, written in C++, opens them."""
from pathlib import Path

from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes import onnx_file
from gaze_ros.core.system.safe_files import MAX_WEIGHTS_BYTES, read_problem, weights_problem

#: Maximum bytes of an OpenVINO .xml: fifty times the largest of Intel's used here.
_MAX_XML = 16 << 20


def check_network_file(path: Path, parameter: str) -> None:
    """Raise ModelError if a file is clearly not a network; not every defect is detected.

    :param parameter: name of the parameter that gave the path, for the error message.
    """
    suffix = path.suffix.lower()
    if suffix == '.mlpackage' and path.is_dir():
        return
    problem = weights_problem(path)
    if not problem and suffix == '.onnx':
        problem = onnx_file.network_problem(path)
    if not problem and suffix == '.xml':
        problem = _ir_problem(path)
    if problem:
        raise ModelError(f"{parameter} '{path}' is not a network: {problem}")


def _ir_problem(path: Path) -> str:
    """Return why a file is not an OpenVINO IR, or ''."""
    if problem := read_problem(path, _MAX_XML):
        return problem
    data = path.read_bytes().strip(b'\xef\xbb\xbf \t\r\n\0')
    if not data.startswith((b'<?xml', b'<net')) or b'<net' not in data[:4096]:
        return 'it is not an OpenVINO IR, which starts with <net'
    if not data.endswith(b'</net>'):
        return 'it is truncated: copy or download it again'
    if b'<!ENTITY' in data:
        return 'it defines entities'
    if data.count(b'<layer') > 2 * onnx_file.MAX_NODES:  # <layers> counts, and so do constants
        return f'it holds more than {2 * onnx_file.MAX_NODES} layers'
    weights = path.with_suffix('.bin')
    if problem := read_problem(weights, MAX_WEIGHTS_BYTES):
        return f"its weights '{weights.name}', which must be in the same folder: {problem}"
    return ''
