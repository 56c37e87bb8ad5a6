"""Object /5 of one device, as the server reaches it: each operation gives the device's answer.

The instances of object 33629 have the same operations under another path. Answers are CoAP codes
such as "2.04" or "4.05": what a device may refuse is for a testcase to judge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.firmware_update.states import Result, State
from bench.lwm2m.client import Client, CoapError
from bench.lwm2m.server import LwM2mServer

INSTANCE = "/5/0"
NULL_PACKAGE = b"\0"


class Object5:
    """Every method may raise `NotReachable` when the device does not answer."""

    def __init__(self, server: LwM2mServer, endpoint: str, instance: str = INSTANCE) -> None:
        self._server = server
        self._endpoint = endpoint
        self.instance = instance
        self.package, self.package_uri, self.update = (f"{instance}/{number}" for number in range(3))

    @property
    def _client(self) -> Client:
        return self._server.client(self._endpoint)

    def _answer(self, ask: Callable[[], Any], good: str = "2.04") -> str:
        try:
            ask()
        except CoapError as refusal:
            return refusal.dotted
        return good

    def write_uri(self, uri: str) -> str:
        """Write the Package URI; "" resets the object."""
        return self._answer(lambda: self._client.write(self.package_uri, uri))

    def write_package(self, package: bytes = NULL_PACKAGE) -> str:
        """Write a package small enough for one message; the NULL package resets the object."""
        return self._answer(lambda: self._client.write(self.package, package))

    def execute(self, arguments: str = "") -> str:
        """Execute Update."""
        return self._answer(lambda: self._client.execute(self.update, arguments))

    def cancel(self) -> str:
        """Execute Cancel (object version 1.1)."""
        return self._answer(lambda: self._client.execute(f"{self.instance}/10"))

    def write(self, resource: int, value: Any) -> str:
        return self._answer(lambda: self._client.write(f"{self.instance}/{resource}", value))

    def read(self) -> dict[int, Any]:
        """The readable resources of the instance. Raises `CoapError`."""
        values = self._client.read(self.instance)
        assert isinstance(values, dict)
        return dict(values)

    @property
    def state(self) -> State:
        return State(int(str(self._client.read(f"{self.instance}/3"))))

    @property
    def result(self) -> Result:
        return Result(int(str(self._client.read(f"{self.instance}/5"))))

    @property
    def pair(self) -> tuple[State, Result]:
        """Result first: read after the state it could belong to a later one."""
        result = self.result
        return self.state, result
