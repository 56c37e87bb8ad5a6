"""A simulated instrument's web interface: each GET's path goes to it, its answer is the body."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from bench.virtual.scheduler import Scheduler


class WebInstrument(Protocol):
    """Called with the plant's lock held."""

    def get(self, path: str) -> str | None:
        """The body for a path with its query; None is 404."""
        ...


class HttpServer:
    """Serves one instrument on a free loopback port; every request on a connection of its own."""

    def __init__(self, instrument: WebInstrument, scheduler: Scheduler) -> None:
        self.instrument: Any = instrument

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with scheduler.lock:
                    body = instrument.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                data = body.encode("ascii")
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="instrument-http", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Idempotent."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(5)
            self._server.server_close()
