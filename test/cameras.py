"""Cameras that fail as a test says, and what the camera node tells of them."""
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
from pathlib import Path
import signal
import sys
from threading import Thread
import time

import cv2
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
import numpy as np
from sensor_msgs.msg import CameraInfo, Image
from support import Process, wait_until

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Seen:
    """What a listener sees of a camera node: pictures, their CameraInfo and its status."""

    def __init__(self, listener) -> None:
        self.images = listener.hear(Image, '/camera/image_raw', lambda m: (
            m.width, m.height, m.encoding, len(m.data)))
        self.infos = listener.hear(CameraInfo, '/camera/camera_info', lambda m: (
            m.width, m.height, m.k[0]))
        self._told = listener.hear(DiagnosticArray, '/diagnostics', lambda m: m.status[0])

    def status(self, name: str = 'camera: Camera') -> DiagnosticStatus:
        """Return what was told last of a node."""
        return next((s for s in reversed([*self._told]) if s.name == name), DiagnosticStatus())

    def wait_for(self, level: bytes, words: str, name: str = 'camera: Camera') -> None:
        """Wait for a status that has a level and words."""
        wait_until(lambda: (s := self.status(name)).level == level and words in s.message, 30,
                   f"{level} '{words}'")

    def wait_for_more(self, count: int = 5) -> None:
        """Wait for more pictures."""
        goal = len(self.images) + count
        wait_until(lambda: len(self.images) >= goal, 30, f'{count} more pictures')


class Rigged(Process):
    """A camera node with the devices and the times of rig.py.

    :param folder: for its files.
    :param hangs: seconds after which a read hangs; timeout those after which a stream failed.
    """

    def __init__(self, folder: Path, *parameters: str, hangs: float = 12.0, timeout: int = 5,
                 **more) -> None:
        self._state = folder / 'state'
        self.put('good')
        rig = Path(__file__).with_name('rig.py')
        super().__init__('camera_node', *parameters, prefix=(
            sys.executable, str(rig), str(self._state), str(hangs), str(timeout)), **more)

    def put(self, state: str) -> None:
        """Say what devices do from now on."""
        new = self._state.with_suffix('.next')
        new.write_text(state)
        new.replace(self._state)

    @property
    def told(self) -> dict[str, int]:
        """How many devices are open, how many are stuck, and how many threads read."""
        return json.loads(self._state.with_suffix('.told').read_text())

    def lines_with(self, words: str) -> list[str]:
        """Return the lines that have words."""
        return [line for line in [*self.lines] if words in line]


@contextmanager
def rigged(folder: Path, *parameters: str, number: int = signal.SIGINT, **more
           ) -> Iterator[Rigged]:
    """Run a rigged camera node for the length of a with-block.

    A signal ends it then: code 0 says that it did so within 2 s.
    """
    process = Rigged(folder, *parameters, **more)
    try:
        yield process
    except BaseException:
        process.send(signal.SIGKILL)
        process.end()
        raise
    process.send(number)
    assert process.end() == 0, process.text
    assert 'not ended' not in process.text
    assert 'Traceback' not in process.text


class NetworkCamera:
    """A camera that sends JPEG after JPEG by HTTP, 50 a second.

    :ivar does: flow; stall: send nothing more, and be silent to whoever comes; close: end at once.
    :ivar size: of the pictures, pixels.
    """

    def __init__(self, port: int = 0) -> None:
        self.does = 'flow'
        self.size = (640, 480)
        camera = self

        class Sending(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.wait()
                if camera.does == 'close':
                    return
                self.send_response(200)
                self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=frame')
                self.end_headers()
                while camera.does == 'flow':
                    self.send(camera.size)
                    time.sleep(0.02)
                    self.wait()

            def wait(self):
                while camera.does == 'stall':
                    time.sleep(0.02)

            def send(self, size):
                picture = np.full((size[1], size[0], 3), 99, np.uint8)
                data = cv2.imencode('.jpg', picture)[1].tobytes()
                self.wfile.write(b'--frame\r\nContent-Type: image/jpeg\r\n'
                                 b'Content-Length: %d\r\n\r\n' % len(data) + data + b'\r\n')

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # whoever listened has gone
                pass

        self._server = Server(('127.0.0.1', port), Sending)
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Be gone: connections are refused."""
        self.does = 'close'
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def network_camera() -> Iterator[NetworkCamera]:
    """Have a network camera for the length of a with-block."""
    camera = NetworkCamera()
    try:
        yield camera
    finally:
        camera.close()
