"""Flash: what is kept, what is erased, and what is written where."""

from __future__ import annotations

from typing import Any

from bench.virtual.boot.esp32 import EspOtaSlots
from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.defects.defect import Area, Patch
from bench.virtual.firmware.application import Application
from bench.virtual.firmware.settings import Settings
from bench.virtual.firmware.update.machine import UpdateMachine
from bench.virtual.firmware.update.store import PackageStore

STORAGE = Area("storage")
PUSH_OK = ("test_push_succeeds",)


@STORAGE(UpdateMachine, "load", source="zephyr#42584", hints=PUSH_OK)
def update_state_lost_over_a_restart(healthy: Any) -> Any:
    """State and result are back at their first values after every restart."""
    return lambda self: None


@STORAGE(UpdateMachine, "keep", source="own", hints=PUSH_OK)
def update_state_never_written(healthy: Any) -> Any:
    """State and result live in memory only."""

    def keep(self: UpdateMachine) -> Any:
        yield 0.0

    return keep


@STORAGE(Settings, "load", source="own", hints=PUSH_OK)
def settings_wiped_by_the_update(healthy: Any) -> Any:
    """The first start of a new image finds the settings empty."""

    def load(self: Settings) -> None:
        healthy(self)
        if self.values.get("fota", {}).get("state") == 3:
            self.values = {"fota": self.values["fota"]}

    return load


@STORAGE(Settings, "put", source="own", hints=PUSH_OK)
def settings_kept_in_memory(healthy: Any) -> Any:
    """Settings are never written to the flash."""

    def put(self: Settings, key: str, value: Any) -> Any:
        self.values[key] = value
        yield 0.0

    return put


def _no_erase(healthy: Any) -> Any:
    def erase(self: Any, start: int = 0) -> Any:
        yield 0.1

    return erase


@STORAGE(
    McubootSlots,
    "erase",
    source="Anjay-zephyr",
    hints=("test_brownout_during_installation", "test_push_given_up_for_another"),
    also=(Patch(EspOtaSlots, "erase", _no_erase),),
)
def slot_not_erased_before_a_download(healthy: Any) -> Any:
    """A package is written over what the slot holds."""
    return _no_erase(healthy)


@STORAGE(PackageStore, "has_memory", source="own", hints=("test_out_of_memory",))
def memory_not_checked(healthy: Any) -> Any:
    """A download begins although there is no memory for it."""
    return property(lambda self: True)


@STORAGE(PackageStore, "capacity", source="own", hints=("test_package_larger_than_the_slot",))
def size_of_the_slot_not_checked(healthy: Any) -> Any:
    """A package that is larger than the slot is written beyond its end."""
    return property(lambda self: 1 << 30)


@STORAGE(PackageStore, "discard", source="esp-idf#13065", hints=("test_discarded_package_is_gone",))
def discarded_package_left_in_the_slot(healthy: Any) -> Any:
    """A package that was refused, reset or cancelled stays in the slot, whole."""

    def discard(self: PackageStore, length: int) -> Any:
        self.received, self._touched = 0, False
        yield 0.0

    return discard


@STORAGE(PackageStore, "append", source="own", hints=("test_pull_succeeds", "test_push_succeeds"))
def one_write_of_many_dropped(healthy: Any) -> Any:
    """Now and then a block is counted, and not written."""

    def append(self: PackageStore, data: bytes) -> Any:
        if self.received // 65536 != (self.received + len(data)) // 65536:
            self.received += len(data)
        else:
            yield from healthy(self, data)

    return append


@STORAGE(Application, "_save_power", source="own", boards=("nrf9160",), hints=("test_floor_after",))
def power_saving_lost_over_a_restart(healthy: Any) -> Any:
    """Power saving mode is on until the next restart only."""

    def save_power(self: Application, on: bool) -> Any:
        yield from healthy(self, on)
        yield from self._settings.put("psm", False)

    return save_power
