"""`gaze_ros view` as a process, its page in a real Chromium."""
from contextlib import contextmanager
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
    with viewer(tmp_path, str(clip)) as (url, printed), open_page(url, tmp_path) as page:
        seen(page, 'gaze_ros', 'image', 'f1', 'degrees', 'images/s')
        wait_until(lambda: 'end of the input' in printed(), 60, 'the end')
        page.screenshot(tmp_path / 'page.png')
    assert (tmp_path / 'page.png').stat().st_size > 20_000


@needs_chromium
def test_running_nodes_are_shown(tmp_path):
    with running('pipeline', 'source:=sample') as nodes:
        nodes.wait_for('publishing', 60)
        with viewer(tmp_path) as (url, _), open_page(url, tmp_path) as page:
            seen(page, 'f1', 'camera')


@pytest.mark.parametrize('words', [('nowhere.mp4',), ('--port', 'many')])
def test_wrong_input_is_one_line(words):
    done = run_gaze_ros('view', *words)
    assert done.returncode in (1, 2) and 'Traceback' not in done.stderr
    assert words[-1] in done.stderr
