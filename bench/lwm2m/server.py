"""The local LwM2M server: registration, device management, packages for PULL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from aiocoap import Context, Message
from aiocoap.resource import Resource

from bench.clock import Clock
from bench.errors import DeviceError, ServerError, WaitTimeout
from bench.lwm2m.client import Client
from bench.lwm2m.coap import wire
from bench.lwm2m.coap.assembly import RepeatableSpool
from bench.lwm2m.coap.capture import Capture
from bench.lwm2m.coap.endpoint import Address, Peer, UdpEndpoint, hostinfo
from bench.lwm2m.coap.heard import Datagram, heard
from bench.lwm2m.coap.layers import PeerMessageManager, PeerTokenManager, Separate
from bench.lwm2m.coap.queue_mode import AWAKE_WINDOW, Sleepers
from bench.lwm2m.coap.site import GuardedSite
from bench.lwm2m.coap.succession import Succession
from bench.lwm2m.coap.trace import Trace
from bench.lwm2m.coap.transports import Transports
from bench.lwm2m.dtls.context import ServerContext
from bench.lwm2m.dtls.credentials import Certificates, Credentials
from bench.lwm2m.dtls.endpoint import DtlsEndpoint, DtlsPeer
from bench.lwm2m.identity import Identity
from bench.lwm2m.interfaces.bootstrap import Bootstrapped, BootstrapServer, Plan
from bench.lwm2m.interfaces.registration import Directory, Registration
from bench.lwm2m.interfaces.reports import ReportInterface
from bench.lwm2m.management.by_hand import ByHand
from bench.lwm2m.management.exchange import Exchange
from bench.packages.address import PackageAddress
from bench.packages.coap import CoapDoor
from bench.packages.forger import Forger
from bench.packages.misbehaviour import Forgery
from bench.packages.shelf import Package, Shelf
from bench.timeline import Timeline

MAX_ENDED = 64
"""Endpoints of which is remembered how their registration ended."""
logging.getLogger("bench.coap").setLevel(logging.ERROR)  # the timeline has what a flood would make it say


class Heard(NamedTuple):
    """A message of a device, and when it came, in bench seconds."""

    time: float
    message: Message


class _RegistrationInterface(Resource):
    """`/rd` itself; what lies below it is the directory's."""

    def __init__(self, directory: Directory) -> None:
        super().__init__()
        self._block1 = RepeatableSpool()
        self._directory = directory

    async def render_post(self, request: Message) -> Message:
        return await self._directory.render_post(request)


