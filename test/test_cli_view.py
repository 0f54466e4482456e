"""`gaze_ros view` as a process, its page in a real Chromium."""
from contextlib import contextmanager
import re
import signal
import subprocess

from helpers.browser import find_chromium, open_page
from helpers.processes import BIN, run_gaze_ros, running, save_sample, wait_until
import pytest

pytest.importorskip('viser')
needs_chromium = pytest.mark.skipif(not find_chromium(), reason='needs chromium')


@contextmanager
def viewer(folder, *words):
    """Run `gaze_ros view`; yield the URL of the page and a function for its output."""
    log = folder / 'view.log'
    with open(log, 'w') as file:
        process = subprocess.Popen(
            [str(BIN / 'gaze_ros'), 'view', '--port', '18090', *words],
            stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: 'viewer: ' in log.read_text() or process.poll() is not None, 60,
                   'the viewer')
        yield log.read_text().partition('viewer: ')[2].split()[0], log.read_text
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, log.read_text()
        assert 'Traceback' not in log.read_text()
    finally:
        process.kill()
        process.wait()


def seen(page, *words):
    wait_until(lambda: all(word in page.text for word in words), 90, f'{words} on the page')


@needs_chromium
def test_video_is_shown(tmp_path):
    clip = save_sample(tmp_path / 'clip.avi', 'MJPG', 10, 30)
    targets = tmp_path / 'targets.yaml'
    targets.write_text('targets: [{name: cup}, {name: cloth, frame: table}]')
    with viewer(tmp_path, '--targets', str(targets), str(clip)) as (url, printed), open_page(
            url, tmp_path) as page:
        seen(page, 'gaze_ros', 'image', 'f1', 'degrees', 'images/s')
        wait_until(lambda: 'end of the input' in printed(), 60, 'the end')
        page.screenshot(tmp_path / 'page.png')
        assert "targets in frame 'table' are not used" in printed()
    assert (tmp_path / 'page.png').stat().st_size > 20_000


@needs_chromium
def test_running_nodes_are_shown(tmp_path):
    namespace = '-r', '__ns:=/seen'  # as launch passes it to the viewer, too
    with running('pipeline', 'source:=sample', more=namespace) as nodes:
        nodes.wait_for('publishing', 60)
        with viewer(tmp_path, '--ros-args', *namespace) as (url, _), open_page(
                url, tmp_path) as page:
            # Any id: on a busy machine the face moves too far from one image to the next.
            wait_until(lambda: re.search(r'\bf\d+\b', page.text), 90, 'a person on the page')
            seen(page, 'camera')


@pytest.mark.parametrize('words', [('nowhere.mp4',), ('--port', 'many'),
                                   ('--targets', 'none.yaml')])
def test_wrong_input_is_one_line(words):
    done = run_gaze_ros('view', *words)
    assert done.returncode in (1, 2) and 'Traceback' not in done.stderr
    assert words[-1] in done.stderr
