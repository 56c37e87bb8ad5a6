"""Object /5 of one device, as the server reaches it: each operation gives the device's answer.

The instances of object 33629 have the same operations under another path. Answers are CoAP codes
such as "2.04" or "4.05": what a device may refuse is for a testcase to judge.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from bench.firmware_update.met import Met
from bench.firmware_update.states import Result, State, in_words
from bench.lwm2m.client import Client, CoapError, NotReachable
from bench.lwm2m.server import LwM2mServer

INSTANCE = "/5/0"
NULL_PACKAGE = b"\0"


class Answer(str):
    """A response code, "2.04" or "4.05": a text that also knows its class (RFC 7252 section 5.9).

    `asked` is what was answered so, for the message of an assertion.
    """

    asked: str

    def __new__(cls, code: str, asked: str = "the request") -> Answer:
        made = super().__new__(cls, code)
        made.asked = asked
        return made

    @property
    def taken(self) -> Met:
        """The device did what was asked of it."""
        return Met(self.startswith("2."), f"{self.asked}: wanted to be taken; answered {self}")

    @property
    def refused(self) -> Met:
        """The device did not: a client error (4.xx) or a server error (5.xx).

        Which code refuses a request in a state where it has no place is not pinned: stacks answer 4.05, 4.00,
        4.06, 4.09, or 5.03 while a transfer runs.
        """
        return Met(self.startswith(("4.", "5.")), f"{self.asked}: wanted to be refused; answered {self}")


@contextlib.contextmanager
def gone_for_a_moment() -> Iterator[None]:
    """A device that installs may restart before it answers: that no answer came is no finding in here."""
    with contextlib.suppress(NotReachable):
        yield


class Object5:
    """Every method may raise `NotReachable` when the device does not answer."""

    def __init__(
        self, server: LwM2mServer, endpoint: str, instance: str = INSTANCE, *, patient: bool = False
    ) -> None:
        self._server = server
        self._endpoint = endpoint
        self._patient = patient
        self.instance = instance
        self.package, self.package_uri, self.update = (f"{instance}/{number}" for number in range(3))
        self.state_path, self.result_path = f"{instance}/3", f"{instance}/5"

    @property
    def _client(self) -> Client:
        client = self._server.client(self._endpoint)
        return client.patient if self._patient else client

    @property
    def patient(self) -> Object5:
        """The same object, for requests that may come while a transfer runs: 5.03 is waited out for a while.

        A device may have no room for anything but the transfer (RFC 7252 section 5.9.3.4, Service
        Unavailable); that is no refusal of what was asked for.
        """
        return Object5(self._server, self._endpoint, self.instance, patient=True)

    def _answer(self, ask: Callable[[], Any], asked: str) -> Answer:
        try:
            ask()
        except CoapError as refusal:
            return Answer(refusal.dotted, asked)
        return Answer("2.04", asked)

    def write_uri(self, uri: str) -> Answer:
        """Write the Package URI; "" resets the object."""
        return self._answer(
            lambda: self._client.write(self.package_uri, uri), f"Write {uri!r} to {self.package_uri}"
        )

    def write_package(self, package: bytes = NULL_PACKAGE) -> Answer:
        """Write a package small enough for one message; the NULL package resets the object."""
        asked = f"Write {len(package)} bytes to {self.package}"
        return self._answer(lambda: self._client.write(self.package, package), asked)

    def execute(self, arguments: str = "") -> Answer:
        """Execute Update."""
        return self._answer(lambda: self._client.execute(self.update, arguments), f"Execute {self.update}")

    def cancel(self) -> Answer:
        """Execute Cancel (object version 1.1)."""
        path = f"{self.instance}/10"
        return self._answer(lambda: self._client.execute(path), f"Execute {path}")

    def write(self, resource: int, value: Any) -> Answer:
        path = f"{self.instance}/{resource}"
        return self._answer(lambda: self._client.write(path, value), f"Write {value!r} to {path}")

    def read(self) -> dict[int, Any]:
        """The readable resources of the instance. Raises `CoapError`."""
        values = self._client.read(self.instance)
        assert isinstance(values, dict)
        return dict(values)

    @property
    def state(self) -> State:
        return State(int(str(self._client.read(self.state_path))))

    @property
    def result(self) -> Result:
        return Result(int(str(self._client.read(self.result_path))))

    @property
    def pair(self) -> tuple[State, Result]:
        """Result first: read after the state it could belong to a later one."""
        result = self.result
        return self.state, result

    def shows(self, state: State, result: Result) -> Met:
        """Whether it is in `state` with `result`, read now."""
        found = self.pair
        wanted = in_words(state, result)
        told = f"{self.instance}, State and Update Result: wanted {wanted}; it shows {in_words(*found)}"
        return Met(found == (state, result), told)
