"""An HTTP server on the loopback interface that can answer wrongly."""
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import re
import threading
import time

Answer = Callable[[BaseHTTPRequestHandler], None]


class HttpServer:
    """Gives each request the next of its answers, then repeats the last one."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str]] = []  # path and Range of each request
        outer = self

        class Handler(BaseHTTPRequestHandler):

            def do_GET(self):  # noqa: N802, http.server's name
                outer.requests.append((self.path, self.headers.get('Range', '')))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                try:
                    answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client disconnected

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self._server.daemon_threads = True
        self.url = f'http://127.0.0.1:{self._server.server_port}'
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> 'HttpServer':
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.socket.close()


def send_all(content: bytes, **headers: str) -> Answer:
    """Send the whole content and ignore the requested range."""
    def answer(request):
        request.send_response(200)
        request.send_header('Content-Length', str(len(content)))
        for name, value in headers.items():
            request.send_header(name.replace('_', '-'), value)
        request.end_headers()
        request.wfile.write(content)
    return answer


def send_range(content: bytes, *, until: int | None = None, pause: float = 0.0,
               stall: threading.Event | None = None) -> Answer:
    """Send the requested range, up to the byte ``until``.

    :param pause: seconds between tenths of the content.
    :param stall: the event to wait for before closing the connection.
    """
    def answer(request):
        start = int((re.findall(r'\d+', request.headers.get('Range', '')) or ['0'])[0])
        if start >= len(content):
            request.send_error(416)
            return
        request.send_response(206 if 'Range' in request.headers else 200)
        request.send_header('Content-Length', str(len(content) - start))
        if 'Range' in request.headers:
            request.send_header(
                'Content-Range', f'bytes {start}-{len(content) - 1}/{len(content)}')
        request.end_headers()
        step = max(1, len(content) // 10)
        rest = content[start:until]
        for i in range(0, len(rest), step):
            request.wfile.write(rest[i:i + step])
            request.wfile.flush()
            time.sleep(pause)
        if stall:
            stall.wait(30)
    return answer


def send_without_length(content: bytes) -> Answer:
    """Send the content without Content-Length."""
    def answer(request):
        request.send_response(200)
        request.end_headers()
        request.wfile.write(content)
    return answer


def send_status(code: int, **headers: str) -> Answer:
    """Send an error or a redirect."""
    def answer(request):
        request.send_response(code)
        request.send_header('Content-Length', '0')
        for name, value in headers.items():
            request.send_header(name.replace('_', '-'), value)
        request.end_headers()
    return answer
