"""The virtual ESP32 board: ROM at the serial wire, second-stage bootloader, application, Wi-Fi."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from bench.virtual.boards.board import SupplyInput, VirtualBoard
from bench.virtual.boot import esp32 as bootloader
from bench.virtual.esp32.chip import Esp32Chip
from bench.virtual.firmware.application import Application, DeviceIdentity
from bench.virtual.flash import Flash
from bench.virtual.machine import Region
from bench.virtual.modem import WIFI, Address, Modem
from bench.virtual.process import Cpu, Steps
from bench.virtual.scheduler import Scheduler


class VirtualEsp32(VirtualBoard):
    supply_input = SupplyInput(start=2.7, brown_out=2.43)
    """Brown-out detector level 0, 2.43 V (ESP-IDF default)."""

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        loop: asyncio.AbstractEventLoop,
        regions: Mapping[str, Region],
        routes: Mapping[Address, Address],
        *,
        mac: str,
    ) -> None:
        super().__init__(name, "esp32", scheduler, loop, regions, routes)
        self.chip = Esp32Chip(scheduler, scheduler.rng(f"{name}/chip"), self.uart, mac=mac)
        self.chip.boot = self._boot
        self.chip.on_receive_app = self._receive
        self.identity = DeviceIdentity(manufacturer="Virtual Bench", model="ESP32", serial=mac)
        self._application: Application | None = None
        self._modem: Modem | None = None

    @property
    def flash(self) -> Flash:
        return self.chip.flash

    @property
    def cpu(self) -> Cpu:
        return self.chip.cpu

    def reset(self, reason: str) -> None:
        self.chip.reset(reason)

    def _power(self, on: bool) -> None:
        self._stop_software()
        self.chip.power(on)

    def _receive(self, data: bytes) -> None:
        if self._application is not None:
            self._application.receive(data)

    def _stop_software(self) -> None:
        """What ran before is gone; its socket must go too."""
        self._application = None
        if self._modem is not None:
            self._modem.close()
            self._modem = None

    def _boot(self, reason: str) -> Steps:
        self._stop_software()
        running = yield from bootloader.boot(self)
        if running is None:
            return
        self._modem = modem = Modem(
            self, self.loop, self.scheduler.rng(f"{self.name}/link"), WIFI, self.routes
        )
        slots = bootloader.EspOtaSlots(self, running)
        self._application = Application(self, running, slots, modem, self.identity)
        yield from self._application.run()
