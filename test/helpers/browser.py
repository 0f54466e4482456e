"""A page in headless Chromium: its text, errors of its console, and a screenshot."""
import base64
from contextlib import contextmanager
import json
from pathlib import Path
import re
import shutil
import subprocess
import time
from urllib.request import urlopen

from helpers.processes import wait_until

#: WebGL by the processor: there is no screen.
_OPTIONS = ('--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--use-gl=angle',
            '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--window-size=1500,950',
            '--remote-debugging-port=0', '--no-first-run')


def find_chromium() -> str | None:
    """Return the path of Chromium, or None."""
    return shutil.which('chromium') or shutil.which('chromium-browser')


class Page:
    """A page that is open; commands are those of the Chrome DevTools Protocol."""

    def __init__(self, connection) -> None:
        self._connection = connection
        self._number = 0

    def command(self, method: str, **parameters) -> dict:
        """Return the result of a command."""
        self._number += 1
        self._connection.send(json.dumps(
            {'id': self._number, 'method': method, 'params': parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=60))
            if message.get('id') == self._number:
                assert 'error' not in message, message
                return message['result']

    @property
    def text(self) -> str:
        """The visible text."""
        expression = "document.body ? document.body.innerText : ''"
        return self.command('Runtime.evaluate', expression=expression)[
            'result']['value']

    def screenshot(self, path: Path) -> None:
        """Save the page as PNG."""
        path.write_bytes(base64.b64decode(self.command('Page.captureScreenshot')['data']))


@contextmanager
def open_page(url: str, folder: Path):
    """Open a URL in a Chromium with a profile in ``folder``; yield the page."""
    from websockets.sync.client import connect
    log = folder / 'chromium.log'
    with open(log, 'w') as file:
        process = subprocess.Popen(
            [find_chromium(), *_OPTIONS, f'--user-data-dir={folder}/p', url], stdout=file,
            stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: 'DevTools listening' in log.read_text(), 60, 'Chromium')
        port = re.search(r'ws://127.0.0.1:(\d+)/', log.read_text())[1]

        def pages() -> list[dict]:
            with urlopen(f'http://127.0.0.1:{port}/json', timeout=20) as answer:
                return [page for page in json.load(answer) if page['url'].startswith(url)]

        wait_until(pages, 60, f'page {url}')
        with connect(pages()[0]['webSocketDebuggerUrl'], max_size=None) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        time.sleep(0.1)
