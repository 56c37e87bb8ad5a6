"""The radio, and what the device takes from its battery."""

from __future__ import annotations

from typing import Any

from bench.virtual.defects.defect import NRF9160, Area
from bench.virtual.firmware import application
from bench.virtual.firmware.update.reception import Reception
from bench.virtual.firmware.update.store import PackageStore
from bench.virtual.power.consumers import Consumers
from bench.virtual.radio.modem import Modem
from bench.virtual.radio.reception import Reception as Receiver

RADIO = Area("radio and power")
FLOOR = ("test_floor_after_an_update_that",)


@RADIO(Reception, "drop", source="Anjay changelog", hints=FLOOR)
def stays_awake_after_a_failed_download(healthy: Any) -> Any:
    """After a download that failed or was cancelled the processor never rests again."""

    def drop(self: Reception, event: str, result: int | None = None) -> Any:
        yield from healthy(self, event, result)
        self._machine.activity("flash")

    return drop


@RADIO(Modem, "_sleep", source="own", boards=NRF9160, hints=FLOOR)
def never_sleeps(healthy: Any) -> Any:
    """The modem is told to save power, and does not."""
    return lambda self: None


@RADIO(PackageStore, "append", source="own", boards=NRF9160, hints=("test_energy_of_an_update", "test_floor"))
def flash_left_powered(healthy: Any) -> Any:
    """The flash stays powered from the first block on."""

    def append(self: PackageStore, data: bytes) -> Any:
        yield from healthy(self, data)
        self._machine.activity("flash")

    return append


@RADIO(
    Consumers,
    "begin",
    source="own",
    boards=NRF9160,
    hints=FLOOR,
)
def floor_higher_after_the_second_start(healthy: Any) -> Any:
    """From its second start on the processor keeps its clock running when it rests."""

    def begin(self: Consumers, activity: str) -> None:
        if activity == "boot":
            self.starts = getattr(self, "starts", 0) + 1  # type: ignore[attr-defined]
        late = activity == "idle" and getattr(self, "starts", 0) > 1
        healthy(self, "boot" if late else activity)

    return begin


@RADIO(Modem, "_return", source="zephyr#40107", hints=("test_no_signal_while_updating", "test_signal_lost"))
def service_never_looked_for_again(healthy: Any) -> Any:
    """Once the network is lost, the modem waits to be restarted."""

    def stay(self: Modem) -> Any:
        yield 0.0

    return stay


@RADIO(application, "connectivity", source="own", hints=("test_push_waits_for_the_signal_to_recover",))
def strength_of_the_start_reported(healthy: Any) -> Any:
    """Radio Signal Strength is measured when the device starts, and never again."""

    def connectivity(modem: Modem) -> Any:
        made = healthy(modem)
        strength = made.resources[2].read()
        made.resources[2].read = lambda: strength
        return made

    return connectivity


@RADIO(application, "connectivity", source="sdk-nrf", hints=("test_push_above_the_threshold",))
def strength_without_its_sign(healthy: Any) -> Any:
    """Radio Signal Strength is reported as a positive number."""

    def connectivity(modem: Modem) -> Any:
        made = healthy(modem)
        read = made.resources[2].read
        made.resources[2].read = lambda: abs(read())
        return made

    return connectivity


@RADIO(Receiver, "power", source="own", hints=("test_energy_of_an_update",))
def full_power_always(healthy: Any) -> Any:
    """Everything is sent at full power, however good the signal is."""
    return property(lambda self: self.technology.power_limit)
