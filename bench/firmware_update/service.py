"""What testcases ask of the server about a board: update it, restart it, which version it runs."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bench.clock import Clock
from bench.dut.dut import Dut
from bench.errors import Inconclusive, NotApplicable, WaitTimeout
from bench.firmware.image import FirmwareImage
from bench.firmware_update.components import Components
from bench.firmware_update.gate import SignalGate
from bench.firmware_update.judge import Rules, component_rules, rules_for
from bench.firmware_update.met import Met
from bench.firmware_update.object5 import Object5
from bench.firmware_update.record import UpdateRecord
from bench.firmware_update.states import Delivery, Result, State, Transport
from bench.firmware_update.update import Cycle, Update
from bench.lwm2m.client import Client, CoapError, NotReachable
from bench.lwm2m.dtls.impostors import Impostor, impostor
from bench.lwm2m.interfaces.bootstrap import Account, Plan, Security
from bench.lwm2m.management.push import USUAL, Form
from bench.lwm2m.server import LwM2mServer
from bench.packages.certificates import Shown
from bench.packages.server import PackageServer
from bench.packages.uri import UriForm, plain
from bench.timeline import Entry, Timeline

ASKING = 1.0
"""Seconds between two looks at a state that nobody observes."""
SERVER_OBJECT = 1
LIFETIME = "/1/{instance}/1"
"""Seconds a registration lives (OMA object 1)."""
NAMES = ("/3/0/0", "/3/0/1", "/3/0/2")
"""Manufacturer, model number and serial number; each is optional (OMA object 3)."""


class UpdateService:
    """The server as testcases see it.

    `server_uri(board)` is where a board is told that the server is, `package_uri(board, name,
    transport)` where it fetches a package; `host_name` and `ipv6` are other ways to name the server's host.
    """

    def __init__(
        self,
        server: LwM2mServer,
        server_uri: Callable[[str], str],
        package_uri: Callable[[str, str, Transport], str],
        packages: PackageServer,
        clock: Clock,
        timeline: Timeline,
        *,
        host_name: str | None = None,
        ipv6: str | None = None,
    ) -> None:
        self.lwm2m = server
        self._host_name, self._ipv6 = host_name, ipv6
        self._server_uri = server_uri
        self._package_uri = package_uri
        self._packages = packages
        self._clock = clock
        self._timeline = timeline

    def client(self, dut: Dut) -> Client:
        return self.lwm2m.client(dut.endpoint)

    def uri_for(self, dut: Dut) -> str:
        """The server's URI as the board knows it."""
        return self._server_uri(dut.name)

    @property
    def host_name(self) -> str:
        """A name that devices resolve to the server. Raises `NotApplicable` without one in the bench file."""
        if self._host_name is None:
            raise NotApplicable("the bench file gives no name of the server: server.name")
        return self._host_name

    @property
    def ipv6(self) -> str:
        """The server's IPv6 address. Raises `NotApplicable` where the bench file gives none."""
        if self._ipv6 is None:
            raise NotApplicable("the bench file gives no IPv6 address of the server: server.ipv6")
        return self._ipv6

    def package_uri(self, dut: Dut, name: str, transport: Transport) -> str:
        """Where the board would fetch the package `name`, which may have a query behind it."""
        return self._package_uri(dut.name, name, transport)

    def transport_of(self, dut: Dut) -> Transport:
        """What the board talks to the server over, and fetches packages over unless told otherwise."""
        return Transport.COAPS if dut.is_secured else Transport.COAP

    def object5(self, dut: Dut) -> Object5:
        """The board's Firmware Update Object, operation by operation."""
        return Object5(self.lwm2m, dut.endpoint, dut.type.profile.instance)

    def commission(self, dut: Dut) -> Client:
        """Power the freshly installed board, tell it its server, wait until it has registered."""
        before = self._clock.now()
        with dut.supply_checked():
            dut.commission(self.uri_for(dut))
            return self._wait_registered(dut, dut.type.timeouts.registration, before)

    def plan_bootstrap(self, dut: Dut, lifetime: int) -> Account:
        """What the board is given from now on when it asks a bootstrap server here: this server's account.

        Raises `NotApplicable` for a board whose credentials the bench cannot hand out.
        """
        identity, key = dut.psk
        security = Security.PSK if dut.is_secured else Security.NO_SEC
        account = Account(self.uri_for(dut), security, identity, key, lifetime=lifetime)
        self.lwm2m.plan_bootstrap(dut.endpoint, Plan((account,)))
        return account

    def await_bootstrapped(self, dut: Dut, *, after: float, within: float) -> Met:
        """Wait until a bootstrap that ends later than `after` (bench seconds) has finished."""

        def said() -> list[str]:
            return self.bootstraps(dut, after)

        return self._happens(lambda: "finished" in said(), within, f"{dut.endpoint}: a bootstrap", said)

    def bootstraps(self, dut: Dut, since: float) -> list[str]:
        """How each bootstrap of the board has ended since then (bench seconds): "finished", or why not."""
        return [entry.text for entry in self._told(dut, "bootstrap", since)]

    def await_registration(self, dut: Dut, event: str, *, after: float, within: float) -> Met:
        """Wait until this has happened to the board's registration since `after`: see `registrations`."""

        def said() -> list[str]:
            return self.registrations(dut, after)

        what = f"{dut.endpoint}: a registration to be {event}"
        return self._happens(lambda: event in said(), within, what, said)

    def _happens(
        self, done: Callable[[], bool], within: float, what: str, said: Callable[[], list[str]]
    ) -> Met:
        with contextlib.suppress(WaitTimeout):
            self._clock.wait_for(done, timeout=within, reason=what)
        return Met(
            done(), f"wanted {what}, within {within:g} s; what happened: {', '.join(said()) or 'nothing'}"
        )

    def _told(self, dut: Dut, kind: str, since: float) -> list[Entry]:
        """What the timeline has about the board, of a kind, since then (bench seconds)."""
        entries = self._timeline.latest()
        return [e for e in entries if e.kind == kind and e.source == dut.endpoint and e.time >= since]

    def registrations(self, dut: Dut, since: float) -> list[str]:
        """What has happened to the board's registration since then (bench seconds), in order.

        "registered", "updated", "replaced", "gone" (de-registered) or "expired".
        """
        return [entry.text.partition(" ")[0] for entry in self._told(dut, "registration", since)]

    def registration_times(self, dut: Dut, event: str, since: float) -> list[float]:
        """When this has happened to the board's registration since then, in bench seconds."""
        entries = self._told(dut, "registration", since)
        return [entry.time for entry in entries if entry.text.partition(" ")[0] == event]

    def notifications_from(self, dut: Dut, since: float) -> list[str]:
        """Every notification that the board has sent since then (bench seconds), wanted or not.

        Raises `Inconclusive` instead of an empty list when none of the board's was recognised before either.
        """
        known = [
            entry
            for entry in self._timeline.latest()
            if entry.kind == "coap"
            and entry.source == dut.endpoint
            and entry.text.startswith("-> ")
            and " observe " in entry.text
        ]
        if not known:
            raise Inconclusive(
                f"{dut.name}: no notification was recognised in this run, so their absence shows nothing",
                help="observe something that changes first, and see its notification",
            )
        return [entry.text for entry in known if entry.time > since]

    def restart(self, dut: Dut) -> Client:
        """Power-cycle the board and wait until it has registered again."""
        with self._timeline.step(dut.endpoint, "power cycle"):
            off = dut.power_cycle()  # a quick client has registered before `power_on` returns
            return self.await_registered(dut, after=off)

    def await_registered(self, dut: Dut, *, after: float) -> Client:
        """Wait until the board has registered later than `after` (bench seconds). Raises `WaitTimeout`."""
        timeouts = dut.type.timeouts
        with dut.supply_checked():
            return self._wait_registered(dut, timeouts.boot + timeouts.update + timeouts.registration, after)

    def _wait_registered(self, dut: Dut, timeout: float, after: float) -> Client:
        return self.lwm2m.wait_registered(dut.endpoint, timeout=timeout, after=after, gone=lambda: dut.gone)

    def keep_registered_for(self, dut: Dut, lifetime: int) -> Client:
        """Have the device register for so many seconds (/1/0/1), and wait for what it sends about it.

        One that does not tell fails the test (`AssertionError`).
        """
        path = LIFETIME.format(instance=self.account_of(dut))
        try:
            self.client(dut).patient.write(path, lifetime)
        except NotReachable:  # it was just registering anew
            self.client(dut).patient.write(path, lifetime)
        server, endpoint = self.lwm2m, dut.endpoint

        def told() -> bool:
            registration = server.registration(endpoint)
            return registration is not None and registration.lifetime == lifetime

        due = self._clock.now() + dut.type.timeouts.registration
        while not told() and self._clock.now() < due:
            self._clock.sleep(ASKING, f"{endpoint}: lifetime {lifetime}")
        assert told(), f"{path}: {lifetime} s were written, and no Update has told so"
        return self.client(dut)

    def identity_of(self, dut: Dut) -> dict[str, Any]:
        """What the server knows the device by: endpoint and lifetime of its registration, and by path those
        of manufacturer, model and serial number that it tells."""
        client = self.client(dut)
        told: dict[str, Any] = {"endpoint": client.endpoint, "lifetime": client.registration.lifetime}
        for path in NAMES:
            # Discover would say what there is, but may itself be refused
            with contextlib.suppress(CoapError):
                told[path] = client.read(path)
        return told

    def optional(self, dut: Dut, path: str, name: str) -> None:
        """`path` is an optional resource, and Discover lists it. Raises `NotApplicable` where it does not,
        or where the device refuses Discover, which alone tells of what can only be executed."""
        holder = path.rpartition("/")[0]
        try:
            listed = {link.target for link in self.client(dut).discover(holder)}
        except CoapError as refusal:
            raise NotApplicable(f"whether the device has {name} ({path}) is not known: {refusal}") from None
        if path not in listed:
            raise NotApplicable(f"the device has no {name} ({path}), which is optional")

    def account_of(self, dut: Dut) -> int:
        """The instance of object 1 by which the device is registered here.

        Its only one, or the one with the lifetime that it registered for; a device numbers them as it likes.
        """
        registration = self.client(dut).registration
        instances = sorted(registration.objects.get(SERVER_OBJECT, ())) or [0]
        if len(instances) == 1:
            return instances[0]
        lifetimes = {n: self.client(dut).read(LIFETIME.format(instance=n)) for n in instances}
        return next((n for n, found in lifetimes.items() if found == registration.lifetime), instances[0])

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """The server is down inside the block, and has forgotten every registration after it."""
        with self._timeline.step("server", "server down"):
            self.lwm2m.close()
            try:
                yield
            finally:
                self.lwm2m.start()

    def expired_certificate(self) -> contextlib.AbstractContextManager[None]:
        """The https server shows an expired certificate inside the block."""
        return self.showing(Shown.EXPIRED)

    @contextlib.contextmanager
    def showing(self, shown: Shown) -> Iterator[None]:
        """The https server shows such a certificate inside the block, and a good one after it."""
        self._packages.show_certificate(shown)
        try:
            yield
        finally:
            self._packages.show_certificate(Shown.GOOD)

    @contextlib.contextmanager
    def impersonated(self, dut: Dut, kind: Impostor) -> Iterator[Callable[[], int]]:
        """Inside the block the server shows devices a certificate that is not its own, for DTLS.

        Yields what counts the handshakes that devices have begun since. Raises `NotApplicable` for a board
        without a certificate, and where the files of the bench do not suffice.
        """
        ca, key = dut.servers_ca
        own = self.lwm2m.certificates
        shown = impostor(kind, own, ca, key)
        with tempfile.TemporaryDirectory(prefix="bench-dtls-") as folder:
            files = shown.written(Path(folder), own.client_ca)
            with self.lwm2m.showing(files) as endpoint:
                begun = endpoint.begun
                yield lambda: endpoint.begun - begun

    def version_of(self, dut: Dut) -> str:
        """The firmware version that the running device reports, as its board file says where."""
        source = dut.type.version
        if source.console is not None:
            return dut.version_on_console(source.console)
        return str(self.client(dut).read(source.resource))

    def make_idle(self, dut: Dut) -> None:
        """Bring the object back to Idle after a failed update, in whichever way the board's profile allows.

        Does nothing in Idle. A device that refuses, or stays where it is, fails the test (`AssertionError`).
        """
        object5, profile = self.object5(dut), dut.type.profile
        state = object5.state
        if state is State.IDLE:
            return
        cancels = profile.object != "1.0" and state.name.lower() in profile.cancels_in
        resets = state.name.lower() in profile.resets_in
        if cancels and not resets:
            answer = object5.cancel()
        else:
            answer = object5.write_uri("") if "pull" in profile.delivery else object5.write_package()
        assert answer.taken, f"{object5.instance}: to leave {state.name}, answered {answer}"
        with self._timeline.step(dut.endpoint, "back to Idle"):
            until = self._clock.now() + dut.type.timeouts.boot
            while (state := object5.state) is not State.IDLE:
                assert self._clock.now() < until, (
                    f"{object5.instance}/3: stays {state.name}, answered {answer}"
                )
                self._clock.sleep(ASKING, f"{dut.endpoint}: back to Idle")

    def await_rest(self, dut: Dut) -> State:
        """Wait until no update is under way: a new version that was interrupted may be on trial once more.

        Returns the state, which is Updating where the board file's time-out has passed first.
        """
        object5 = self.object5(dut)
        until = self._clock.now() + dut.type.timeouts.update
        with self._timeline.step(dut.endpoint, "comes to rest"):
            while (state := object5.state) is State.UPDATING and self._clock.now() < until:
                self._clock.sleep(ASKING, f"{dut.endpoint}: comes to rest")
        return state

    def state_of(self, dut: Dut) -> tuple[State, Result]:
        """State and Update Result, read now."""
        return self.object5(dut).pair

    def goes_on(self, dut: Dut, interruption: Literal["outage", "reboot"], delivery: Delivery) -> bool:
        """Whether, by the board's profile, a download must survive the interruption without starting over."""
        return delivery is Delivery.PULL and interruption in dut.type.profile.resumes_after

    def update(
        self,
        dut: Dut,
        image: FirmwareImage,
        delivery: Delivery | None = None,
        transport: Transport | None = None,
        *,
        gate: SignalGate | None = None,
        patience: float = 1.0,
        within: float | None = None,
    ) -> UpdateRecord:
        """A whole update cycle. What the device did is in the record, good or bad.

        Without `delivery`, by PUSH, or as the board takes packages at all; `transport` (PULL) is the one
        the board registers over unless given; with `patience` the board file's time-outs are so many times
        as long, as weak signal demands; `within` are the bench seconds from Update to its end, if other than
        the board file's `update`.
        """
        with self.begin(dut, image, delivery, transport, patience=patience, within=within) as update:
            if gate is not None and not update.wait_until_open(gate):
                return update.record
            return update.finish()

    @contextlib.contextmanager
    def begin(
        self,
        dut: Dut,
        image: FirmwareImage,
        delivery: Delivery | None = None,
        transport: Transport | None = None,
        *,
        push: Form = USUAL,
        patience: float = 1.0,
        within: float | None = None,
        form: UriForm = plain,
    ) -> Iterator[Update]:
        """An update to be taken step by step inside the block; `patience` and `within` as for `update`.

        `push` is how the package is written, where it is (PUSH).
        `form` is how the Package URI is written (PULL).

        Raises `InstrumentError` at the end of the block when the board's supply has cut it off.
        """
        delivery = delivery or delivery_of(dut)
        profile = dut.type.profile
        cycle = self._cycle(dut, rules_for(profile, delivery), profile.instance, patience)
        if within is not None:
            cycle = replace(cycle, update_timeout=within)
        update = Update(cycle, image.data, delivery, transport or self.transport_of(dut), form, push)
        with dut.supply_checked(), _running(update):
            yield update

    # ---- components (object 33629)

    def components(self, dut: Dut) -> Components:
        """The board's components beside the application."""
        return Components(self.lwm2m, dut.endpoint, dut.type.profile.instance)

    @contextlib.contextmanager
    def begin_component(
        self,
        dut: Dut,
        name: str,
        package: FirmwareImage,
        delivery: Delivery = Delivery.PUSH,
        transport: Transport | None = None,
    ) -> Iterator[Update]:
        """An update of one component, by its name, to be taken step by step inside the block."""
        path = self.components(dut).path(name)
        cycle = self._cycle(dut, component_rules(dut.type.profile, delivery), path)
        update = Update(cycle, package.data, delivery, transport or self.transport_of(dut))
        with dut.supply_checked(), _running(update):
            yield update

    def _cycle(self, dut: Dut, rules: Rules, instance: str, patience: float = 1.0) -> Cycle:
        timeouts = dut.type.timeouts
        return Cycle(
            self.lwm2m,
            dut.endpoint,
            rules,
            self._clock,
            self._timeline,
            partial(self._package_uri, dut.name),
            lambda: 0 if dut.network is None else dut.network.up.counters.not_carried,
            download_timeout=timeouts.download * patience,
            update_timeout=(timeouts.update + timeouts.registration) * patience,
            # a device notices only at its next Update that the server has forgotten it
            registration_timeout=dut.type.lifetime + timeouts.registration,
            boot_timeout=timeouts.boot,
            instance=instance,
            push_block=dut.type.profile.push_block,
            gone=lambda: dut.gone,
        )


def delivery_of(dut: Dut, preferred: Delivery = Delivery.PUSH) -> Delivery:
    """How a board takes packages where it does not matter: as preferred, if it can."""
    ways = dut.type.profile.delivery
    return preferred if preferred.value in ways else Delivery(ways[0])


@contextlib.contextmanager
def _running(update: Update) -> Iterator[Update]:
    try:
        update.prepare()
        yield update
    finally:
        update.close()
