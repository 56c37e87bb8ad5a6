"""An instrument with a web interface: each command is one GET on a connection of its own.

A connection of its own means that a late reply can never answer the next command. No proxy is used:
the instrument is on the bench.
"""

from __future__ import annotations

import base64
import http.client
import urllib.parse
from typing import Unpack

from bench.instruments.wires.wire import CORRECT_ADDRESS, Checks, Wire
from bench.timeline import Timeline

LARGEST = 64 * 1024
"""Bytes of an answer beyond which it is none of these instruments'."""

LOGIN = "give the keys user and password of this instrument in the bench file"


class HttpWire(Wire):
    """`address` is `http://host` or `http://host:port`; `prefix` comes before each command in the path.

    Spaces of a command become `+`. With a password, each GET carries user and password as HTTP's "Basic"
    authentication does (RFC 7617).
    """

    kind = "command"

    def __init__(
        self, name: str, address: str, timeline: Timeline, *, prefix: str = "/", **checks: Unpack[Checks]
    ) -> None:
        super().__init__(name, address, timeline, **checks)
        self._prefix = prefix
        self._user, self._password = checks.get("user"), checks.get("password")
        self._place: tuple[str, int] | None = None

    @property
    def _connected(self) -> bool:
        return self._place is not None

    def _connect(self) -> None:
        with self.guarded("open"):
            url = urllib.parse.urlsplit(self.address)
            if url.scheme != "http" or not url.hostname:
                raise self.fault(
                    "open", "the address is not http://host or http://host:port", help=CORRECT_ADDRESS
                )
            self._place = (url.hostname, url.port or http.client.HTTP_PORT)

    def _disconnect(self) -> None:
        self._place = None

    def query(self, command: str) -> str:
        """GET the command; its answer as text, without white space round it."""
        with self._lock:
            self._need(command)
            self.log(f"> {command}")
            with self.guarded(command):
                answer = self._get(command)
            self._ended()
        self.log(f"< {answer}")
        return answer

    def _path_of(self, command: str) -> str:
        return self._prefix + command.replace(" ", "+")

    def _headers(self) -> dict[str, str]:
        headers = {"Connection": "close"}
        if self._password is not None:
            login = base64.b64encode(f"{self._user or ''}:{self._password}".encode()).decode("ascii")
            headers["Authorization"] = f"Basic {login}"
        return headers

    def _get(self, command: str) -> str:
        assert self._place is not None
        connection = http.client.HTTPConnection(*self._place, timeout=self._timeout)
        try:
            connection.request("GET", self._path_of(command), headers=self._headers())
            response = connection.getresponse()
            body = response.read(LARGEST + 1)
        finally:
            connection.close()
        if response.status == http.HTTPStatus.UNAUTHORIZED:
            told = "refuses user and password" if self._password is not None else "wants user and password"
            self._disconnect()
            raise self.fault(command, f"HTTP status 401: it {told}", help=LOGIN)
        if response.status != http.HTTPStatus.OK:
            raise ValueError(f"HTTP status {response.status} {response.reason}")
        if response.length and len(body) <= LARGEST:
            raise ValueError(f"the answer ends {response.length} bytes early")
        if len(body) > LARGEST:
            raise ValueError(f"an answer of more than {LARGEST} bytes")
        return body.decode("ascii").strip()
