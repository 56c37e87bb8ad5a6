"""The virtual bench, put together from a bench file: boards, instruments, and the wires between them."""

from __future__ import annotations

import contextlib
import random
import socket
import urllib.parse

import serial

from bench.config import (
    AnyBoardSettings,
    Bench,
    BenchSettings,
    BoardSettings,
    BoardType,
    RomSerialAttachment,
    ServerSettings,
    SwdAttachment,
)
from bench.errors import ConfigError, PlantError
from bench.network.address import Address, reachable
from bench.virtual import protocol_vboard
from bench.virtual.boards.board import VirtualBoard
from bench.virtual.boards.esp32 import VirtualEsp32
from bench.virtual.boards.nrf9160 import VirtualNrf9160
from bench.virtual.boot.mcuboot.options import Options, Version, options_from
from bench.virtual.clock import VirtualClock
from bench.virtual.defects.defect import seeded
from bench.virtual.defects.registry import defect_named
from bench.virtual.flash_stage import BoardFlashStage
from bench.virtual.instruments.models import Wiring, start_instrument
from bench.virtual.machine import Region
from bench.virtual.nrf91.registry import PROBES
from bench.virtual.power.rail import Rail
from bench.virtual.radio.modem import Routes
from bench.virtual.radio.path import RfPath
from bench.virtual.radio.technology import TECHNOLOGIES
from bench.virtual.scheduler import Scheduler

USUAL_PORTS = {"coap": 5683, "coaps": 5684, "http": 80, "https": 443, "coap+tcp": 5683}


