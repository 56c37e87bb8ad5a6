"""An instrument with a web interface: each command is one GET on a connection of its own.

A connection of its own means that a late reply can never answer the next command. No proxy is used:
the instrument is on the bench.
"""

from __future__ import annotations

import http.client
import urllib.parse
from typing import Unpack

from bench.instruments.wires.wire import Checks, Wire
from bench.timeline import Timeline

LARGEST = 64 * 1024
"""Bytes of an answer beyond which it is none of these instruments'."""


class HttpWire(Wire):
    """`address` is `http://host` or `http://host:port`; `prefix` comes before each command in the path.

    Spaces of a command become `+`.
    """

    kind = "command"

    def __init__(
        self, name: str, address: str, timeline: Timeline, *, prefix: str = "/", **checks: Unpack[Checks]
    ) -> None:
        super().__init__(name, address, timeline, **checks)
        self._prefix = prefix
        self._open = False
        self._url = urllib.parse.urlsplit(address)

    @property
    def _connected(self) -> bool:
        return self._open

    def _connect(self) -> None:
        if self._url.scheme != "http" or not self._url.hostname:
            raise self.fault("open", "the address is not http://host or http://host:port")
        self._open = True

    def _disconnect(self) -> None:
        self._open = False

    def query(self, command: str) -> str:
        """GET the command; its answer as text, without white space round it."""
        with self._lock:
            self._need(command)
            self.log(f"> {command}")
            try:
                answer = self._get(command)
            except (OSError, http.client.HTTPException, ValueError) as fault:
                self._disconnect()
                raise self.fault(command, str(fault) or type(fault).__name__) from fault
            self._ended()
        self.log(f"< {answer}")
        return answer

    def _get(self, command: str) -> str:
        assert self._url.hostname is not None
        connection = http.client.HTTPConnection(self._url.hostname, self._url.port, timeout=self._timeout)
        try:
            target = self._prefix + command.replace(" ", "+")
            connection.request("GET", target, headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read(LARGEST + 1)
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise ValueError(f"HTTP status {response.status} {response.reason}")
        if response.length and len(body) <= LARGEST:
            raise ValueError(f"the answer ends {response.length} bytes early")
        if len(body) > LARGEST:
            raise ValueError(f"an answer of more than {LARGEST} bytes")
        return body.decode("ascii").strip()
