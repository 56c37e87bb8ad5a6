"""A virtual bench that stays up in wall time, for other programs: `bench up`.

Boards are powered; each nRF9160 is reachable by pyOCD's remote probe protocol, each ESP32 by
RFC 2217, and the LwM2M server listens on its port.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from bench.config import Bench, BoardSettings, BoardType
from bench.errors import ConfigError
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline
from bench.virtual.boards.nrf9160 import VirtualNrf9160
from bench.virtual.esp32.port_server import PortServer
from bench.virtual.nrf91.probe_server import ProbeServer
from bench.virtual.nrf91.registry import PROBES, REMOTE_PROBES
from bench.virtual.plant import VirtualBench

TICK = 0.5
"""Simulated and wall seconds between two looks for Ctrl-C."""


def run_exposed(bench: Bench, seed: int, say: Callable[[str], None], seconds: float | None = None) -> None:
    """Run until Ctrl-C, or for `seconds`. `say` gets the lines that tell how to reach the boards.

    Raises `ConfigError` for a bench file without a plant.
    """
    if bench.settings.bench.plant is None:
        raise ConfigError(
            f"{bench.path}: bench.plant is not set: this is no virtual bench",
            help="`bench up` is for virtual benches; real boards are reached directly",
        )
    with contextlib.ExitStack() as closing:
        plant = VirtualBench(bench, seed, pace=1.0)
        closing.callback(plant.close)
        settings = plant.start()
        timeline = Timeline(plant.clock)
        server = LwM2mServer(
            plant.clock, timeline, host=settings.server.host, port=settings.server.port, seed=seed
        )
        server.start()
        closing.callback(server.close)
        say(f"LwM2M server: {server.uri}")
        for name, instrument in settings.instruments.items():
            say(f"{name}: {instrument.driver} at {instrument.address}")
        probes = {}
        for uid, chip in PROBES.items():
            probe = ProbeServer(uid, chip)
            closing.callback(probe.close)
            probes[uid] = "{}:{}".format(*probe.start())
        for name, board in plant.boards.items():
            attached, board_type = settings.boards[name], bench.type_of(name)
            assert isinstance(attached, BoardSettings)
            assert isinstance(board_type, BoardType)
            rail = plant.rails[attached.supply]
            rail.connect()  # a meter in the lead may have its switch open, and nobody here sets it
            rail.drive(board_type.supply.voltage, 1.0)
            if isinstance(board, VirtualNrf9160):
                uid = next(u for u, chip in PROBES.items() if chip is board.chip)
                say(f"{name}: pyocd cmd -t nrf91 -u remote:{probes[uid]}")
            else:
                port = PortServer(board.uart)
                closing.callback(port.close)
                say(f"{name}: esptool --port {port.start()} flash-id")
        if probes:
            value = ",".join(f"{uid}={address}" for uid, address in probes.items())
            say(f"for `pyocd list`, set {REMOTE_PROBES}={value}")
        say("running; Ctrl-C ends it")
        end = None if seconds is None else plant.clock.now() + seconds
        with contextlib.suppress(KeyboardInterrupt):
            while end is None or plant.clock.now() < end:
                plant.clock.sleep(TICK, "bench up")
