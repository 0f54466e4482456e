"""Opens malicious files in its own process with limited memory and prints the results.

python hostile.py FOLDER    one JSON object per line: name, seconds, megabytes of growth, error
"""
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
import json
import os
from pathlib import Path
import resource
import sqlite3
import sys
import time
import zipfile

from gaze_ros.bags import limits
from gaze_ros.bags.reading import BagReader
from gaze_ros.core.detectors import create_detector
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.estimators import create_estimator, Settings
from gaze_ros.core.evaluation.labels import read_labels
from gaze_ros.core.model_zoo.manifest import load
from gaze_ros.core.networks.checkpoints import load_network
from gaze_ros.core.runtimes import open_network
from gaze_ros.ros.comm.camera_info import load_camera_info
from gaze_ros.ros.launch.parsing import read_parameter_file
import lz4.frame
import mcapmaker
from mcapmaker import Chunk
import onnx
import torch

GIGABYTE = 1 << 30
#: A sign-in page, noise, one byte, nothing.
CONTENTS = {
    'page': b'<!DOCTYPE html><html>Sign in</html>' * 99, 'noise': bytes(range(256)) * 40,
    'byte': b'\x80', 'empty': b''}
#: Twenty lines that expand to 10**19 values.
LAUGHS = 'a0: &a0 {k: 1}\n' + ''.join(
    f'a{i}: &a{i} {{<<: [{", ".join([f"*a{i - 1}"] * 9)}]}}\n' for i in range(1, 20))


def gaze(model: str, **more) -> Callable[[Path], object]:
    return lambda path: create_estimator(
        model, Settings(weight=str(path), device='cpu', threads=1, **more))


def detector(name: str) -> Callable[[Path], object]:
    return lambda path: create_detector(name, weight=str(path), threads=1)


def network(runtime: str) -> Callable[[Path], object]:
    return lambda path: open_network(path, runtime=runtime, device='cpu', size=64, threads=1)


#: For each kind of file: a file name and the function that opens it.
OPENERS = {
    'onnx': ('a.onnx', gaze('mobileone_s0')), 'ir': ('a.xml', gaze('adas')),
    'checkpoint': ('a.pt', gaze('mobileone_s0')), 'legacy': ('a.pkl', gaze('mobileone_s0')),
    'safetensors': ('a.safetensors', gaze('mobileone_s0')), 'task': ('a.task', gaze('mediapipe')),
    'yunet': ('d.onnx', detector('yunet')), 'retinaface': ('d.onnx', detector('retinaface')),
    'intel': ('d.xml', detector('adas-0001')), 'bundle': ('d.task', detector('mediapipe')),
    'manifest': ('m.yaml', load), 'calibration': ('c.yaml', lambda p: load_camera_info(str(p))),
    'ini': ('c.ini', lambda p: load_camera_info(str(p))),
    'parameters': ('p.yaml', lambda p: read_parameter_file(str(p))),
    'labels': ('l.csv', read_labels), 'mcap': ('b.mcap', BagReader), 'db3': ('b.db3', BagReader)}


