"""Serves a report to a browser on this PC: a page opened as a file may not read the files beside it."""

from __future__ import annotations

import functools
import http.server
from pathlib import Path
from typing import Any


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Each request of a browser is nobody's news."""


def server_of(report: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """Serves the folder of a report to this PC alone; port 0 takes a free one."""
    handler = functools.partial(_Quiet, directory=str(report))
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)


def url_of(server: http.server.ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/"
