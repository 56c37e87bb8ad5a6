"""What stands when an update is over, well or badly: the floor, the heap, the traffic."""

from __future__ import annotations

from typing import Any

from bench.virtual.defects.defect import NRF9160, Area
from bench.virtual.firmware.downloads.schemes import open_download
from bench.virtual.firmware.update.machine import CONNECTION_LOST, DOWNLOADED, IDLE
from bench.virtual.firmware.update.reception import Reception

AFTERWARDS = Area("what stands afterwards")
LEAK = 3072
"""Bytes."""
ASKS_EVERY = 60.0


@AFTERWARDS(
    Reception,
    "_pull",
    source="Anjay changelog",
    boards=NRF9160,
    hints=("test_floor_after_an_update_that[nrf9160-fails_by_pull",),
)
def power_saving_left_off_after_a_failed_pull(healthy: Any) -> Any:
    """Power saving is off for a PULL, and on again only when the package has come."""

    def pull(self: Reception, source: Any, attempt: int) -> Any:
        assert self._means is not None
        modem = self._means.modem
        saved, modem.saves_power = modem.saves_power, False
        yield from healthy(self, source, attempt)
        if self._fota.state == DOWNLOADED:
            modem.saves_power = saved

    return pull


@AFTERWARDS(
    Reception,
    "verify",
    source="own",
    boards=NRF9160,
    hints=("test_floor_after_an_update_that[nrf9160-succeeds_by_pull",),
)
def power_saving_lost_by_a_pulled_update(healthy: Any) -> Any:
    """The image that came by PULL starts with power saving switched off."""

    def verify(self: Reception) -> Any:
        pulled = bool(self.uri)
        yield from healthy(self)
        if pulled and self._fota.state == DOWNLOADED and self._fota.name == "fota":
            yield from self._fota.keeper.put("psm", False)

    return verify


@AFTERWARDS(Reception, "verify", source="own", hints=("test_floor_after_an_update_that[nrf9160-fails",))
def flash_left_powered_after_a_refused_package(healthy: Any) -> Any:
    """After a package was refused the flash stays powered until the next restart."""

    def verify(self: Reception) -> Any:
        yield from healthy(self)
        if self._fota.state == IDLE:
            self._machine.activity("flash")

    return verify


@AFTERWARDS(
    Reception,
    "_pull",
    source="own, after sdk-nrf's endless retries",
    hints=("test_server_that_is_always_busy",),
)
def asks_on_after_a_failed_pull(healthy: Any) -> Any:
    """A PULL that has failed goes on behind the scenes: every minute the server is asked again."""

    def pull(self: Reception, source: Any, attempt: int) -> Any:
        yield from healthy(self, source, attempt)
        assert self._means is not None
        while self._fota.state == IDLE and self._fota.result == CONNECTION_LOST:
            yield ASKS_EVERY
            yield from open_download(self._means, source, self._store.capacity).next_block()

    return pull


@AFTERWARDS(Reception, "_pull", source="own", hints=("test_reset_while_downloading",))
def reset_leaves_the_download_running(healthy: Any) -> Any:
    """After a reset or cancel of a PULL all of the package is fetched behind the scenes, and thrown away."""

    def pull(self: Reception, source: Any, attempt: int) -> Any:
        assert self._means is not None
        yield from healthy(self, source, attempt)
        if attempt != self.attempt and self._fota.state == IDLE and self._fota.result in (0, 10):
            rest = open_download(self._means, source, self._store.capacity)
            while not rest.complete and rest.failure is None:
                yield from rest.next_block()

    return pull
