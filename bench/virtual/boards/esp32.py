"""The virtual ESP32 board: ROM at the serial wire, second-stage bootloader, application, Wi-Fi."""

from __future__ import annotations

from collections.abc import Mapping

from bench.virtual.boards.board import SupplyInput, VirtualBoard
from bench.virtual.boot import esp32 as bootloader
from bench.virtual.boot.slots import UpdateSlots
from bench.virtual.clock import VirtualLoop
from bench.virtual.esp32.chip import Esp32Chip
from bench.virtual.firmware.application import DeviceIdentity
from bench.virtual.firmware.update.machine import Stack
from bench.virtual.flash import Flash
from bench.virtual.machine import Region, RunningImage
from bench.virtual.process import Cpu, Steps
from bench.virtual.radio.modem import Routes
from bench.virtual.radio.path import RfPath
from bench.virtual.radio.technology import WIFI
from bench.virtual.scheduler import Scheduler

REVISION = 300
"""v3.0: the first that knows Secure Boot v2, by which this board's images are signed."""


class VirtualEsp32(VirtualBoard):
    supply_input = SupplyInput(start=2.7, brown_out=2.43)
    """Brown-out detector level 0, 2.43 V (ESP-IDF default)."""

    technology = WIFI

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        loop: VirtualLoop,
        regions: Mapping[str, Region],
        routes: Routes,
        path: RfPath,
        *,
        mac: str,
    ) -> None:
        super().__init__(name, "esp32", scheduler, loop, regions, routes, path)
        self.chip = Esp32Chip(scheduler, scheduler.rng(f"{name}/chip"), self.uart, mac=mac, revision=REVISION)
        self.chip.boot = self._boot
        self.chip.on_receive_app = self._receive
        self.identity = DeviceIdentity(
            manufacturer="Virtual Bench",
            model="ESP32",
            serial=mac,
            stack=Stack(lwm2m="1.2", object5="1.2", resumes=True),
        )

    @property
    def flash(self) -> Flash:
        return self.chip.flash

    @property
    def cpu(self) -> Cpu:
        return self.chip.cpu

    def reset(self, reason: str) -> None:
        self.chip.reset({"watchdog": "TG1WDT_SYS_RESET"}.get(reason, reason))

    def _power(self, on: bool) -> None:
        self.chip.power(on)

    def _load(self) -> Steps:
        return (yield from bootloader.boot(self, REVISION))

    def _slots(self, running: RunningImage) -> UpdateSlots:
        return bootloader.EspOtaSlots(self, running, REVISION)
