"""Station: everything attached to one bench PC, built from a bench file; opens, guards, closes.

Files are read and checked first, then instruments and ports are opened, and only then may anything
be powered. Whatever fails on the way, every supply output that was reached ends off.
"""

from __future__ import annotations

import contextlib
import datetime
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.clock import Clock, WallClock
from bench.config import (
    Bench,
    BenchSettings,
    BoardSettings,
    BoardType,
    NetworkSettings,
    ProcessSettings,
    ServerSettings,
)
from bench.dut.dut import Dut
from bench.errors import BenchError, ConfigError, InstrumentError, NotApplicable
from bench.firmware_update.service import UpdateService
from bench.firmware_update.states import Transport
from bench.instruments.instrument import Instrument
from bench.instruments.models import open_instrument
from bench.instruments.power_supply import PowerSupply
from bench.lwm2m.server import LwM2mServer
from bench.network.address import Address, coap_uri, reachable
from bench.network.impairment import Impairment
from bench.network.own_address import address_for_boards
from bench.network.path import NetworkPath
from bench.packages.server import Door, PackageServer
from bench.power_cuts.stage import FlashStage
from bench.radio.report import CesqReporter, ConevalReporter, ObjectReporter, Reporter
from bench.radio.rf import Rf
from bench.radio.store import load_valid
from bench.station.credentials import credentials_of
from bench.station.fitting import Fitter
from bench.station.images import images_of
from bench.station.opening import guard_of, plant_of, reserved
from bench.station.plant import Plant
from bench.station.resources import supply_outputs
from bench.timeline import Timeline