class LwM2mServer:
    """Call `start` first and `close` last; everything else in between, from the test thread.

    With `credentials` it also listens for CoAP over DTLS, on `secure_port`. A port 0 takes a free one.
    `also_at` is another address of this PC where it listens at the same ports.
    What nobody may guess (tokens, message IDs, locations) comes from `seed` where one is given, so that a run
    in simulated time can be had again, and from the operating system else.
    """

    def __init__(
        self,
        clock: Clock,
        timeline: Timeline,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int | None = None,
        awake_window: float = AWAKE_WINDOW,
        credentials: Credentials | None = None,
        secure_port: int = 0,
        also_at: str | None = None,
    ) -> None:
        self.clock = clock
        self.timeline = timeline
        self.context: Context
        self._host, self._port, self._seed = host, port, seed
        self._also_at = also_at
        self._lives = 0
        self.capture = Capture(clock)
        self._trace = Trace(timeline, self.capture)
        self._credentials, self._secure_port = credentials, secure_port
        self._endpoint: UdpEndpoint | None = None
        self._secure: DtlsEndpoint | None = None
        self._forger: Forger | None = None
        self._tokens: PeerTokenManager
        self._by_hand: random.Random
        self._messages: PeerMessageManager
        self._succession: Succession
        self._awake_window = awake_window
        self.sleepers = Sleepers(clock.loop, awake_window)
        self._directory: Directory | None = None
        self.awaited: frozenset[str] = frozenset(
            () if credentials is None else credentials.endpoints.values()
        )
        """Endpoints that no number of others keeps from registering; to be set before `start`."""
        self._listeners: list[Callable[[Registration, str], None]] = []
        self._ended: dict[str, str] = {}
        self._report_listeners: list[Callable[[str, dict[str, Any]], None]] = []
        self.shelf = Shelf(self.clock.changed)
        self.bootstraps = BootstrapServer(
            timeline,
            lambda outcome: self.clock.changed(),
            allowed=self._may_register,
            refused=lambda text: self._trace.refused("bootstrap", text),
        )

    # ---- life

    def start(self) -> None:
        """Open the port. Raises `ServerError` when it is in use or the address is not this PC's."""
        self.clock.run(self._start(), timeout=10, reason="start the LwM2M server")

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        # a device would take the message IDs of the last life for duplicates
        self._lives += 1
        self._directory = Directory(
            loop,
            self.clock.now,
            self._registration_changed,
            self._follow,
            self._may_register,
            self._random("locations"),
        )
        self._directory.awaited = self._trace.awaited = self.awaited
        site = GuardedSite()
        site.add_resource(["rd"], self._directory)
        site.add_resource(["rd"], _RegistrationInterface(self._directory))
        site.add_resource(["fw"], self._packages())
        site.add_resource(["dp"], ReportInterface(self._is_registered, self._reported))
        site.add_resource(["bs"], self.bootstraps)
        self.context = Context(loop=loop, serversite=site, loggername="bench.coap")
        self._by_hand = self._random("by hand")
        self.sleepers = Sleepers(loop, self._awake_window)
        tokens = PeerTokenManager(self.context, self._random("tokens"))
        messages = PeerMessageManager(tokens, self._random("mids"), self.sleepers)
        tokens.moved = self._moved
        try:
            self._endpoint = await UdpEndpoint.open(messages, self._trace, self._host, self._port)
        except OSError as error:
            raise _in_use("server", self._host, self._port, error) from None
        self._port = self._endpoint.address[1]  # a server that returns is found where it was
        self._forger = await Forger.open(self._host, self._random("forger"))
        endpoints: list[Any] = [self._endpoint]
        messages.message_interface = Transports(endpoints)
        tokens.token_interface = messages
        self.context.request_interfaces.append(tokens)
        try:
            await self._open_others(messages, endpoints)
        except BaseException:
            self._endpoint = self._secure = None
            self._forger.close()
            await self.context.shutdown()
            raise
        self._tokens, self._messages = tokens, messages
        self._succession = Succession(tokens, messages, self.sleepers, loop)
        self.bootstraps.context, self.bootstraps.begun = self.context, self._succession.begins

    def _packages(self) -> CoapDoor:
        def forge(request: Message, answer: Message, how: Forgery) -> None:
            assert self._forger is not None
            self._forger.answer(request, answer, how)

        return CoapDoor(self.shelf, unheard=lambda request: self._messages.unheard(request), forge=forge)

    def _random(self, what: str) -> random.Random:
        if self._seed is None:
            return random.SystemRandom()
        return random.Random(f"{self._seed}/{self._lives}/{what}")

    async def _open_others(self, messages: PeerMessageManager, endpoints: list[Any]) -> None:
        """Beside the first one: for DTLS, and both at the other address. They are added as they open."""
        if self._credentials is not None:
            self._secure = await self._open_secure(messages, self._credentials, self._host)
            self._secure_port = self._secure.address[1]
            endpoints.append(self._secure)
        other = self._also_at
        if other is None:
            return
        try:
            endpoints.append(await UdpEndpoint.open(messages, self._trace, other, self._port))
        except OSError as error:
            raise _in_use("server", other, self._port, error) from None
        if self._credentials is not None:
            endpoints.append(await self._open_secure(messages, self._credentials, other))

    async def _open_secure(
        self, messages: PeerMessageManager, credentials: Credentials, host: str
    ) -> DtlsEndpoint:
        def note(peer: Peer | None, text: str) -> None:
            if peer is None:
                self._trace.refused("dtls", text)
            else:
                self._trace.note(peer, "dtls", text)

        context = ServerContext(credentials)
        try:
            return await DtlsEndpoint.open(messages, self._trace, context, note, host, self._secure_port)
        except OSError as error:
            raise _in_use("secure server", host, self._secure_port, error) from None

    def _may_register(self, identity: Identity | None, endpoint: str) -> bool:
        return self._credentials is None or self._credentials.may_register(identity, endpoint)

    def close(self) -> None:
        """Close the port and forget every registration. Idempotent."""
        if self._endpoint is None:
            return
        self._endpoint = self._secure = None
        if self._forger is not None:
            self._forger.close()
        if self._directory is not None:
            self._directory.close()
        self.sleepers.close()
        self.bootstraps.close()
        self._trace.tell_missed()
        self.clock.run(self.context.shutdown(), timeout=10, reason="stop the LwM2M server")

    @property
    def uri(self) -> str:
        """ "coap://host:port" as bound."""
        if self._endpoint is None:
            raise ServerError("the LwM2M server is not running", help="call start() first")
        return f"coap://{self._endpoint.hostinfo}"

    @property
    def secure_uri(self) -> str:
        """ "coaps://host:port" as bound. Raises `ServerError` without credentials."""
        return f"coaps://{hostinfo(self.secure_address)}"

    @property
    def secure_address(self) -> Address:
        """Host and port for DTLS, as bound. Raises `ServerError` without credentials."""
        return self._listening_for_dtls.address

    @property
    def _listening_for_dtls(self) -> DtlsEndpoint:
        if self._secure is None:
            raise ServerError(
                "the LwM2M server does not listen for DTLS",
                help="give a board [boards.NAME.security] in the bench file",
            )
        return self._secure

    @property
    def address(self) -> Address:
        """Host and port as bound."""
        if self._endpoint is None:
            raise ServerError("the LwM2M server is not running", help="call start() first")
        return self._endpoint.address

    # ---- registrations

    def _registration_changed(self, registration: Registration, event: str) -> None:
        endpoint, remote = registration.endpoint, registration.remote
        if event == "replaced":
            self._succession.replaced(remote)
            return
        if event == "registered":
            self._succession.begins(remote)
        if event in ("gone", "expired", "displaced"):
            self._ended.pop(endpoint, None)
            self._ended[endpoint] = _how_it_ended(registration, event, self.clock.now())
            if len(self._ended) > MAX_ENDED:
                del self._ended[next(iter(self._ended))]
            self._succession.ended(remote, event)
        for other in [a for a, n in self._trace.names.items() if n == endpoint]:
            del self._trace.names[other]
        if event in ("registered", "updated"):
            self._trace.names[remote] = endpoint
            if registration.queue_mode:
                self.sleepers.watch(remote)
            else:
                self.sleepers.forget(remote)
        if self._trace.admits(endpoint):
            self.timeline.record(
                registration.endpoint,
                "registration",
                f"{event} at /rd/{registration.location}",
                lifetime=registration.lifetime,
                version=registration.version,
            )
        for listener in tuple(self._listeners):
            listener(registration, event)
        self.clock.changed()

    def _moved(self, old: Any, new: Any) -> None:
        """An observed device was heard from another address than it registered from."""
        for registration in self._directory.by_location.values() if self._directory else ():
            if registration.remote == old:
                registration.remote = new
                self._follow(registration, old)

    def _follow(self, registration: Registration, old: Any) -> None:
        self._messages.move(old, registration.remote)
        if self._trace.names.pop(old, None) is not None:
            self._trace.names[registration.remote] = registration.endpoint

    def asleep_since(self, endpoint: str) -> float | None:
        """Bench seconds since when a device in queue mode does not listen; None when it does."""
        registration = self.registration(endpoint)
        return None if registration is None else self.sleepers.asleep_since(registration.remote)

    def patience(self, endpoint: str) -> float:
        """Seconds that a device may sleep before it is heard again; 0 for one that does not."""
        registration = self.registration(endpoint)
        return 0.0 if registration is None else self._exchange().patience(registration)

    def _exchange(self) -> Exchange:
        return Exchange(self.context, self.clock, self.timeline, self.sleepers)

    def _client(self, registration: Registration) -> Client:
        return Client(self._exchange(), registration)

    def by_hand(self, endpoint: str) -> ByHand:
        """Messages to the registered device that no client library sends. Raises as `client`."""
        return ByHand(self.clock, self.capture, self.client(endpoint).registration, self._by_hand)

    def datagrams_from(self, endpoint: str, since: float) -> list[Datagram]:
        """Every datagram of this device after `since` (bench seconds), in order, repetitions too."""
        registration = self.registration(endpoint)
        known = None if registration is None else registration.remote.address
        return heard(tuple(self.capture.frames), endpoint, since, known)

    @contextlib.contextmanager
    def showing(self, certificates: Certificates) -> Iterator[DtlsEndpoint]:
        """Clients that come over DTLS inside the block are shown these certificates.

        Whoever is registered keeps his session. Yields where they come. Raises `ServerError` without DTLS.
        """
        secure, credentials = self._listening_for_dtls, self._credentials or Credentials()
        before = secure.show(ServerContext(replace(credentials, certificates=certificates)))
        try:
            yield secure
        finally:
            secure.show(before)

    @property
    def certificates(self) -> Certificates:
        """The server's own. Raises `ServerError` where it has none."""
        if self._credentials is None or self._credentials.certificates is None:
            raise ServerError(
                "the LwM2M server has no certificate", help="give [server] certificate and certificate_key"
            )
        return self._credentials.certificates

    @contextlib.contextmanager
    def unanswering(self) -> Iterator[None]:
        """Whatever comes over CoAP inside the block is captured, and as good as lost; DTLS goes on."""
        with self.timeline.step("server", "it answers nothing"):
            self._messages.deaf = True
            try:
                yield
            finally:
                self._messages.deaf = False

    @contextlib.contextmanager
    def answering_separately(self, how: Separate) -> Iterator[None]:
        """No confirmable request of a device is answered in its acknowledgement inside the block."""
        self._messages.separate = how
        try:
            yield
        finally:
            self._messages.separate = None

    @contextlib.contextmanager
    def stranger(self, endpoint: str, address: Address | None = None) -> Iterator[ByHand]:
        """Messages to the registered device, in the clear, from a port that is not the server's.

        They go to `address`, or else to where it registered from; a NAT in between drops them. Raises as
        `client`.
        """
        registration = self.client(endpoint).registration
        host = self.address[0]
        opened = self.clock.run(
            UdpEndpoint.open(None, self._trace, host, 0), timeout=10, reason="open a stranger's port"
        )
        peer = opened.peer(address or registration.remote.address)
        try:
            yield ByHand(self.clock, self.capture, replace(registration, remote=peer), self._by_hand)
        finally:
            self.clock.run(opened.shutdown(), timeout=10, reason="close a stranger's port")

    def registration(self, endpoint: str) -> Registration | None:
        return self._directory.by_endpoint.get(endpoint) if self._directory else None

    def device_restarted(self, endpoint: str) -> None:
        """The bench has switched its supply or reset it: no message of it repeats an older one."""
        registration = self.registration(endpoint)
        if self._endpoint is None or registration is None:
            return

        async def forget() -> None:
            self._messages.restarted(registration.remote)

        self.clock.run(forget(), timeout=10, reason=f"forget the messages of {endpoint}")

    def asked_by(self, registration: Registration, since: float) -> list[tuple[float, Message]]:
        """The requests from where this registration came from, since then, in order, with bench seconds.

        Each once, by its first copy.
        """
        remote = registration.remote
        found: dict[bytes, tuple[float, Message]] = {}
        for frame in self.capture.frames:
            if frame.from_device and frame.device == remote.address and frame.time >= since:
                found.setdefault(frame.data, (frame.time, wire.decode(frame.data, remote)))
        return [(time, message) for time, message in found.values() if message.code.is_request()]

    @contextlib.contextmanager
    def holding_acknowledgements(self, endpoint: str) -> Iterator[None]:
        """Registers of this endpoint count at once inside the block, and are answered only after it."""
        assert self._directory is not None
        gate, directory = asyncio.Event(), self._directory
        directory.held[endpoint] = gate

        async def release() -> None:
            directory.held.pop(endpoint, None)
            gate.set()

        try:
            yield
        finally:
            self.clock.run(release(), timeout=10, reason=f"answer the Register of {endpoint}")

    @contextlib.contextmanager
    def shutting_out(self, endpoint: str) -> Iterator[None]:
        """Registers of this endpoint are refused with 4.03 inside the block."""
        assert self._directory is not None
        shut_out = self._directory.shut_out
        shut_out.add(endpoint)
        try:
            yield
        finally:
            shut_out.discard(endpoint)

    def forget_session(self, endpoint: str) -> None:
        """Lose the device's DTLS session, as a server that restarts does; its registration stays.

        Raises `ServerError` when it is not registered, or not over DTLS.
        """
        remote = self.client(endpoint).registration.remote
        if not isinstance(remote, DtlsPeer):
            raise ServerError(
                f"{endpoint} has no DTLS session", help="give it [boards.NAME.security] in the bench file"
            )

        async def forget() -> None:
            remote.interface.forget(remote.address)

        self.clock.run(forget(), timeout=10, reason=f"forget the session of {endpoint}")

    def heard_from(self, endpoint: str, since: float) -> list[Heard]:
        """Every message of the registered device's present address since then (bench seconds), in order."""
        remote = self.client(endpoint).registration.remote
        frames = [f for f in self.capture.frames if f.from_device and f.device == remote.address]
        return [Heard(f.time, wire.decode(f.data, remote)) for f in frames if f.time >= since]

    def expire(self, endpoint: str) -> None:
        """End a registration as if its lifetime were over. Raises `ServerError` when there is none."""
        registration = self.client(endpoint).registration

        async def expire() -> None:
            assert self._directory is not None
            self._directory.expire(registration)

        self.clock.run(expire(), timeout=10, reason=f"expire {endpoint}")

    def client(self, endpoint: str) -> Client:
        """The registered device. Raises `DeviceError` when it is not registered."""
        registration = self.registration(endpoint)
        if registration is None:
            known = sorted(self._directory.by_endpoint) if self._directory else []
            why = self._ended.get(endpoint, f"registered are: {', '.join(known) or 'none'}")
            raise DeviceError(
                f"{endpoint} is not registered; {why}",
                help="see the device's console; does it know the server's address?",
            )
        return self._client(registration)

    def wait_registered(
        self,
        endpoint: str,
        *,
        timeout: float,
        after: float | None = None,
        gone: Callable[[], str | None] = lambda: None,
    ) -> Client:
        """Wait until the device is registered, by a registration later than `after` (bench seconds).

        `gone()` is the reason why it cannot register any more, or None. Raises `WaitTimeout`, or
        `DeviceError` when it is gone.
        """

        def found() -> Registration | None:
            if reason := gone():
                raise DeviceError(
                    f"{endpoint} did not register: {reason}", help="see the last lines of its console"
                )
            registration = self.registration(endpoint)
            if registration is None or (after is not None and registration.registered_at <= after):
                return None
            return registration

        try:
            registration = self.clock.wait_for(found, timeout=timeout, reason=f"{endpoint} registers")
        except WaitTimeout:
            refused = self._directory.refused.get(endpoint) if self._directory else None
            raise WaitTimeout(
                f"{endpoint} did not register within {timeout:g} s"
                + (f"; its Register was refused: {refused}" if refused else ""),
                help="the device must register by the rules: see the CoAP trace"
                if refused
                else "see the device's console; if it is only slow, raise timeouts.registration",
            ) from None
        assert registration is not None
        return self._client(registration)

    # ---- bootstrap

    def plan_bootstrap(self, endpoint: str, plan: Plan) -> None:
        """What the client of this name is given when it asks at /bs, from now on."""
        self.bootstraps.plans[endpoint] = plan

    def wait_bootstrapped(self, endpoint: str, *, timeout: float) -> Bootstrapped:
        """Wait until the bootstrap that this client asked for has ended, well or not.

        Raises `WaitTimeout` when it did not ask, or did not end, within `timeout` bench seconds.
        """

        def ended() -> Bootstrapped | None:
            outcome = self.bootstraps.outcomes.get(endpoint)
            return outcome if outcome is not None and (outcome.finished or outcome.reason) else None

        outcome = self.clock.wait_for(ended, timeout=timeout, reason=f"{endpoint} is bootstrapped")
        assert outcome is not None
        return outcome

    # ---- reports

    def _is_registered(self, remote: Any) -> bool:
        return remote in self._trace.names

    def _reported(self, remote: Any, values: dict[str, Any]) -> None:
        endpoint = self._trace.names[remote]
        for listener in tuple(self._report_listeners):
            listener(endpoint, values)

    def listen_reports(self, listener: Callable[[str, dict[str, Any]], None]) -> Callable[[], None]:
        """`listener(endpoint, {path: value})` for each LwM2M Send. Returns the way to stop."""
        self._report_listeners.append(listener)
        return lambda: self._report_listeners.remove(listener)

    # ---- packages

    def publish(self, name: str, data: bytes, at: PackageAddress | None = None) -> Package:
        """Offer `data` for PULL, at its name unless another address is given."""
        return self.shelf.publish(name, data, at)

    def withdraw(self, name: str) -> None:
        """Stop offering a package: further requests get 4.04."""
        self.shelf.withdraw(name)


def _how_it_ended(registration: Registration, event: str, now: float) -> str:
    """For the message about a device that is asked for later."""
    if event == "displaced":
        return f"the directory was full, and it gave way at {now:.1f} s"
    if event == "gone":
        return f"it has de-registered at {now:.1f} s"
    return (
        f"its registration of {registration.lifetime} s expired at {now:.1f} s: "
        f"its last Register or Update came at {registration.updated_at:.1f} s"
    )


def _in_use(what: str, host: str, port: int, error: OSError) -> ServerError:
    return ServerError(
        f"the LwM2M {what} cannot listen on {host}:{port}: {error.strerror or error}",
        help="stop the program that uses the port, or set another [server] port in the bench file",
    )
