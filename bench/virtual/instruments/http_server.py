"""A simulated instrument's web interface: each GET's path goes to it, its answer is the body."""

from __future__ import annotations

import base64
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
    """Serves one instrument on a free loopback port; every request on a connection of its own.

    `login` is the `user:password` that a request must carry (RFC 7617); None wants none.
    """

    def __init__(self, instrument: WebInstrument, scheduler: Scheduler, *, login: str | None = None) -> None:
        self.instrument: Any = instrument
        wanted = None if login is None else f"Basic {base64.b64encode(login.encode()).decode()}"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if wanted is not None and self.headers.get("Authorization") != wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="instrument"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
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
