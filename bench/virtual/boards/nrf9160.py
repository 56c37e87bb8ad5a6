"""The virtual nRF9160 board: chip at the SWD wire, MCUboot, application, LTE-M modem."""

from __future__ import annotations

from collections.abc import Mapping

from bench.virtual.boards.board import SupplyInput, VirtualBoard
from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.boot.mcuboot.bootloader import boot
from bench.virtual.boot.slots import UpdateSlots
from bench.virtual.clock import VirtualLoop
from bench.virtual.firmware.application import DeviceIdentity
from bench.virtual.firmware.update.component import NRF9160_COMPONENTS
from bench.virtual.flash import Flash
from bench.virtual.machine import Region, RunningImage
from bench.virtual.nrf91.application_state import APPLICATION
from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.process import Cpu, Steps
from bench.virtual.radio.modem import Routes
from bench.virtual.radio.path import RfPath
from bench.virtual.radio.technology import LTE_M
from bench.virtual.scheduler import Scheduler


class VirtualNrf9160(VirtualBoard):
    supply_input = SupplyInput(start=3.0, brown_out=2.8)
    """VDD 3.0-5.5 V (nRF9160 product specification, operating conditions)."""

    technology = LTE_M

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        loop: VirtualLoop,
        regions: Mapping[str, Region],
        routes: Routes,
        path: RfPath,
        *,
        serial: str,
        imei: str = "",
    ) -> None:
        super().__init__(name, "nrf9160", scheduler, loop, regions, routes, path)
        self.chip = Nrf91Chip(scheduler, scheduler.rng(f"{name}/chip"), device_id=serial)
        self.chip.boot = self._boot
        self.identity = DeviceIdentity(
            manufacturer="Virtual Bench",
            model="nRF9160",
            serial=serial,
            components=NRF9160_COMPONENTS,
            imei=imei,
        )
        self.uart.on_receive = self._receive
        self.uart.waits_for_dtr = True

    @property
    def flash(self) -> Flash:
        return self.chip.flash

    @property
    def cpu(self) -> Cpu:
        return self.chip.cpu

    def reset(self, reason: str) -> None:
        self.chip.reset(reason)

    def _power(self, on: bool) -> None:
        self.chip.power(on)

    def _load(self) -> Steps:
        running = yield from boot(self)
        if running is not None:
            self.chip.core.enter(APPLICATION)
        return running

    def _slots(self, running: RunningImage) -> UpdateSlots:
        return McubootSlots(self, running)
