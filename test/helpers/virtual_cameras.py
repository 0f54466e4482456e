"""Cameras that fail on request, and a probe of what the camera node publishes."""
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
from helpers.processes import Process, wait_until
import numpy as np
from sensor_msgs.msg import CameraInfo, Image

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class CameraProbe:
    """Collects the images, CameraInfo and diagnostics of a camera node."""

    def __init__(self, listener) -> None:
        self.images = listener.subscribe(Image, '/camera/image_raw', lambda m: (
            m.width, m.height, m.encoding, len(m.data)))
        self.infos = listener.subscribe(CameraInfo, '/camera/camera_info', lambda m: (
            m.width, m.height, m.k[0]))
        self._statuses = listener.subscribe(DiagnosticArray, '/diagnostics', lambda m: m.status[0])

    def status(self, name: str = 'camera: Camera') -> DiagnosticStatus:
        """Return the last status of a node."""
        return next((s for s in reversed([*self._statuses]) if s.name == name), DiagnosticStatus())

    def wait_for(self, level: bytes, words: str, name: str = 'camera: Camera') -> None:
        """Wait for a status with this level and these words."""
        wait_until(lambda: (s := self.status(name)).level == level and words in s.message, 30,
                   f"{level} '{words}'")

    def wait_for_more(self, count: int = 5) -> None:
        """Wait for more images."""
        goal = len(self.images) + count
        wait_until(lambda: len(self.images) >= goal, 30, f'{count} more images')


class VirtualCameraNode(Process):
    """A camera node with the devices and timeouts of virtual_devices.py.

    :param folder: where its state files go.
    :param hangs: seconds after which a read counts as hung.
    :param timeout: seconds after which a stream counts as failed.
    """

    def __init__(self, folder: Path, *parameters: str, hangs: float = 12.0, timeout: int = 5,
                 **more) -> None:
        self._state = folder / 'state'
        self.set_state('good')
        devices = Path(__file__).with_name('virtual_devices.py')
        super().__init__('camera_node', *parameters, prefix=(
            sys.executable, str(devices), str(self._state), str(hangs), str(timeout)), **more)

    def set_state(self, state: str) -> None:
        """Set what the devices do from now on: a state of virtual_devices.py."""
        new = self._state.with_suffix('.next')
        new.write_text(state)
        new.replace(self._state)

    @property
    def counts(self) -> dict[str, int]:
        """Return the numbers of open devices, stuck reads and reader threads."""
        return json.loads(self._state.with_suffix('.counts').read_text())

    def lines_with(self, words: str) -> list[str]:
        """Return the printed lines that contain the words."""
        return [line for line in [*self.lines] if words in line]


@contextmanager
def virtual_camera_node(folder: Path, *parameters: str, number: int = signal.SIGINT, **more
                        ) -> Iterator[VirtualCameraNode]:
    """Run a camera node with virtual devices for the length of a with-block.

    A signal stops it afterwards; exit code 0 means that it stopped within 2 s.
    """
    process = VirtualCameraNode(folder, *parameters, **more)
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
    """A camera that sends Motion JPEG over HTTP at 50 images/s.

    :ivar mode: flow: send; stall: send nothing and answer nobody; close: close each connection.
    :ivar size: (width, height) of the images, pixels.
    """

    def __init__(self, port: int = 0) -> None:
        self.mode = 'flow'
        self.size = (640, 480)
        camera = self

        class Sending(BaseHTTPRequestHandler):

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.wait()
                if camera.mode == 'close':
                    return
                self.send_response(200)
                self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=frame')
                self.end_headers()
                while camera.mode == 'flow':
                    self.send(camera.size)
                    time.sleep(0.02)
                    self.wait()

            def wait(self):
                while camera.mode == 'stall':
                    time.sleep(0.02)

            def send(self, size):
                image = np.full((size[1], size[0], 3), 99, np.uint8)
                data = cv2.imencode('.jpg', image)[1].tobytes()
                self.wfile.write(b'--frame\r\nContent-Type: image/jpeg\r\n'
                                 b'Content-Length: %d\r\n\r\n' % len(data) + data + b'\r\n')

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # the client disconnected
                pass

        self._server = Server(('127.0.0.1', port), Sending)
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop the server: connections are refused."""
        self.mode = 'close'
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def network_camera() -> Iterator[NetworkCamera]:
    """Run a network camera for the length of a with-block."""
    camera = NetworkCamera()
    try:
        yield camera
    finally:
        camera.close()