class VirtualBench:
    """A plant for every board and instrument of the bench file.

    `pace` plays simulated time at that many seconds per wall second (None: jump); a bench that
    other programs look at is paced at 1. `defect` is what is wrong with its boards: the name of a seeded
    defect. Raises `ConfigError` when none has that name.
    """

    def __init__(
        self, bench: Bench, seed: int = 0, *, pace: float | None = None, defect: str | None = None
    ) -> None:
        self.bench = bench
        self.scheduler = Scheduler(seed)
        self.clock = VirtualClock(self.scheduler, pace)
        self.boards: dict[str, VirtualBoard] = {}
        self.rails: dict[str, Rail] = {}
        self.paths: dict[str, RfPath] = {}
        self._routes = Routes()
        self._ports = _FreePorts()
        self._closing = contextlib.ExitStack()
        self._closing.callback(self.clock.close)
        if defect is not None:
            self._closing.enter_context(seeded(defect_named(defect)))
        random.seed(seed)  # aiocoap draws its retransmission times from the global stream

    def start(self) -> BenchSettings:
        settings = self._place_packages(self._place_networks(self._place_server(self.bench.settings)))
        if "bench.virtual" not in serial.protocol_handler_packages:
            serial.protocol_handler_packages.append("bench.virtual")
        for name, board in settings.boards.items():
            board_type = self.bench.type_of(name)
            if not isinstance(board, BoardSettings) or not isinstance(board_type, BoardType):
                raise ConfigError(
                    f"{self.bench.path}: boards.{name}: a program cannot run in simulated time",
                    help="give it a bench file of its own, without `plant`",
                )
            self.boards[name] = self._start_board(name, board, board_type)
        instruments = {}
        boards = [b for b in settings.boards.values() if isinstance(b, BoardSettings)]
        supplies = {b.meter: b.supply for b in boards}
        supplies |= {f"{b.voltmeter}:1": b.supply for b in boards if b.voltmeter is not None}
        for name, instrument in settings.instruments.items():
            rails = {c: self._rail(supplies.get(f"{name}:{c}", f"{name}:{c}")) for c in (1, 2, 3, 4)}
            paths = {p: self._path(f"{name}:{p}") for p in ("1", "2", "3", "4")}
            server = start_instrument(instrument.driver, Wiring(self.scheduler, rails, paths))
            self._closing.callback(server.close)
            instruments[name] = instrument.model_copy(update={"address": server.address})
        return settings.model_copy(update={"instruments": instruments})

    def _place_server(self, settings: BenchSettings) -> BenchSettings:
        """Give the server a free port, and route the address that devices are told to it.

        Devices then know the same address in every run, as they do behind a real network.
        """
        server = settings.server
        server = server.model_copy(
            update={
                "port": server.port or self._ports.take(server.host),
                "secure_port": server.secure_port or self._ports.take(server.host),
            }
        )
        self._lead(self._routes.datagrams, server.advertise, (server.host, server.port))
        self._lead(self._routes.datagrams, server.secure_advertise, (server.host, server.secure_port))
        self._name_server(server, {server.port: 5683, server.secure_port: 5684})
        # nothing listens there on this PC: the virtual network leads it here
        return settings.model_copy(update={"server": server.model_copy(update={"ipv6": None})})

    def _name_server(self, server: ServerSettings, usual: dict[int, int]) -> None:
        """Let boards resolve the server's name, and lead its IPv6 address to it."""
        if server.name is not None and server.advertise is not None:
            self._routes.names[server.name.lower()] = urllib.parse.urlsplit(server.advertise).hostname or ""
        if server.ipv6 is not None:
            for port, public in usual.items():
                self._routes.datagrams[server.ipv6, public] = reachable((server.host, port))

    def _place_networks(self, settings: BenchSettings) -> BenchSettings:
        """The same for the network paths that boards have of their own."""
        boards: dict[str, AnyBoardSettings] = {}
        for name, board in settings.boards.items():
            network = board.network
            if network is not None:
                host = settings.server.host
                network = network.model_copy(update={"port": network.port or self._ports.take(host)})
                self._lead(self._routes.datagrams, network.advertise, (host, network.port))
            boards[name] = board.model_copy(update={"network": network})
        return settings.model_copy(update={"boards": boards})

    def _place_packages(self, settings: BenchSettings) -> BenchSettings:
        """The same for the doors of the package server, which are TCP ports."""
        host = settings.server.host
        doors = {}
        for scheme, door in settings.packages.items():
            port = door.port or self._ports.take(host, socket.SOCK_STREAM)
            doors[scheme] = door.model_copy(update={"port": port})
            self._lead(self._routes.streams, door.advertise, (host, port))
            if (ipv6 := self.bench.settings.server.ipv6) is not None and door.advertise is not None:
                public = urllib.parse.urlsplit(door.advertise)
                usual = public.port or USUAL_PORTS[public.scheme]
                self._routes.streams[ipv6, usual] = reachable((host, port))
        return settings.model_copy(update={"packages": doors})

    @staticmethod
    def _lead(routes: dict[Address, Address], advertised: str | None, real: Address) -> None:
        """Have what devices are told lead to where it is."""
        if advertised is not None:
            public = urllib.parse.urlsplit(advertised)
            usual = USUAL_PORTS[public.scheme]
            routes[public.hostname or "", public.port or usual] = reachable(real)

    def _start_board(self, name: str, board: BoardSettings, board_type: BoardType) -> VirtualBoard:
        regions = {n: Region(r.offset, r.size) for n, r in board_type.regions.items()}
        prefix, _, port = board.console.partition("://")
        if prefix != "vboard":
            raise ConfigError(
                f"{self.bench.path}: boards.{name}.console = {board.console!r}: a virtual board has vboard://NAME",
                help="remove `plant` from the bench file to use real ports",
            )
        path = RfPath() if board.attenuator is None else self._path(board.attenuator)
        wires = (name, self.scheduler, self.clock.loop, regions, self._routes, path)
        made: VirtualBoard
        match board.flasher:
            case SwdAttachment(uid=uid):
                _, urn, imei = board.endpoint.partition("urn:imei:")
                options = _binary_options(board, board_type)
                nrf = VirtualNrf9160(*wires, serial=board.serial, imei=imei if urn else "", binary=options)
                PROBES[uid] = nrf.chip
                self._closing.callback(PROBES.pop, uid, None)
                made = nrf
            case RomSerialAttachment(mac=mac):
                made = VirtualEsp32(
                    name,
                    self.scheduler,
                    self.clock.loop,
                    regions,
                    self._routes,
                    path,
                    mac=mac or board.serial,
                )
        if board_type.radio is not None:
            made.reception.technology = TECHNOLOGIES[board_type.radio.technology]
        protocol_vboard.PORTS[port] = made.uart
        self._closing.callback(protocol_vboard.PORTS.pop, port, None)
        rail = self._rail(board.supply)
        rail.attach(made)
        made.on_load_changed = rail.load_changed
        self._closing.callback(made.set_supply, 0.0)
        return made

    def _path(self, name: str) -> RfPath:
        return self.paths.setdefault(name, RfPath())

    def flash_stage(self, board: str) -> BoardFlashStage:
        """A board's flash, to be watched and put into the state that a power cut leaves."""
        return BoardFlashStage(self.boards[board], self.clock.changed)

    def _rail(self, name: str) -> Rail:
        return self.rails.setdefault(name, Rail(self.scheduler))

    def close(self) -> None:
        self._closing.close()


def _binary_options(board: BoardSettings, board_type: BoardType) -> Options | None:
    """Those of a bootloader whose machine code is executed."""
    if board.virtual is None or board.virtual.bootloader == "model":
        return None
    version = board_type.firmware.mcuboot or Version.MAIN
    return options_from({"version": version, "upgrade": board.virtual.upgrade})


PORTS = range(20_000, 32_768)
"""Below those that Linux and Windows give to whoever asks for any port: another process, or a client of
our own, could be given one of them between the choice and its use."""
TRIES = 100


class _FreePorts:
    """Ports by chance, none given twice: they are bound later, and until then look free."""

    def __init__(self) -> None:
        self._untried = random.SystemRandom().sample(PORTS, len(PORTS))

    def take(self, host: str, kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
        """Raises `PlantError` where none is found."""
        for _ in range(min(TRIES, len(self._untried))):
            port = self._untried.pop()
            with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
                probe.bind((host, port))
                return port
        raise PlantError(
            f"none of {TRIES} ports from {PORTS.start} on is free on {host}",
            help="name free ports in the bench file, or end what holds so many",
        )
