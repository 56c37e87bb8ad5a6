"""The LwM2M client: keeps the device registered and serves its objects (OMA LwM2M 1.1 core)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware import data_model as model
from bench.virtual.firmware.coap_engine import CoapEngine, Request
from bench.virtual.firmware.coap_message import Block, Message
from bench.virtual.firmware.data_model import Path, Resource, Tree
from bench.virtual.firmware.dtls import SecureLink
from bench.virtual.firmware.observe import Attributes, Observations
from bench.virtual.firmware.update.machine import Stack
from bench.virtual.machine import Machine
from bench.virtual.process import Signal, Steps
from bench.virtual.radio.modem import Address

RETRY_FIRST, RETRY_MOST = 10.0, 120.0
"""Seconds between attempts to register, doubling."""
UPDATE_SHARE = 0.8
"""Part of the lifetime after which the registration is renewed."""
ATTEMPTS = 5
"""Registrations in a row that fail before a bootstrap server is asked (the default of /1/x/17, LwM2M 1.1)."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where to register, as whom, and for how many seconds."""

    server: Address
    endpoint: str
    lifetime: int


class Client:
    """`tree` are the objects; `package_writers` take requests that write a Package block by block."""

    def __init__(
        self,
        machine: Machine,
        link: SecureLink,
        rng: random.Random,
        tree: Tree,
        stack: Stack,
        package_writers: Mapping[Path, Callable[[Request], None]],
    ) -> None:
        self.machine = machine
        self._link = link
        self.engine = CoapEngine(machine, link, rng)
        self.engine.on_request = self._requested
        self.tree = tree
        self._stack = stack
        self.observations = Observations(self.engine, self._payload_of)
        self._package_writers = package_writers
        self.account: Account
        self._server: Address | None = None
        self._location: tuple[str, ...] = ()
        self.queue_mode = False
        """Whether the server is told, from the next registration or update on, that the device may sleep."""
        self._told_queue_mode = False
        self._kicked = False
        self._kick = Signal()
        self._disabled_for: float | None = None
        self.registered = Signal()

    # ---- registration

    def keep_registered(self, account: Account, attempts: int | None = None) -> Steps:
        """Register, renew, register again; for ever, or until so many attempts in a row have failed."""
        self.account = account
        retry, failures = RETRY_FIRST, 0
        while True:
            account = self.account
            self._server, self._location = None, ()
            self.observations.clear()  # servers observe anew after a registration
            answer = yield from self._exchange(self._register_message(account), account.server)
            if answer is None or answer.code != coap.CREATED:
                self._link.forget(account.server)  # the server may have lost the session
                failures += 1
                if failures == attempts:
                    self.machine.print(f"lwm2m: {failures} registrations failed")
                    return
                self.machine.print(f"lwm2m: registration failed, again in {retry:.0f} s")
                yield from self._pause(retry)
                retry = RETRY_FIRST if self.account is not account else min(RETRY_MOST, retry * 2)
                continue
            retry, failures = RETRY_FIRST, 0
            self._server = account.server
            self._location = tuple(answer.all(coap.LOCATION_PATH))
            self.machine.print("lwm2m: registered at /" + "/".join(self._location))
            self.registered.send()
            yield from self._renew(account)

    def _renew(self, account: Account) -> Steps:
        """Send updates until the registration is lost, or another account is to be used."""
        lifetime = account.lifetime
        while True:
            yield from self._pause(lifetime * UPDATE_SHARE)
            if self._disabled_for is not None:
                yield from self._stay_away(self._disabled_for)
                return
            if (self.account.server, self.account.endpoint) != (account.server, account.endpoint):
                yield from self.deregister()
                return
            update = self._at_location(coap.POST)
            if self.account.lifetime != lifetime:
                lifetime = self.account.lifetime
                update.add_text(coap.URI_QUERY, f"lt={lifetime}")
            if self.queue_mode != self._told_queue_mode:
                if self._stack.lwm2m != "1.0":
                    return  # Q is a parameter of Register alone: register anew
                for item in self._binding():
                    update.add_text(coap.URI_QUERY, item)
            answer = yield from self._exchange(update, account.server)
            if answer is None or answer.code != coap.CHANGED:
                self.machine.print("lwm2m: registration lost")
                if answer is None:
                    self._link.forget(account.server)
                return

    def renew(self, account: Account | None = None) -> None:
        """Send an update soon; `account` is what to be registered by from now on."""
        if account is not None:
            self.account = account
        self._kicked = True
        self.machine.cpu.after(0.0, self._kick.send)  # after the answer to who asked for it

    def disable(self, seconds: float) -> None:
        """Leave the server soon, and do not come back before so many seconds (OMA object 1, resource 4)."""
        self._disabled_for = seconds
        self.renew()

    def _stay_away(self, seconds: float) -> Steps:
        """De-register, and be silent to the server, as to what it asks."""
        yield from self.deregister()
        self.observations.clear()
        self._link.forget(self.account.server)
        self._disabled_for = None
        self.machine.print(f"lwm2m: disabled for {seconds:.0f} s")
        yield seconds

    def _pause(self, seconds: float) -> Steps:
        """Wait, unless somebody asks for an update."""
        if not self._kicked:
            timer = self.machine.cpu.after(seconds, self._kick.send)
            yield self._kick
            timer.cancel()
        self._kicked = False

    def _at_location(self, code: int) -> Message:
        message = Message(coap.CON, code)
        for part in self._location:
            message.add_text(coap.URI_PATH, part)
        return message

    def deregister(self) -> Steps:
        """Tell the server that the device goes away; does not insist."""
        if self._server is None or not self._location:
            return
        farewell = self._at_location(coap.DELETE)
        self._location = ()
        yield from self._exchange(farewell, self._server)
        self.machine.print("lwm2m: de-registered")

    def _exchange(self, message: Message, destination: Address) -> Steps:
        """A request as a step of a process; its value is the response or None."""
        answered = Signal()
        self.engine.request(message, destination, answered.send)
        return (yield answered)

    def report(self, paths: list[Path]) -> None:
        """Send the values of resources to the server unasked (LwM2M 1.1, Send)."""
        if self._server is None or not self._serves:
            return
        rows = [(path, self._find(path)) for path in paths]
        values = [(path, resource.read()) for path, resource in rows if resource and resource.read]
        message = Message(coap.CON, coap.POST, payload=model.senml((), values))
        message.add_text(coap.URI_PATH, "dp")
        message.add_uint(coap.CONTENT_FORMAT, model.SENML_CBOR)
        self.engine.request(message, self._server, lambda answer: None)

    def _register_message(self, account: Account) -> Message:
        message = Message(coap.CON, coap.POST, payload=self._links().encode())
        message.add_text(coap.URI_PATH, "rd")
        message.add_uint(coap.CONTENT_FORMAT, model.LINKS)
        for item in (f"ep={account.endpoint}", f"lt={account.lifetime}", f"lwm2m={self._stack.lwm2m}"):
            message.add_text(coap.URI_QUERY, item)
        for item in self._binding():
            message.add_text(coap.URI_QUERY, item)
        return message

    def _binding(self) -> tuple[str, ...]:
        """Binding and queue mode (LwM2M 1.1 core, 6.4.3: parameter Q; in 1.0 a binding of its own)."""
        self._told_queue_mode = self.queue_mode
        if not self.queue_mode:
            return ("b=U",)
        return ("b=UQ",) if self._stack.lwm2m == "1.0" else ("b=U", "Q")

    def _links(self) -> str:
        links = [f'</>;rt="oma.lwm2m";ct="{model.TLV} {model.SENML_CBOR}"']
        for number, instances in sorted(self.tree.items()):
            if number == 5 and self._stack.object5 != "1.0":
                links.append(f"</5>;ver={self._stack.object5}")
            if number != 0:
                links += [f"</{number}/{i}>" for i in sorted(instances)]
        return ",".join(links)

    # ---- requests

    @property
    def _serves(self) -> bool:
        """Whether the server has acknowledged the registration: before, its requests are ignored."""
        return bool(self._location)

    def _knows(self, source: Address) -> bool:
        """The server it is registered with: no stranger, and nothing in the clear where that one has DTLS."""
        return self._serves and source == self._server

    def _requested(self, request: Request) -> None:
        if not self._knows(request.source):
            request.ignore()
            return
        message = request.message
        parts = message.all(coap.URI_PATH)
        if not all(part.isascii() and part.isdigit() for part in parts) or not 1 <= len(parts) <= 3:
            request.respond(coap.NOT_FOUND if parts else coap.BAD_REQUEST)
            return
        path = tuple(int(part) for part in parts)
        if message.code == coap.PUT and path in self._package_writers:
            self._package_writers[path](request)
            return
        handler = {
            coap.GET: self._get,
            coap.PUT: self._put,
            coap.POST: self._post,
            coap.DELETE: self._delete,
        }.get(message.code)
        if handler is None:
            request.respond(coap.NOT_ALLOWED)
        else:
            handler(request, path)

    def _find(self, path: Path) -> Resource | None:
        instance = self.tree.get(path[0], {}).get(path[1]) if len(path) > 1 else None
        return instance.resources.get(path[2]) if instance and len(path) == 3 else None

    def _exists(self, path: Path) -> bool:
        if path[0] not in self.tree or path[0] == 0:
            return False
        if len(path) == 1:
            return True
        if path[1] not in self.tree[path[0]]:
            return False
        return len(path) == 2 or self._find(path) is not None

    def _payload_of(self, path: Path, accept: int | None = None) -> tuple[int, bytes]:
        """Content format and payload of something readable; without `accept`, in the client's own choice.

        Raises `NotImplementedError` for a format it does not speak.
        """
        resource = self._find(path)
        if resource is not None:
            assert resource.read is not None
            value = resource.read()
            own = model.TLV if isinstance(value, dict) else model.TEXT
            if own == model.TEXT and resource.kind == "bytes":
                own = model.OPAQUE
            accept = own if accept is None else accept
            if accept == model.TLV:
                return accept, model.tlv_resource(path[2], value)
            if accept == model.SENML_CBOR:
                return accept, model.senml(path, [((), value)])
            if accept == own:
                return accept, model.to_text(value)
        elif accept in (None, model.TLV):
            if len(path) == 2:
                return model.TLV, model.tlv_instance(self.tree[path[0]][path[1]])
            return model.TLV, model.tlv_object(self.tree[path[0]])
        elif accept == model.SENML_CBOR:
            return accept, model.senml(path, self._rows(path))
        raise NotImplementedError(accept)

    def _rows(self, path: Path) -> list[tuple[Path, Any]]:
        """Every readable value below an object or instance, with its path relative to it."""
        return [
            ((instance_id, number)[len(path) - 1 :], resource.read())
            for instance_id, instance in sorted(self.tree[path[0]].items())
            if path[1:] in ((), (instance_id,))
            for number, resource in sorted(instance.resources.items())
            if resource.read is not None
        ]

    def _get(self, request: Request, path: Path) -> None:
        message = request.message
        if path[0] == 0 and 0 in self.tree:
            request.respond(coap.UNAUTHORIZED)
            return
        if not self._exists(path):
            request.respond(coap.NOT_FOUND)
            return
        accept = message.uint(coap.ACCEPT)
        if accept == model.LINKS:
            self._discover(request, path)
            return
        resource = self._find(path)
        if len(path) == 3 and (resource is None or resource.read is None):
            request.respond(coap.NOT_ALLOWED)
            return
        try:
            content_format, payload = self._payload_of(path, accept)
        except NotImplementedError:
            request.respond(coap.NOT_ACCEPTABLE)
            return
        options: list[tuple[int, bytes]] = []
        observe = message.uint(coap.OBSERVE)
        if observe == 0:
            sequence = self.observations.add(path, message.token, request.source, accept)
            options.append((coap.OBSERVE, sequence.to_bytes(1, "big")))
        elif observe == 1:
            self.observations.remove(path, request.source)
        width = (content_format.bit_length() + 7) // 8
        options.append((coap.CONTENT_FORMAT, content_format.to_bytes(width, "big")))
        request.respond(coap.CONTENT, payload, options)

    def _discover(self, request: Request, path: Path) -> None:
        links = []
        for instance_id, instance in sorted(self.tree[path[0]].items()):
            if len(path) > 1 and path[1] != instance_id:
                continue
            if len(path) < 3:
                links.append(f"</{path[0]}/{instance_id}>{self._attributes((path[0], instance_id))}")
            for number in sorted(instance.resources):
                if len(path) < 3 or path[2] == number:
                    full = (path[0], instance_id, number)
                    links.append(f"</{full[0]}/{full[1]}/{full[2]}>{self._attributes(full)}")
        if len(path) == 1:
            links.insert(0, f"</{path[0]}>{self._attributes(path)}")
        request.respond(coap.CONTENT, ",".join(links).encode(), [(coap.CONTENT_FORMAT, bytes([model.LINKS]))])

    def _attributes(self, path: Path) -> str:
        held = self.observations.attributes.get(path)
        if held is None:
            return ""
        pairs = (("pmin", held.pmin), ("pmax", held.pmax))
        return "".join(f";{name}={value:g}" for name, value in pairs if value is not None)

    def _put(self, request: Request, path: Path) -> None:
        message = request.message
        if not self._exists(path):
            request.respond(coap.NOT_FOUND)
            return
        query = message.all(coap.URI_QUERY)
        if query and not message.payload:
            request.respond(self._write_attributes(path, query))
            return
        resource = self._find(path)
        if resource is None or resource.write is None:
            request.respond(coap.NOT_ALLOWED)
            return
        block = Block.of(message, coap.BLOCK1)
        if block is not None and (block.more or block.number):  # only packages come in parts
            request.respond(coap.TOO_LARGE)
            return
        content_format = message.uint(coap.CONTENT_FORMAT)
        try:
            value = self._value(resource, path, content_format, message.payload)
        except (ValueError, UnicodeDecodeError):
            request.respond(coap.BAD_REQUEST)
            return
        except NotImplementedError:
            request.respond(coap.UNSUPPORTED_FORMAT)
            return
        code = resource.write(value)
        request.respond(code)
        if code == coap.CHANGED:
            self.observations.changed(path)

    def _value(self, resource: Resource, path: Path, content_format: int | None, payload: bytes) -> Any:
        if content_format in (None, model.TEXT):
            return model.from_text(resource.kind, payload)
        if content_format == model.OPAQUE:
            return model.from_binary(resource.kind, payload)
        if content_format == model.TLV:
            number, value = model.tlv_single(payload)
            if number != path[2]:
                raise ValueError("TLV names another resource")
            return model.from_binary(resource.kind, value)
        if content_format == model.SENML_CBOR:
            return model.senml_single(payload, path, resource.kind)
        raise NotImplementedError(content_format)

    def _write_attributes(self, path: Path, query: list[str]) -> int:
        given: dict[str, float | None] = {}
        for item in query:
            name, _, text = item.partition("=")
            if name not in ("pmin", "pmax") or not (text == "" or (text.isascii() and text.isdigit())):
                return coap.BAD_REQUEST
            given[name] = float(text) if text else None
        held = self.observations.attributes.setdefault(path, Attributes())
        for name, value in given.items():
            setattr(held, name, value)
        self.observations.attributes_changed(path)
        return coap.CHANGED

    def _post(self, request: Request, path: Path) -> None:
        resource = self._find(path)
        if len(path) < 3:
            request.respond(coap.NOT_ALLOWED if self._exists(path) else coap.NOT_FOUND)
        elif resource is None:
            request.respond(coap.NOT_FOUND)
        elif resource.execute is None:
            request.respond(coap.NOT_ALLOWED)
        else:
            request.respond(resource.execute(request.message.payload))

    def _delete(self, request: Request, path: Path) -> None:
        request.respond(coap.NOT_ALLOWED if self._exists(path) else coap.NOT_FOUND)
