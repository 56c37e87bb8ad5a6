"""The device learns its server from a bootstrap server (OMA LwM2M 1.1 Core, 6.1, client-initiated)."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware import data_model as model
from bench.virtual.firmware.coap_engine import CoapEngine, Request
from bench.virtual.firmware.coap_message import Message
from bench.virtual.machine import Machine
from bench.virtual.process import Signal, Steps
from bench.virtual.radio.modem import Address

QUIET_LIMIT = 247.0
"""Seconds without a request of the bootstrap server after which the device asks anew."""
RETRY_FIRST, RETRY_MOST = 15.0, 240.0
PSK, NO_SEC = 0, 3
"""Security modes (OMA object 0, resource 2)."""
_SECURITY_KINDS = {0: "str", 1: "bool", 2: "int", 3: "bytes", 4: "bytes", 5: "bytes", 10: "int"}
_SERVER_KINDS = {0: "int", 1: "int", 6: "bool", 7: "str"}
_MANDATORY = {0: {0, 1, 2}, 1: {0, 1, 7}}

Values = dict[int, Any]


@dataclass(frozen=True, slots=True)
class Learned:
    """The server that a bootstrap named: the first one with a Security and a Server instance.

    With an `identity` it is to be talked to over DTLS, by the pre-shared `key`.
    """

    host: str
    port: int
    lifetime: int
    identity: str = ""
    key: bytes = field(default=b"", repr=False)


class Bootstrap:
    """Asks, is written, is finished. While it runs it answers what the bootstrap server requests."""

    def __init__(self, machine: Machine, engine: CoapEngine, server: Address, endpoint: str) -> None:
        self._machine, self._engine = machine, engine
        self._server, self._endpoint = server, endpoint
        self._written: dict[int, dict[int, Values]] = {0: {}, 1: {}}
        self._learned: Learned | None = None
        self._others = engine.on_request
        self._active = Signal()
        self._heard = 0.0

    def run(self, wanted: Callable[[], bool]) -> Steps:
        """Until a server is known, or it is no longer wanted; its value is `Learned` or None."""
        self._engine.on_request = self._requested
        retry = RETRY_FIRST
        try:
            while wanted():
                answer = yield from self._ask()
                if answer is not None and answer.code == coap.CHANGED:
                    self._machine.print("lwm2m: bootstrap begins")
                    yield from self._wait()
                    if self._learned is not None:
                        self._machine.print("lwm2m: bootstrap finished")
                        return self._learned
                self._machine.print(f"lwm2m: bootstrap failed, again in {retry:.0f} s")
                yield retry
                retry = min(RETRY_MOST, retry * 2)
        finally:
            self._engine.on_request = self._others
        return None

    def _ask(self) -> Steps:
        for written in self._written.values():
            written.clear()
        message = Message(coap.CON, coap.POST)
        message.add_text(coap.URI_PATH, "bs")
        for item in (f"ep={self._endpoint}", f"pct={model.TLV}"):
            message.add_text(coap.URI_QUERY, item)
        answered = Signal()
        self._engine.request(message, self._server, answered.send)
        return (yield answered)

    def _wait(self) -> Steps:
        """Until the server has finished, or has been quiet for too long."""
        self._heard = self._machine.now()
        while self._learned is None:
            left = self._heard + QUIET_LIMIT - self._machine.now()
            if left <= 0:
                return
            timer = self._machine.cpu.after(left, self._active.send)
            yield self._active
            timer.cancel()

    # ---- what the bootstrap server requests

    def _requested(self, request: Request) -> None:
        if request.source != self._server:
            self._others(request)
            return
        self._heard = self._machine.now()
        message, path = request.message, request.message.all(coap.URI_PATH)
        if message.code == coap.POST and path == ["bs"]:
            self._finish(request)
        elif message.code == coap.DELETE and len(path) <= 2:
            self._delete(request, path)
        elif message.code == coap.PUT and len(path) == 2:
            self._write(request, path)
        elif message.code == coap.GET and message.uint(coap.ACCEPT) == model.LINKS:
            self._discover(request)
        else:
            request.respond(coap.NOT_ALLOWED)

    def _finish(self, request: Request) -> None:
        self._learned = self._server_of_accounts()
        request.respond(coap.CHANGED if self._learned is not None else coap.NOT_ACCEPTABLE)
        self._machine.cpu.after(0.0, self._active.send)

    def _delete(self, request: Request, path: list[str]) -> None:
        for number, held in self._written.items():
            if path[:1] in ([], [str(number)]):
                for instance in [i for i in held if path[1:] in ([], [str(i)])]:
                    del held[instance]
        request.respond(coap.DELETED)

    def _write(self, request: Request, path: list[str]) -> None:
        kinds = {"0": _SECURITY_KINDS, "1": _SERVER_KINDS}.get(path[0])
        instance = path[1]
        if kinds is None or not (instance.isascii() and instance.isdigit() and len(instance) < 6):
            request.respond(coap.NOT_FOUND)
            return
        if request.message.uint(coap.CONTENT_FORMAT) != model.TLV:
            request.respond(coap.UNSUPPORTED_FORMAT)
            return
        if request.message.first(coap.BLOCK1) is not None:
            request.respond(coap.TOO_LARGE)
            return
        try:
            values = {
                number: model.from_binary(kinds[number], value)
                for number, value in model.tlv_values(request.message.payload)
                if number in kinds
            }
        except ValueError:
            request.respond(coap.BAD_REQUEST)
            return
        if not _MANDATORY[int(path[0])] <= values.keys():
            request.respond(coap.BAD_REQUEST)
            return
        self._written[int(path[0])][int(instance)] = values
        request.respond(coap.CHANGED)

    def _discover(self, request: Request) -> None:
        links = ['</>;lwm2m="1.1"', "</0/0>"] + [
            f"</{number}/{instance}>" for number, held in self._written.items() for instance in sorted(held)
        ]
        request.respond(coap.CONTENT, ",".join(links).encode(), [(coap.CONTENT_FORMAT, bytes([model.LINKS]))])

    def _server_of_accounts(self) -> Learned | None:
        """The first server that the device can use, or None."""
        for _, security in sorted(self._written[0].items()):
            account = next((s for s in self._written[1].values() if s[0] == security.get(10)), None)
            if security[1] or security[2] not in (PSK, NO_SEC) or account is None or account[1] < 1:
                continue
            secure = security[2] == PSK
            try:
                identity, key = security.get(3, b"").decode() if secure else "", security.get(5, b"")
                uri = urllib.parse.urlsplit(security[0])
                host, port = (
                    str(ipaddress.ip_address(uri.hostname or "")),
                    uri.port or (5684 if secure else 5683),
                )
            except ValueError:
                continue
            if not secure and uri.scheme == "coap":
                return Learned(host, port, account[1])
            if secure and uri.scheme == "coaps" and identity and key:
                return Learned(host, port, account[1], identity, key)
        return None
