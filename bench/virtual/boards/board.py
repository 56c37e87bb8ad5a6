"""What every virtual board has: a supply input with brown-out, a load, a UART, software that boots."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.virtual.boot.slots import UpdateSlots
from bench.virtual.clock import VirtualLoop
from bench.virtual.firmware.application import Application, DeviceIdentity
from bench.virtual.flash import Flash
from bench.virtual.machine import Region, RunningImage
from bench.virtual.power.consumers import Consumers
from bench.virtual.power.draw import Running
from bench.virtual.process import Cpu, Steps
from bench.virtual.radio.modem import Modem, Routes
from bench.virtual.radio.path import RfPath
from bench.virtual.radio.reception import Reception
from bench.virtual.radio.technology import Technology
from bench.virtual.scheduler import Scheduler
from bench.virtual.uart import VirtualUart


@dataclass(frozen=True, slots=True)
class SupplyInput:
    """Volts at which the board comes up, and below which it dies (brown-out reset)."""

    start: float
    brown_out: float


class VirtualBoard(ABC):
    """One board on the virtual bench. It is the `Machine` its bootloader and application run on."""

    supply_input: SupplyInput
    technology: Technology
    """Of its radio, unless the plant says otherwise."""
    identity: DeviceIdentity

    def __init__(
        self,
        name: str,
        kind: str,
        scheduler: Scheduler,
        loop: VirtualLoop,
        regions: Mapping[str, Region],
        routes: Routes,
        path: RfPath,
    ) -> None:
        self.name = name
        self.kind = kind
        self.scheduler = scheduler
        self.loop = loop
        self.regions = regions
        self.routes = routes
        self.rng: random.Random = scheduler.rng(f"{name}/software")
        self.uart = VirtualUart(scheduler, name)
        self.reception = Reception(path, self.technology, scheduler.rng(f"{name}/reception"))
        self.powered = False
        self.on_load_changed: Callable[[], None] = lambda: None
        self.consumers = Consumers(kind, scheduler, lambda: self.on_load_changed())
        self._application: Application | None = None
        self._modem: Modem | None = None

    # ---- the Machine

    @property
    @abstractmethod
    def flash(self) -> Flash: ...

    @property
    @abstractmethod
    def cpu(self) -> Cpu: ...

    @abstractmethod
    def reset(self, reason: str) -> None: ...

    def now(self) -> float:
        return self.scheduler.now

    def print(self, text: str) -> None:
        self.uart.transmit(text.encode("utf-8", "surrogateescape") + b"\r\n")

    def activity(self, name: str) -> None:
        if self.powered:
            if name == "tx":
                self.consumers.tx_power = self.reception.power
            self.consumers.begin(name)

    # ---- the load on a rail

    def set_supply(self, volts: float) -> None:
        """The voltage at the board's input changed."""
        if not self.powered and volts >= self.supply_input.start:
            self.powered = True
            self.consumers.begin("boot")
            self._power(True)
        elif self.powered and volts < self.supply_input.brown_out:
            self.powered = False
            self.consumers.off()
            self._stop_software()
            self._power(False)

    def load(self, volts: float) -> float:
        """Amperes drawn now at `volts`, its bursts averaged."""
        return self.consumers.mean(volts)

    def draws(self, volts: float) -> tuple[Running, ...]:
        """What is drawn now at `volts`, with its bursts."""
        return self.consumers.running(volts)

    # ---- the chip and its software

    @abstractmethod
    def _power(self, on: bool) -> None:
        """Bring the chip up or let it die where it stands."""

    @abstractmethod
    def _load(self) -> Steps:
        """The bootloader; its value is the `RunningImage`, or None when nothing boots."""

    @abstractmethod
    def _slots(self, running: RunningImage) -> UpdateSlots:
        """What the application may do with the update slot."""

    def _boot(self, reason: str) -> Steps:
        """The board's software from reset on: bootloader, then application."""
        self._stop_software()
        running = yield from self._load()
        if running is None:
            return
        rng = self.scheduler.rng(f"{self.name}/link")
        self._modem = modem = Modem(self, self.loop, rng, self.reception, self.routes)
        self._application = Application(
            self, running, self._slots(running), modem, self.identity, reset_reason=reason
        )
        yield from self._application.run()

    def _stop_software(self) -> None:
        """What ran before is gone; its socket must go too, and its radio is off."""
        self._application = None
        if self._modem is not None:
            self._modem.close()
            self._modem = None
        self.activity("radio off")

    def _receive(self, data: bytes) -> None:
        """Serial input while the application runs."""
        if self._application is not None:
            self._application.receive(data)