def everything(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield a name and a call that must raise a proper error; its file exists until the next."""
    path = folder / 'x'
    for kind, (name, opened) in OPENERS.items():
        path = folder / name
        for what, content in CONTENTS.items():
            if (kind, what) == ('parameters', 'empty'):
                continue  # an empty parameter file is valid
            path.write_bytes(content)
            yield f'{kind} {what}', partial(opened, path)
        with open(path, 'wb') as file:
            file.truncate(100 * GIGABYTE)
        yield f'{kind} sparse', partial(opened, path)
        for what, make in (('folder', path.mkdir), ('pipe', partial(os.mkfifo, path)),
                           ('zeros', partial(path.symlink_to, '/dev/zero')),
                           ('random', partial(path.symlink_to, '/dev/urandom')),
                           ('loop', partial(path.symlink_to, path))):
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
            make()
            yield f'{kind} {what}', partial(opened, path)
        path.unlink()
        yield f'{kind} absent', partial(opened, path)
    yield from yamls(folder)
    yield from checkpoints(folder)
    yield from networks(folder)
    yield from bags(folder)
    bag = folder / 'bag'
    bag.mkdir()
    os.mkfifo(bag / 'b.mcap')
    (bag / 'metadata.yaml').write_text(
        'rosbag2_bagfile_information: {relative_file_paths: [../bag/b.mcap]}')
    yield 'bag of a pipe', lambda: BagReader(bag)


def yamls(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for kind in ('manifest', 'calibration', 'parameters'):
        name, opened = OPENERS[kind]
        for what, text in (
                ('laughs', LAUGHS), ('aliases', 'a: &a 1\nb: [' + '*a, ' * 50_000 + ']'),
                ('depth', '[' * 100_000), ('code', '!!python/object/apply:os.system [a]'),
                ('date', 'a: 2020-99-99')):
            (folder / name).write_text(text)
            yield f'{kind} {what}', partial(opened, folder / name)


def bags(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    path = folder / 'b.mcap'
    zstd = limits.zstd()
    bomb = zstd.compress(bytes(GIGABYTE // 2))  # 16 kB
    stream = zstd.ZstdCompressor()  # a stream does not declare its size
    unsized = stream.compress(bytes(GIGABYTE // 2)) + stream.flush()
    message = mcapmaker.message(bomb)
    for what, content in (
            ('a large chunk', mcapmaker.mcap(Chunk(bomb, GIGABYTE // 2))),
            ('a large chunk unindexed', mcapmaker.mcap(
                Chunk(bomb, GIGABYTE // 2), indexed=False)),
            ('a chunk that lies', mcapmaker.mcap(Chunk(unsized, 1000))),
            ('a chunk of lz4 that lies', mcapmaker.mcap(
                Chunk(lz4.frame.compress(bytes(GIGABYTE // 8)), 1000, 'lz4'), indexed=False)),
            ('chunks at one time', mcapmaker.mcap(*[
                Chunk(zstd.compress(bytes(GIGABYTE // 8)), GIGABYTE // 8)] * 99)),
            ('laughs', mcapmaker.mcap(qos=LAUGHS)),
            ('laughs unindexed', mcapmaker.mcap(qos=LAUGHS, indexed=False))):
        path.write_bytes(content)
        yield f'mcap of {what}', partial(whole, path)
    path.write_bytes(mcapmaker.mcap(loose=mcapmaker.record(3, b'', 99 * GIGABYTE), indexed=False))
    end = path.read_bytes()[-37:]
    with open(path, 'r+b') as file:
        file.seek(100 * GIGABYTE)
        file.write(end)
    yield 'mcap of a sparse record', partial(whole, path)
    for mode, name, content in (
            ('FILE', 'b.mcap.zstd', zstd.compress(bytes(GIGABYTE + 1))),
            ('MESSAGE', 'b.mcap', mcapmaker.mcap(Chunk(message, len(message), '')))):
        yield f'bag compressed by {mode}', partial(
            whole, mcapmaker.bag(folder / mode, name, content, mode))
    (folder / mode / 'metadata.yaml').write_text(LAUGHS)
    yield 'bag of laughs', partial(whole, folder / mode)
    path = folder / 'q.db3'
    with closing(sqlite3.connect(path)) as base:
        base.executescript("""
            CREATE TABLE topics(id INTEGER PRIMARY KEY, name, type, serialization_format,
                                offered_qos_profiles);
            CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data);""")
        base.execute('INSERT INTO topics VALUES(1, "/a", "b", "cdr", ?)', (LAUGHS,))
        base.commit()
    yield 'db3 of laughs', partial(whole, path)


def whole(path: Path) -> None:
    """Read all of a bag."""
    reader = BagReader(path)
    try:
        for _ in reader.records(reader.topics):
            pass
    finally:
        reader.close()


def checkpoints(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    class Call:

        def __init__(self, function: Callable, *arguments) -> None:
            self.call = function, arguments

        def __reduce__(self):
            return self.call

    path = folder / 'b.pt'
    for what, thing in (
            ('code', Call(os.system, f'touch {folder / "ran"}')),
            ('bytearray', {'fc_yaw.weight': Call(bytearray, 2 * GIGABYTE)}),
            ('one number', {'fc_yaw.weight': torch.zeros(1).expand(10**9).view(10**6, 1000)}),
            ('no numbers', {'fc_yaw.weight': torch.full((90, 512), torch.nan)})):
        torch.save(thing, path)
        yield f'checkpoint of {what}', lambda: load_network('resnet18', str(path))
    torch.save({'a': torch.zeros(10)}, folder / 'small.pt')
    with zipfile.ZipFile(folder / 'small.pt') as small, zipfile.ZipFile(
            path, 'w', zipfile.ZIP_DEFLATED) as packed:
        for name in small.namelist():
            zeros = bytes(GIGABYTE // 4 if name.endswith('data.pkl') else 0)
            packed.writestr(name, small.read(name) + zeros)
    del zeros
    yield 'checkpoint packed', lambda: load_network('resnet18', str(path))
    # In torch's format before 1.6: 1000 numbers that are declared as 10**11.
    torch.save({'a': torch.zeros(1000)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(
        b'M\xe8\x03', b'\x8a\x05' + (10**11).to_bytes(5, 'little')))
    yield 'checkpoint of many', lambda: load_network('resnet18', str(path))


def networks(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    h, kinds = onnx.helper, onnx.TensorProto
    path = folder / 'n.onnx'

    def write(nodes, *weights):
        graph = h.make_graph(
            nodes, 'g', [h.make_tensor_value_info('x', kinds.FLOAT, ['n', 3, 64, 64])],
            [h.make_tensor_value_info('y', kinds.FLOAT, None)], list(weights))
        path.write_bytes(h.make_model(
            graph, opset_imports=[h.make_opsetid('', 13)], ir_version=8).SerializeToString())

    elsewhere = kinds(name='w', data_type=1, dims=[1], data_location=kinds.EXTERNAL)
    for key, value in (('location', '../../../../etc/passwd'), ('length', '4')):
        elsewhere.external_data.add(key=key, value=value)
    large = kinds(name='w', data_type=1, dims=[10**9], raw_data=b'1234')
    shape = h.make_tensor('s', kinds.INT64, [1], [6 * 10**9])
    chain = [h.make_node('Relu', [f'x{i}' if i else 'x'], [f'x{i + 1}']) for i in range(20_000)]
    flow = h.make_graph(
        [h.make_node('Identity', ['c'], ['d'])], 'b',
        [h.make_tensor_value_info('i', kinds.INT64, []), h.make_tensor_value_info(
            'c', kinds.BOOL, [])], [h.make_tensor_value_info('d', kinds.BOOL, [])])
    for what, nodes, weights in (
            ("another's file", [h.make_node('Mul', ['x', 'w'], ['y'])], [elsewhere]),
            ('a large shape', [h.make_node('Mul', ['x', 'w'], ['y'])], [large]),
            ('many nodes', chain, []),
            ('a loop', [h.make_node('Loop', ['', ''], ['y'], body=flow)], [])):
        write(nodes, *weights)
        for runtime in ('openvino', 'onnx'):
            yield f'{runtime}, {what}', partial(network(runtime), path)
    write([h.make_node('ConstantOfShape', ['s'], ['k']), h.make_node('ReduceSum', ['k'], ['q']),
           h.make_node('Mul', ['x', 'q'], ['y'])], shape)
    yield 'openvino, much memory', lambda: network('openvino')(path)
    yield 'onnx, much memory', partial(gaze('mobileone_s0', runtime='onnx'), path)


def resident(name: str) -> float:
    line = next(one for one in Path('/proc/self/status').read_text().splitlines()
                if one.startswith(name))
    return int(line.split()[1]) / 1024


def main() -> None:
    folder = Path(sys.argv[1])
    virtual = int(Path('/proc/self/statm').read_text().split()[0]) * os.sysconf('SC_PAGESIZE')
    resource.setrlimit(resource.RLIMIT_AS, (virtual + 6 * GIGABYTE, -1))
    for name, opened in everything(folder):
        Path('/proc/self/clear_refs').write_text('5')  # resets VmHWM
        before, start, error = resident('VmRSS'), time.process_time(), ''
        try:
            opened()
        except (GazeRosError, ValueError) as e:
            error = str(e)
        except Exception as e:
            error = f'UNEXPECTED {type(e).__name__}: {e}'
        print(json.dumps({
            'name': name, 'seconds': time.process_time() - start,
            'megabytes': resident('VmHWM') - before, 'error': error}), flush=True)


if __name__ == '__main__':
    main()
