"""Fuzzing targets: functions that take untrusted bytes; an exception is a failure.

An input may be accepted or refused by the documented exception of the function under test.
"""
import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from functools import lru_cache
import io
from pathlib import Path
import tempfile
import time

from fuzz import mcapmaker
from gaze_ros.bags.reading import BagReader
from gaze_ros.bags.stamps import shift_stamp
from gaze_ros.bags.streams import find_streams
from gaze_ros.cli import options
from gaze_ros.core.errors import GazeRosError, ModelError, SourceError
from gaze_ros.core.evaluation import labels
from gaze_ros.core.model_zoo import manifest
from gaze_ros.core.networks.checkpoints import read_state
from gaze_ros.core.parameters import NODES
from gaze_ros.core.runtimes import network_files
from gaze_ros.core.sources import open_source, redact_url
from gaze_ros.core.sources.images import ImageFiles
from gaze_ros.ros.comm import camera_info, conversions
from gaze_ros.ros.launch import parsing
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

SEEDS = Path(__file__).parent / 'seeds'
#: Maximum CPU seconds per input.
MAX_SECONDS = 1.0

_folder = tempfile.TemporaryDirectory(prefix='gaze_ros_fuzz_')
_SPECS = [spec for specs in NODES.values() for spec in specs]


def _file(name: str, data: bytes) -> Path:
    path = Path(_folder.name, name)
    path.write_bytes(data)
    return path


@contextmanager
def _refused(*errors: type[Exception]) -> Iterator[None]:
    """Accept these errors, if their text is one line and not empty."""
    try:
        yield
    except errors as e:
        assert str(e) and '\n' not in str(e), repr(e)[:500]


def of_manifest(data: bytes) -> None:
    with _refused(ModelError):
        manifest.load(_file('manifest.yaml', data))


def of_calibration(data: bytes) -> None:
    with _refused(SourceError):
        info = camera_info.load_camera_info(str(_file('calibration.yaml', data)))
        camera_info.calibration_from_camera_info(info)


def of_parameters(data: bytes) -> None:
    with _refused(ValueError):
        sections = parsing.parameter_sections(str(_file('parameters.yaml', data)))
        for values in sections.values():
            for spec in _SPECS:
                if spec.name in values and not spec.problem(values[spec.name]):
                    spec.convert(values[spec.name])
        parsing.parameters_in_file(sections, 'room', 'gaze')


def of_labels(data: bytes) -> None:
    with _refused(GazeRosError):
        labels.read_labels(_file('labels.csv', data))
    with _refused(GazeRosError):
        labels.read_eye_labels(labels.decode_text(data, 'eyes.csv'), 'eyes.csv')


def of_checkpoint(data: bytes) -> None:
    with _refused(ModelError):
        read_state(str(_file('weights.pt', data)))


def of_safetensors(data: bytes) -> None:
    with _refused(ModelError):
        read_state(str(_file('weights.safetensors', data)))


def of_onnx(data: bytes) -> None:
    with _refused(ModelError):
        network_files.check_network_file(_file('network.onnx', data), 'weight')


def of_ir(data: bytes) -> None:
    _file('network.bin', b'\0')
    with _refused(ModelError):
        network_files.check_network_file(_file('network.xml', data), 'weight')


def _bag(path: Path) -> None:
    with _refused(GazeRosError):
        reader = BagReader(path)
        try:
            streams = find_streams(reader.topics)
            for record in reader.records([streams.images, streams.info]):
                with _refused(ValueError):
                    shift_stamp(record.cdr, 10**9)
        finally:
            reader.close()


def of_mcap(data: bytes) -> None:
    _bag(_file('bag.mcap', data))


def of_db3(data: bytes) -> None:
    _bag(_file('bag.db3', data))


def of_metadata(data: bytes) -> None:
    Path(_folder.name, 'bag').mkdir(exist_ok=True)
    _file('bag/bag.mcap', (SEEDS / 'mcap' / 'raw.mcap').read_bytes())
    _file('bag/metadata.yaml', data)
    _bag(Path(_folder.name, 'bag'))


def of_packed(data: bytes) -> None:
    """Read a file of a bag compressed by file."""
    _bag(mcapmaker.bag(Path(_folder.name, 'packed'), 'b.mcap.zstd', data, 'FILE'))


def of_messages(data: bytes) -> None:
    """Read a message of a bag compressed by message."""
    message = mcapmaker.message(data)
    _bag(mcapmaker.bag(Path(_folder.name, 'messages'), 'b.mcap', mcapmaker.mcap(
        mcapmaker.Chunk(message, len(message), '')), 'MESSAGE'))


def of_qos(data: bytes) -> None:
    """Read the offered_qos_profiles of a topic."""
    _bag(_file('qos.mcap', mcapmaker.mcap(qos=data.decode('utf-8', 'replace'))))


def of_cdr(data: bytes) -> None:
    """Conversion of a bag's messages; the callers skip a message on any exception."""
    for kind, use in (
            (Image, conversions.image_to_bgr), (CompressedImage, conversions.compressed_to_bgr),
            (CameraInfo, camera_info.calibration_from_camera_info)):
        with suppress(Exception):
            message = deserialize_message(data, kind)
            with _refused(ValueError):
                use(message)


def of_compressed(data: bytes) -> None:
    with _refused(ValueError):
        image = conversions.compressed_to_bgr(CompressedImage(format='jpeg', data=data))
        assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == 'uint8'


def of_image(data: bytes) -> None:
    """Ten bytes for the fields of an Image, and its data."""
    head, body = data[:10].ljust(10, b'\0'), data[10:]
    names = [*conversions._ENCODINGS, '32FC1', '', 'bgr8 ']
    with _refused(ValueError):
        image = conversions.image_to_bgr(Image(
            width=int.from_bytes(head[:2], 'little'), height=int.from_bytes(head[2:4], 'little'),
            step=int.from_bytes(head[4:8], 'little'), encoding=names[head[8] % len(names)],
            is_bigendian=head[9], data=body))
        assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == 'uint8'


def of_image_file(data: bytes) -> None:
    with _refused(SourceError):
        source = ImageFiles(_file('image.png', data))
        while source.read() is not None:
            pass
        source.close()


def of_source(data: bytes) -> None:
    text = ''.join(data.decode('utf-8', 'replace').splitlines())
    assert 'S3cret' not in redact_url(f'rtsp://user:S3cret@{text}')
    # Use neither the network nor a camera of this machine.
    if '://' not in text and not text.strip().startswith('/') and not text.strip().isdecimal():
        with _refused(SourceError):
            open_source(text).close()


@lru_cache(maxsize=1)
def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument('input')
    options.add(parser, nodes=True)
    return parser


def of_arguments(data: bytes) -> None:
    """Command line options and launch arguments, one per line."""
    words = data.decode('utf-8', 'surrogateescape').split('\n')
    with redirect_stderr(io.StringIO()), suppress(SystemExit, argparse.ArgumentError):
        _parser().parse_args(words)
    for spec, word in zip(_SPECS * 2, words * 5):
        with _refused(ValueError):
            parsing.parse_value(spec.name, spec, word)


TARGETS: dict[str, Callable[[bytes], None]] = {
    name.removeprefix('of_'): function for name, function in list(globals().items())
    if name.startswith('of_')}


def run(name: str, data: bytes) -> None:
    """Run a target on an input; fail if it takes too long."""
    start = time.process_time()
    TARGETS[name](data)
    took = time.process_time() - start
    assert took < MAX_SECONDS, f'{name} took {took:.1f} s for {len(data)} bytes'
