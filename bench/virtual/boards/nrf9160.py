"""The virtual nRF9160 board: chip at the SWD wire, MCUboot, application, LTE-M modem."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from bench.virtual.boards.board import SupplyInput, VirtualBoard
from bench.virtual.boot import mcuboot
from bench.virtual.firmware.application import Application, DeviceIdentity
from bench.virtual.flash import Flash
from bench.virtual.machine import Region
from bench.virtual.modem import LTE_M, Address, Modem
from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.process import Cpu, Steps
from bench.virtual.scheduler import Scheduler


class VirtualNrf9160(VirtualBoard):
    supply_input = SupplyInput(start=3.0, brown_out=2.8)
    """VDD 3.0-5.5 V (nRF9160 product specification, operating conditions)."""

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        loop: asyncio.AbstractEventLoop,
        regions: Mapping[str, Region],
        routes: Mapping[Address, Address],
        *,
        serial: str,
    ) -> None:
        super().__init__(name, "nrf9160", scheduler, loop, regions, routes)
        self.chip = Nrf91Chip(scheduler, scheduler.rng(f"{name}/chip"), device_id=serial)
        self.chip.boot = self._boot
        self.identity = DeviceIdentity(manufacturer="Virtual Bench", model="nRF9160", serial=serial)
        self._application: Application | None = None
        self._modem: Modem | None = None
        self.uart.on_receive = self._receive

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
        running = yield from mcuboot.boot(self)
        if running is None:
            return
        self._modem = modem = Modem(
            self, self.loop, self.scheduler.rng(f"{self.name}/link"), LTE_M, self.routes
        )
        slots = mcuboot.McubootSlots(self, running)
        self._application = Application(self, running, slots, modem, self.identity)
        yield from self._application.run()