class Station:
    """Use as a context manager: `with Station(bench, seed=7) as station: ...`

    `defect` names a defect that the devices of a plant are to have.
    """

    def __init__(self, bench: Bench, *, seed: int = 0, defect: str | None = None) -> None:
        self.bench = bench
        self.seed = seed
        self.defect = defect
        self._closing = contextlib.ExitStack()
        self.duts: dict[str, Dut] = {}
        self.instruments: dict[str, Instrument[Any]] = {}
        self.supplies: dict[str, PowerSupply] = {}
        self._uris: dict[str, str] = {}
        self.lost: InstrumentError | None = None
        """Why this run must end: its outputs are no longer guarded, and have been switched off."""
        self._plant: Plant | None = None
        self.clock: Clock
        self.timeline: Timeline
        self.server: LwM2mServer
        self.packages: PackageServer

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> None:
        work = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        images = {name: images_of(self.bench, name, work / name) for name in self.bench.settings.boards}
        settings = self._open_clock()
        self.timeline = Timeline(self.clock)
        if self.defect is not None:
            self.timeline.record("bench", "defect", f"seeded defect: {self.defect}")
        guard = None
        if self._plant is None:  # a plant dies with this process, and nobody else can reach it
            told = partial(self.timeline.record, "bench", "lock")
            self._closing.enter_context(reserved(settings, told))
            guard = guard_of(settings)
        if guard is not None:
            guard.on_lost = self._guard_lost
            self._closing.enter_context(guard)
        for name, instrument in settings.instruments.items():
            opened = open_instrument(
                name,
                instrument.driver,
                instrument.address,
                self.clock,
                self.timeline,
                identity=instrument.identity,
                **instrument.options,
            )
            self._closing.callback(opened.close)
            self.instruments[name] = opened
            if isinstance(opened, PowerSupply):
                self.supplies[name] = opened
                self._closing.callback(opened.switch_off, supply_outputs(settings, name) or opened.channels)
        if guard is not None:
            guard.await_ready()
        fitter = Fitter(self.bench, self.instruments, self.clock, self.timeline)
        for name, board in settings.boards.items():
            dut = fitter.fit(name, board, images[name])
            self._closing.callback(_quietly(dut.close))
            self.duts[name] = dut
            dut.on_gone = partial(self._forget, dut.endpoint)
        server = settings.server
        self.server = LwM2mServer(
            self.clock,
            self.timeline,
            host=server.host,
            port=server.port,
            seed=None if self._plant is None else self.seed,
            credentials=credentials_of(settings),
            secure_port=server.secure_port,
            also_at=_also_at(server),
        )
        self.server.awaited = frozenset(dut.endpoint for dut in self.duts.values())
        self.server.start()
        self._closing.callback(self.server.close)
        for dut in self.duts.values():
            dut.on_restart = partial(self.server.device_restarted, dut.endpoint)
        self._open_packages(settings)
        for name, board in settings.boards.items():
            if board.network is not None:
                self._open_network(name, board.network, secure=board.security is not None)
        for name, dut in self.duts.items():  # what is missing is an error now, not in the tenth test
            self._say_where(name, dut)
            dut.check()
        for dut in self.duts.values():
            dut.make_safe()
            if dut.attenuator is not None:  # some power up at their largest attenuation
                dut.attenuator.attenuation = dut.attenuator.range.low

    def _guard_lost(self, fault: InstrumentError) -> None:
        """From a thread of the guard: outputs off at once and for good, and the wait in progress ends."""
        self.lost = fault
        self.timeline.record("bench", "guard", fault.message)
        for supply in self.supplies.values():
            for number in supply.channels:
                supply.channel(number).forbid(fault)
        for name, supply in self.supplies.items():
            with contextlib.suppress(InstrumentError):  # closing tries once more, and tells
                supply.switch_off(supply_outputs(self.bench.settings, name) or supply.channels)
        self.clock.interrupt(fault)

    def _open_clock(self) -> BenchSettings:
        plant = plant_of(self.bench, self.seed, self.defect)
        if plant is None:
            if self.defect is not None:
                raise ConfigError(
                    f"{self.bench.path} is no virtual bench: the defect {self.defect!r} cannot be seeded in "
                    "real devices",
                    help="leave out --defect, or name a bench file that has a `plant`",
                )
            self.clock = WallClock()
            self._closing.callback(self.clock.close)
            return self.bench.settings
        self._closing.callback(plant.close)
        self._plant = plant
        self.clock = plant.clock
        return plant.start()

    def _open_packages(self, settings: BenchSettings) -> None:
        """The doors that the attached boards can use."""
        schemes = {scheme for name in self.duts for scheme in self.bench.type_of(name).profile.transports}
        doors = {str(scheme): Door(door.port, door.advertise) for scheme, door in settings.packages.items()}
        certified = "https" in schemes and doors.get("https", Door()).advertise is None
        host, own = settings.server.host, self.bench.settings.server
        reached_at = {self._told_host(name, host) for name in self.duts} if certified else set()
        self.packages = PackageServer(
            self.clock,
            self.server.shelf,
            host=host,
            doors=doors,
            schemes=schemes,
            reached_at=reached_at,
            also_at=_also_at(settings.server),
            also_named={name for name in (own.name, own.ipv6) if name is not None},
        )
        self._closing.callback(self.packages.close)
        self.packages.start()
        for dut in self.duts.values():
            if "https" in dut.type.profile.transports:
                dut.trusted_ca = self.packages.ca

    def _open_network(self, name: str, network: NetworkSettings, secure: bool) -> None:
        path = NetworkPath(
            name,
            self.clock,
            self.timeline,
            seed=self.seed,
            impairment=Impairment(**network.model_dump(exclude={"port", "advertise"})),
        )
        self._closing.callback(path.close)
        server = self.server.secure_address if secure else self.server.address
        bound = path.open(server, (server[0], network.port))
        self.duts[name].network = path
        self._uris[name] = network.advertise or coap_uri(self._told(name, bound), secure)

    def server_uri(self, board: str) -> str:
        """Where a board is told that the server is.

        That is its own path where it has one. A program is on this PC; any other board is told
        `advertise` of the bench file's [server], where the PC is behind a router.
        """
        secure = self.bench.settings.boards[board].security is not None
        return self._uris.get(board) or self._server_as_told(board, secure)

    def _server_as_told(self, board: str, secure: bool) -> str:
        """The server's own port, as a board knows it."""
        server = self.bench.settings.server
        known = None if self._is_program(board) else server.secure_advertise if secure else server.advertise
        address = self.server.secure_address if secure else self.server.address
        return known or coap_uri(self._told(board, address), secure)

    def _is_program(self, board: str) -> bool:
        return isinstance(self.bench.settings.boards[board], ProcessSettings)

    def _told(self, board: str, address: Address) -> Address:
        """What listens at `address`, as a board reaches it: from this PC, or from outside.

        Raises `ConfigError` where a board with wires of its own cannot be told an address.
        """
        if self._plant is not None or self._is_program(board):
            return reachable(address)
        return address_for_boards(address[0], self.bench.settings.server.route_to), address[1]

    def _say_where(self, name: str, dut: Dut) -> None:
        """Where a board is told that everything is, on the timeline. Raises `ConfigError` as `_told` does."""
        own = self.server_uri(name)
        served = {Transport.COAP, *map(Transport, self.packages.schemes)}
        doors = {self.package_uri(name, "", t) for t in served if t.value in dut.type.profile.transports}
        others = sorted({uri.removesuffix("/fw/") for uri in doors} - {own})
        if self._plant is None:
            told = f"is told {own}" + (f", packages at {', '.join(others)}" if others else "")
            self.timeline.record(name, "server", told)

    @property
    def updates(self) -> UpdateService:
        """The server as testcases see it."""
        own = self.bench.settings.server
        return UpdateService(
            self.server,
            self.server_uri,
            self.package_uri,
            self.packages,
            self.clock,
            self.timeline,
            host_name=own.name,
            ipv6=own.ipv6,
        )

    def package_uri(self, board: str, name: str, transport: Transport) -> str:
        """Where a board fetches the package `name`. Raises `ServerError` for a transport not served."""
        own = self.server_uri(board)
        if transport is self.updates.transport_of(self.duts[board]):
            return f"{own}/fw/{name}"
        if transport is Transport.COAP:
            return f"{self._server_as_told(board, secure=False)}/fw/{name}"
        return self.packages.uri_of(name, transport.value, partial(self._told_host, board))

    def _told_host(self, board: str, host: str) -> str:
        return self._told(board, (host, 0))[0]

    def rf(self, board: str) -> Rf:
        """The radio path of a board, by its calibration where the bench has one.

        Raises `NotApplicable` where the bench file gives no attenuator or the board file no [radio], and
        `RadioError` for a calibration that does not hold.
        """
        made, file = self.uncalibrated_rf(board), calibration_file(self.bench, board)
        if file.exists():
            path = self.attenuator_of(board)
            found = load_valid(
                file,
                board=board,
                serial=self.duts[board].serial,
                rf_path=path,
                instrument=self.instruments[path.partition(":")[0]].idn,
                today=datetime.date.today(),
            )
            made.reference, made.slope, made.floor = found.intercept, found.slope, found.floor
        return made

    def uncalibrated_rf(self, board: str) -> Rf:
        """As `rf`, but it goes by what the device reports alone."""
        dut = self.duts[board]
        if dut.attenuator is None:
            raise NotApplicable(f"the bench file gives no attenuator of boards.{board}")
        if not isinstance(dut.type, BoardType) or dut.type.radio is None:
            raise NotApplicable(f"the board file of {dut.type.name} has no [radio]")
        radio = dut.type.radio
        reporters: dict[str, Reporter] = {
            "at+cesq": CesqReporter(dut.console),
            "at%coneval": ConevalReporter(dut.console),
            "lwm2m": ObjectReporter(lambda: self.server.client(dut.endpoint)),
        }
        return Rf(
            board,
            dut.attenuator,
            reporters[radio.report],
            self.clock,
            self.timeline,
            lost=radio.lost,
            rejoin=radio.rejoin,
        )

    def attenuator_of(self, board: str) -> str:
        """Instrument and path of a board's attenuator, as the bench file names them."""
        settings = self.bench.settings.boards[board]
        assert isinstance(settings, BoardSettings)
        assert settings.attenuator is not None
        return settings.attenuator

    def flash_stage(self, board: str) -> FlashStage:
        """The flash of a virtual board from inside. Raises `NotApplicable` for a real one."""
        if self._plant is None:
            raise NotApplicable("only the flash of a virtual board can be looked into while it works")
        return self._plant.flash_stage(board)

    def _forget(self, endpoint: str) -> None:
        """A device that is known to be dead answers nothing: do not wait for it."""
        with contextlib.suppress(BenchError):  # it had not registered
            self.server.expire(endpoint)

    def close(self) -> None:
        """Outputs off, ports and sockets closed. Idempotent; runs every step even if one fails."""
        self._closing.close()


def _also_at(server: ServerSettings) -> str | None:
    """The other address where everything listens; a host that is an IPv6 address needs none."""
    return None if ":" in server.host else server.ipv6


def _quietly(close: Callable[[], None]) -> Callable[[], None]:
    """Closing after a fault must not hide the fault; the outputs are switched off once more anyway."""

    def run() -> None:
        with contextlib.suppress(BenchError):
            close()

    return run


def calibration_file(bench: Bench, board: str) -> Path:
    """Where the calibration of a board's radio path is kept: beside the bench file."""
    return bench.path.parent / "calibration" / f"{board}.json"
