"""Files of whole networks, looked through before a runtime, written in C++, opens them."""
from pathlib import Path

from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes import onnx_file
from gaze_ros.core.system.safe_files import MAX_WEIGHTS_BYTES, read_problem, weights_problem

#: Bytes of an OpenVINO .xml: Intel's largest here has a fiftieth of it.
_MOST_XML = 16 << 20


def refuse(path: Path, named: str) -> None:
    """Raise ModelError if a path cannot be a file of weights: not all that is wrong shows.

    :param named: the parameter that gave it, for the error.
    """
    suffix = path.suffix.lower()
    if suffix == '.mlpackage' and path.is_dir():
        return
    why = weights_problem(path)
    if not why and suffix == '.onnx':
        why = onnx_file.no_network(path)
    if not why and suffix == '.xml':
        why = _no_ir(path)
    if why:
        raise ModelError(f"{named} '{path}' is no network: {why}")


def _no_ir(path: Path) -> str:
    """Return why a file is no OpenVINO IR, or ''."""
    if why := read_problem(path, _MOST_XML):
        return why
    data = path.read_bytes().strip(b'\xef\xbb\xbf \t\r\n\0')
    if not data.startswith((b'<?xml', b'<net')) or b'<net' not in data[:4096]:
        return 'it is no OpenVINO IR, which begins with <net'
    if not data.endswith(b'</net>'):
        return 'it is cut short: copy or download it anew'
    if b'<!ENTITY' in data:
        return 'it defines entities'
    if data.count(b'<layer') > 2 * onnx_file.MOST_NODES:  # <layers>, and constants are layers
        return f'it holds more than {2 * onnx_file.MOST_NODES} layers'
    beside = path.with_suffix('.bin')
    if why := read_problem(beside, MAX_WEIGHTS_BYTES):
        return f"of its '{beside.name}', which must be beside it: {why}"
    return ''
