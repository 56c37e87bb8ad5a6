"""The virtual nRF9160 board: chip at the SWD wire, MCUboot or a bootloader of its own, application, modem."""

from __future__ import annotations

from collections.abc import Mapping

from bench.virtual.boards.binary_bootloader import BinaryBootloader
from bench.virtual.boards.board import SupplyInput, VirtualBoard
from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.boot.mcuboot.bootloader import boot
from bench.virtual.boot.mcuboot.options import Options
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
    """`binary` are the options of the bootloader whose machine code is executed; None: the model runs."""

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
        binary: Options | None = None,
    ) -> None:
        super().__init__(name, "nrf9160", scheduler, loop, regions, routes, path)
        self.chip = Nrf91Chip(scheduler, scheduler.rng(f"{name}/chip"), device_id=serial)
        self.chip.boot = self._boot
        self._binary = None if binary is None else BinaryBootloader(self, self.chip, self.uart, binary)
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
        if self._binary is not None:
            self._binary.supply_failed()
        self.chip.power(on)

    def _load(self) -> Steps:
        running = yield from boot(self) if self._binary is None else self._binary.load()
        if running is not None:
            self.chip.core.enter(APPLICATION)
        return running

    def _slots(self, running: RunningImage) -> UpdateSlots:
        return McubootSlots(self, running, None if self._binary is None else self._binary.options)
