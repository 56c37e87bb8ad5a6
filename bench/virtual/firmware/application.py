"""The virtual board's application: boots, attaches, registers, serves its objects, updates itself.

What this build does differently is in the traits of its image: `confirm` (False: never confirms
itself), `attach` (False: never attaches), `settings` ("elsewhere": does not find those of the build
before), and what `start_of` does.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from bench.virtual.boot.slots import UpdateSlots
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.at_commands import AtCommands
from bench.virtual.firmware.bootstrap import Bootstrap
from bench.virtual.firmware.client import ATTEMPTS, Account, Client
from bench.virtual.firmware.connectivity import connectivity
from bench.virtual.firmware.data_model import Instance, Path, Resource, Tree
from bench.virtual.firmware.downloads.source import Means
from bench.virtual.firmware.dtls import SecureLink
from bench.virtual.firmware.settings import Settings
from bench.virtual.firmware.shell import Provision, Shell, parse_provision
from bench.virtual.firmware.start import stand_still, start_of
from bench.virtual.firmware.update.component import ComponentType
from bench.virtual.firmware.update.components import OBJECT as COMPONENTS
from bench.virtual.firmware.update.components import ComponentObject
from bench.virtual.firmware.update.machine import Stack
from bench.virtual.firmware.update.object5 import UpdateObject
from bench.virtual.machine import Machine, RunningImage
from bench.virtual.process import Signal, Steps
from bench.virtual.radio.modem import Modem

TRIAL_LIMIT = 1200.0
"""Seconds after which an image on trial that has not confirmed itself gives up: no coverage for a while
is no fault of the image."""
START_TIME = 0.3
"""Seconds from the bootloader's jump to the application's first line, an estimate."""
SETTINGS_REGIONS = ("settings", "nvs")
DISABLE_TIMEOUT = 86400
"""Seconds (OMA object 1, resource 5, its default)."""


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    manufacturer: str
    model: str
    serial: str
    stack: Stack = field(default_factory=Stack)
    components: tuple[ComponentType, ...] = ()
    imei: str = ""
    """Of its cellular modem, where it has one."""


class Application:
    """One run of the application, from the bootloader's jump to the next reset."""

    def __init__(
        self,
        machine: Machine,
        running: RunningImage,
        slots: UpdateSlots,
        modem: Modem,
        device: DeviceIdentity,
        *,
        reset_reason: str = "power",
    ) -> None:
        self._machine = machine
        self._running = running
        self._slots = slots
        self._modem = modem
        self._link = SecureLink(machine, modem)
        self._trusted: list[str] = []
        self._device = device
        self._reset_reason = reset_reason
        region = next(machine.regions[name] for name in SETTINGS_REGIONS if name in machine.regions)
        self._settings = Settings(machine, region)
        self._provisioned = Signal()
        self._shell = Shell(self._command)
        self._at = AtCommands(modem, lambda on: machine.cpu.spawn(self._save_power(on)), device.imei)
        self._client: Client | None = None
        self._update: UpdateObject | None = None
        self._sends = False  # state and result of an update are told by Send, not by notification

    def run(self) -> Steps:
        """The application's main process."""
        yield START_TIME
        self._machine.print(f"*** Booting application v{self._running.version} ***")
        yield from start_of(self._machine, self._running.traits, self._reset_reason)
        if not self._slots.confirmed:
            self._machine.cpu.after(TRIAL_LIMIT, self._give_up_trial)
        if self._running.traits.get("settings") != "elsewhere":
            self._settings.load()
        self._trusted[:] = [c for c in [self._settings.values.get("trusted")] if c]
        update = UpdateObject(
            self._machine,
            self._running,
            self._slots,
            self._settings,
            self._device.stack,
            self._resource_changed,
        )
        self._update = update
        components = ComponentObject(
            self._machine,
            self._settings,
            self._device.components,
            self._device.stack,
            update.heap,
            self._resource_changed,
        )
        yield from update.settle()
        yield from components.settle()
        if self._told() is None:
            self._machine.print("lwm2m: not provisioned")
            while self._told() is None:
                yield self._provisioned
        self._machine.print("net: attaching")
        self._modem.saves_power = bool(self._settings.values.get("psm"))
        if not self._running.traits.get("attach", True):
            yield Signal()  # which nobody sends
        yield from self._modem.attach()
        self._machine.print("net: attached")
        self._modem.on_service = self._service_changed
        told = self._told()
        assert told is not None
        self._secure(told)
        client = Client(
            self._machine,
            self._link,
            self._machine.rng,
            self._tree(update, components),
            self._device.stack,
            {(5, 0, 0): update.reception.write_package, **components.package_writers()},
        )
        means = Means(self._machine, self._modem, self._link, client.engine, self._trusted)
        update.reception.connect(means)
        components.connect(means)
        client.queue_mode = self._modem.saves_power
        self._client = client
        if update.on_trial:
            self._machine.cpu.spawn(self._trial(client, update))
        self._machine.cpu.spawn(self._resume(client, update, components))
        while True:
            while (provision := self._provision()) is None:
                yield from self._bootstrap(client)
            self._secure(provision)
            told = self._told()
            asks = told is not None and told.bootstrap
            yield from client.keep_registered(_account(provision), ATTEMPTS if asks else None)
            yield from self._forget_server()

    def _forget_server(self) -> Steps:
        """The server that was learned cannot be registered with: ask the bootstrap server again."""
        yield from self._settings.put("account", None)

    def _bootstrap(self, client: Client) -> Steps:
        """Learn the server, and keep it over restarts."""
        told = self._told()
        assert told is not None
        self._secure(told)
        bootstrap = Bootstrap(self._machine, client.engine, (told.host, told.port), told.endpoint)
        learned = yield from bootstrap.run(lambda: self._told() == told)
        if learned is not None and self._told() == told:  # else provisioned otherwise meanwhile
            yield from self._settings.put("account", list(astuple(learned)))

    def _trial(self, client: Client, update: UpdateObject) -> Steps:
        """A new image proves itself by registering; then it stays."""
        yield client.registered
        if self._running.traits.get("confirm", True):
            yield from update.end_trial()

    def _give_up_trial(self) -> None:
        """A trial image that has not proved itself in time makes way for the one before."""
        if not self._slots.confirmed:
            self._machine.print("app: trial not confirmed in time, restarting")
            self._machine.reset("soft")

    def _resume(self, client: Client, update: UpdateObject, components: ComponentObject) -> Steps:
        """A download that a restart interrupted goes on once the device is registered."""
        yield client.registered
        update.reception.resume()
        components.resume()

    def _resource_changed(self, path: Path) -> None:
        if self._client is None:
            return
        if self._sends and path[0] in (5, COMPONENTS) and path[2] in (3, 5):
            self._client.report([(*path[:2], 3), (*path[:2], 5)])
        else:
            self._client.observations.changed(path)

    def _service_changed(self, up: bool) -> None:
        self._machine.print("net: attached" if up else "net: service lost, searching")

    def _save_power(self, on: bool) -> Steps:
        """Power saving mode, kept over restarts; the server is told that the device is not always there."""
        yield from self._settings.put("psm", on)
        self._modem.saves_power = on
        if self._client is not None:
            self._client.queue_mode = on
            self._client.renew()

    # ---- shell

    def receive(self, data: bytes) -> None:
        """Serial input."""
        self._shell.receive(data)

    def _command(self, line: str) -> None:
        name, *arguments = line.split()
        if self._modem.reception.technology.cellular and line.upper().startswith("AT"):
            for answer in self._at.answer(line):
                self._machine.print(answer)
        elif name == "provision":
            self._machine.cpu.spawn(self._take_provision(arguments))
        elif name == "trust":
            self._machine.cpu.spawn(self._trust(arguments))
        elif name == "version":
            self._machine.print(f"version: {self._running.version}")
        elif name == "status":
            state = self._update.state if self._update is not None else 0
            self._machine.print(f"status: fota state {state}, slot {self._running.region}")
        elif name == "hang":
            self._hang()
        elif name == "reboot":
            self._machine.cpu.spawn(self._leave_and_reboot())
        elif name in self._switches:
            self._switch(name, arguments)
        else:
            self._machine.print(f"{name}: command not found")

    def _hang(self) -> None:
        """Go nowhere any more; nobody feeds the watchdog."""
        self._machine.print("hang: until the watchdog bites")
        stand_still(self._machine)

    @property
    def _switches(self) -> dict[str, dict[str, Callable[[UpdateObject], None]]]:
        """Commands with one word each that a test of the device may need."""
        return {
            "heap": {
                "take": lambda update: update.heap.take(update.heap.SIZE),
                "free": lambda update: update.heap.release(),
            },
            "user": {
                "defers": lambda update: setattr(update.user, "defers", True),
                "accepts": lambda update: update.user.accept(),
            },
            "report": {
                "send": lambda update: setattr(self, "_sends", True),
                "notify": lambda update: setattr(self, "_sends", False),
            },
        }

    def _switch(self, name: str, arguments: list[str]) -> None:
        word = arguments[0] if arguments else ""
        action = self._switches[name].get(word)
        if action is None or self._update is None:
            self._machine.print(f"{name}: error, use one of {', '.join(self._switches[name])}")
        else:
            action(self._update)
            self._machine.print(f"{name}: {word}")

    def _trust(self, arguments: list[str]) -> Steps:
        """Keep a CA certificate, DER in base64, for downloads over https."""
        try:
            certificate = ssl.DER_cert_to_PEM_cert(base64.b64decode("".join(arguments), validate=True))
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate)
        except (ValueError, ssl.SSLError):
            self._machine.print("trust: error, no certificate")
            return
        yield from self._settings.put("trusted", certificate)
        self._trusted[:] = [certificate]
        self._machine.print("trust: ok")

    def _take_provision(self, arguments: list[str]) -> Steps:
        try:
            wanted = parse_provision(arguments)
        except ValueError as error:
            self._machine.print(f"provision: error {error}")
            return
        yield from self._use(wanted)
        self._machine.print("provision: ok")
        self._provisioned.send()

    def _use(self, wanted: Provision) -> Steps:
        """Keep a provision, and have the client work by it from now on."""
        yield from self._settings.put("account", None)
        yield from self._settings.put("provision", list(astuple(wanted)))
        self._secure(wanted)
        if self._client is None:
            return
        if wanted.bootstrap:
            self._machine.print("lwm2m: bootstrap at the next restart")
        else:
            self._client.renew(_account(wanted))

    def _secure(self, told: Provision) -> None:
        """Talk to the server as the provision says."""
        self._link.use(told.identity, told.key, told.own)
        if told.secure:
            self._link.secure((told.host, told.port))

    def _use_lifetime(self, seconds: int) -> Steps:
        """Keep another lifetime, wherever the present one came from."""
        told, held = self._told(), self._settings.values.get("account")
        if told is None:
            return
        if held:
            yield from self._settings.put("account", [*held[:2], seconds, *held[3:]])
        else:
            yield from self._settings.put("provision", list(astuple(replace(told, lifetime=seconds))))
        provision = self._provision()
        if provision is not None and self._client is not None:
            self._client.renew(_account(provision))

    def _told(self) -> Provision | None:
        """What the shell was told: a server, or a bootstrap server."""
        held = self._settings.values.get("provision")
        return Provision(*held) if held else None

    def _provision(self) -> Provision | None:
        """Where to register; None until it is told or, from a bootstrap server, learned."""
        told, held = self._told(), self._settings.values.get("account")
        if told is None or not told.bootstrap:
            return told
        if not held:
            return None
        host, port, lifetime, identity, key = held
        credentials = (True, identity, key) if identity else (False, told.identity, told.key)
        return Provision(host, port, told.endpoint, lifetime, False, *credentials)

    # ---- objects

    def _tree(self, update: UpdateObject, components: ComponentObject) -> Tree:
        tree: Tree = {
            0: {0: Instance(readable=False)},
            1: {0: self._server_instance()},
            3: {0: self._device_instance()},
            4: {0: connectivity(self._modem)},
            5: {0: update.instance()},
        }
        if self._device.components:
            tree[COMPONENTS] = components.instances()
        return tree

    def _device_instance(self) -> Instance:
        def fixed(value: Any) -> Any:
            return lambda: value

        return Instance(
            {
                0: Resource("str", read=fixed(self._device.manufacturer)),
                1: Resource("str", read=fixed(self._device.model)),
                2: Resource("str", read=fixed(self._device.serial)),
                3: Resource("str", read=fixed(self._running.version)),
                4: Resource("none", execute=self._reboot),
                5: Resource("none", execute=self._factory_reset),
                11: Resource("int", read=fixed({0: 0})),
                13: Resource("int", read=lambda: int(self._machine.now())),
                16: Resource("str", read=fixed("U")),
            }
        )

    def _reboot(self, arguments: bytes) -> int:
        self._machine.cpu.after(0.5, lambda: self._machine.cpu.spawn(self._leave_and_reboot()))
        return coap.CHANGED

    def _factory_reset(self, arguments: bytes) -> int:
        self._machine.cpu.after(0.5, lambda: self._machine.cpu.spawn(self._reset_to_factory()))
        return coap.CHANGED

    def _reset_to_factory(self) -> Steps:
        """Forget what was set since it left the factory: its servers, but for a bootstrap server."""
        if self._client is not None:
            yield from self._client.deregister()
        told = self._told()
        kept = told is not None and told.bootstrap
        for key in ("account", "psm") if kept else ("account", "psm", "provision"):
            yield from self._settings.put(key, None)
        yield from self._leave_and_reboot()

    def _leave_and_reboot(self) -> Steps:
        """An orderly restart: de-register first."""
        if self._client is not None:
            yield from self._client.deregister()
        yield 0.2
        self._machine.reset("soft")
        yield 0.0

    def _server_instance(self) -> Instance:
        storing = {"notifications": False}
        disable = {"timeout": DISABLE_TIMEOUT}

        def lifetime() -> int:
            provision = self._provision()
            return provision.lifetime if provision is not None else 0

        def write_lifetime(value: int) -> int:
            provision = self._provision()
            if value < 1 or provision is None:
                return coap.BAD_REQUEST
            self._machine.cpu.spawn(self._use_lifetime(value))
            return coap.CHANGED

        def write_storing(value: bool) -> int:
            storing["notifications"] = value
            return coap.CHANGED

        def write_timeout(value: int) -> int:
            if value < 0:
                return coap.BAD_REQUEST
            disable["timeout"] = value
            return coap.CHANGED

        def disable_server(arguments: bytes) -> int:
            if self._client is not None:
                self._client.disable(disable["timeout"])
            return coap.CHANGED

        def trigger_update(arguments: bytes) -> int:
            if self._client is not None:
                self._client.renew()
            return coap.CHANGED

        return Instance(
            {
                0: Resource("int", read=lambda: 1),
                1: Resource("int", read=lifetime, write=write_lifetime),
                4: Resource("none", execute=disable_server),
                5: Resource("int", read=lambda: disable["timeout"], write=write_timeout),
                6: Resource("bool", read=lambda: storing["notifications"], write=write_storing),
                7: Resource("str", read=lambda: "U"),
                8: Resource("none", execute=trigger_update),
            }
        )


def _account(provision: Provision) -> Account:
    return Account((provision.host, provision.port), provision.endpoint, provision.lifetime)
