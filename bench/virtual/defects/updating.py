"""While the device is Updating, Reboot in every state, and what stands after a restart."""

from __future__ import annotations

from typing import Any

from bench.virtual.defects.defect import Area
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.application import Application
from bench.virtual.firmware.update.machine import (
    DOWNLOADED,
    FAILED,
    IDLE,
    INITIAL,
    SUCCESS,
    UPDATING,
    UpdateMachine,
)
from bench.virtual.firmware.update.object5 import DEFAULT_SEVERITY, UpdateObject
from bench.virtual.firmware.update.push import PushReceiver
from bench.virtual.firmware.update.reception import Reception
from bench.virtual.firmware.update.user import User

UPDATING_AND_AFTER = Area("while Updating, and what stands afterwards")
LEAK = 3072
"""Bytes; a receive buffer and its bookkeeping."""


@UPDATING_AND_AFTER(
    UpdateObject,
    "_execute_update",
    source="own",
    hints=("test_while_updating.py::test_asked_while_updating[update",),
)
def second_update_answered_as_done(healthy: Any) -> Any:
    """Update while Updating is answered 2.04, and asks the bootloader once more."""

    def execute_update(self: UpdateObject, arguments: bytes) -> int:
        if self.fota.state == UPDATING:
            self._machine.cpu.spawn(self._install())
            return coap.CHANGED
        return int(healthy(self, arguments))

    return execute_update


@UPDATING_AND_AFTER(
    Reception,
    "_write_uri",
    source="own",
    hints=("test_while_updating.py::test_asked_while_updating[package-uri",),
)
def uri_starts_a_download_while_updating(healthy: Any) -> Any:
    """A URI written while Updating is fetched, over the package that is being installed."""

    def write_uri(self: Reception, uri: str) -> Any:
        if uri and self._fota.state == UPDATING:
            self._fota.become(IDLE, INITIAL)
        return healthy(self, uri)

    return write_uri


@UPDATING_AND_AFTER(
    Reception, "_write_uri", source="own", hints=("test_reset.py::test_reset_while_updating[empty-uri",)
)
def empty_uri_taken_while_updating(healthy: Any) -> Any:
    """An empty URI while Updating takes the state to Idle; the installation goes on."""

    def write_uri(self: Reception, uri: str) -> Any:
        if not uri and self._fota.state == UPDATING:
            self._fota.become(IDLE, INITIAL)
            return coap.CHANGED
        return healthy(self, uri)

    return write_uri


@UPDATING_AND_AFTER(
    PushReceiver, "_reset", source="own", hints=("test_reset.py::test_reset_while_updating[null-package",)
)
def null_package_taken_while_updating(healthy: Any) -> Any:
    """The NULL package while Updating throws away what is being installed."""

    def reset(self: PushReceiver, request: Any) -> None:
        if self._fota.state == UPDATING:
            self._fota.become(DOWNLOADED, INITIAL)
        healthy(self, request)

    return reset


@UPDATING_AND_AFTER(
    PushReceiver,
    "_first_block",
    source="own",
    hints=("test_while_updating.py::test_asked_while_updating[package-",),
)
def package_taken_while_updating(healthy: Any) -> Any:
    """A package that is pushed while Updating is written over the one that is being installed."""

    def first_block(self: PushReceiver, request: Any, block: Any, skip: int) -> None:
        if self._fota.state == UPDATING:
            self._fota.become(IDLE, INITIAL)
        healthy(self, request, block, skip)

    return first_block


@UPDATING_AND_AFTER(Reception, "cancel", source="own", hints=("test_cancel.py::test_cancel_while_updating",))
def cancel_taken_while_updating(healthy: Any) -> Any:
    """Cancel while Updating is answered 2.04 and has no effect: the image is installed."""

    def cancel(self: Reception, arguments: bytes) -> int:
        return coap.CHANGED if self._fota.state == UPDATING else int(healthy(self, arguments))

    return cancel


@UPDATING_AND_AFTER(
    Application, "_reboot", source="own", hints=("test_reboot.py::test_reboot_when_downloaded",)
)
def reboot_installs_what_is_downloaded(healthy: Any) -> Any:
    """Reboot (/3/0/4) when Downloaded installs the package, which nobody asked for."""

    def reboot(self: Application, arguments: bytes) -> int:
        assert self._update is not None
        if self._update.state == DOWNLOADED:
            self._update._update_now()
            return coap.CHANGED
        return int(healthy(self, arguments))

    return reboot


@UPDATING_AND_AFTER(
    Application, "_reboot", source="own", hints=("test_reboot.py::test_reboot_while_downloading",)
)
def reboot_refused_during_an_update(healthy: Any) -> Any:
    """Reboot (/3/0/4) is answered 4.05 whenever the update is not Idle."""

    def reboot(self: Application, arguments: bytes) -> int:
        assert self._update is not None
        return coap.NOT_ALLOWED if self._update.state != IDLE else int(healthy(self, arguments))

    return reboot


@UPDATING_AND_AFTER(Application, "_reboot", source="own", hints=("test_reboot.py::test_reboot_in_idle",))
def reboot_registers_and_does_not_restart(healthy: Any) -> Any:
    """Reboot (/3/0/4) is answered 2.04 and only renews the registration."""

    def reboot(self: Application, arguments: bytes) -> int:
        assert self._client is not None
        self._client.renew()
        return coap.CHANGED

    return reboot


@UPDATING_AND_AFTER(
    UpdateObject, "settle", source="zephyr#42584", hints=("test_reboot.py::test_reboot_when_downloaded",)
)
def downloaded_without_its_package_after_a_restart(healthy: Any) -> Any:
    """A restart when Downloaded erases the package, and the state stays Downloaded."""

    def settle(self: UpdateObject) -> Any:
        if self.fota.state == DOWNLOADED:
            yield from self._store.discard(self.fota.length)
        yield from healthy(self)

    return settle


@UPDATING_AND_AFTER(
    UpdateObject,
    "settle",
    source="mender#116",
    hints=("test_failed_update.py::test_new_image_fails_its_self_test",),
)
def failure_becomes_success_at_the_next_restart(healthy: Any) -> Any:
    """Each start looks whether the image is confirmed, and takes that for a success of the last update."""

    def settle(self: UpdateObject) -> Any:
        if self.fota.state == IDLE and self.fota.result == FAILED and self._slots.confirmed:
            self.fota.become(IDLE, SUCCESS)
            yield from self.fota.keep()
        yield from healthy(self)

    return settle


@UPDATING_AND_AFTER(
    UpdateObject, "settle", source="own", hints=("test_successful_update.py::test_push_succeeds",)
)
def success_becomes_failure_at_the_next_restart(healthy: Any) -> Any:
    """A start that is no trial's is taken for a rollback: result 1 turns into 8."""

    def settle(self: UpdateObject) -> Any:
        if self.fota.state == IDLE and self.fota.result == SUCCESS and self._running.arrival == "normal":
            self.fota.become(IDLE, FAILED)
            yield from self.fota.keep()
        yield from healthy(self)

    return settle


@UPDATING_AND_AFTER(Reception, "drop", source="own", hints=("test_resources.py::test_package_uri_written",))
def package_uri_stands_after_an_empty_one(healthy: Any) -> Any:
    """After an empty URI was written, Package URI still reads as the one before."""

    def drop(self: Reception, event: str, result: int | None = None) -> Any:
        held = self.uri
        for step in healthy(self, event, result):
            self.uri = held
            yield step
        self.uri = held

    return drop


@UPDATING_AND_AFTER(
    UpdateMachine, "become", source="own", hints=("test_resources.py::test_last_state_change_is_told",)
)
def last_change_told_too_late(healthy: Any) -> Any:
    """State changes first, and Last State Change Time with the change after it."""

    def become(self: UpdateMachine, state: int, result: int) -> None:
        before = self.last_change
        due = self.__dict__.get("_due", 0)
        healthy(self, state, result)
        if self.last_change != before:
            self.__dict__["_due"], self.last_change = self.last_change, due

    return become


@UPDATING_AND_AFTER(
    UpdateObject, "_write_severity", source="own", hints=("test_resources.py::test_resources_of_version_1_1",)
)
def severity_zero_taken_for_unset(healthy: Any) -> Any:
    """Severity 0 (critical) is answered 2.04, and reads as the default."""

    def write_severity(self: UpdateObject, value: int) -> int:
        code = int(healthy(self, value))
        self._severity = self._severity or DEFAULT_SEVERITY
        return code

    return write_severity


@UPDATING_AND_AFTER(
    UpdateObject,
    "_write_max_defer",
    source="own",
    hints=("test_resources.py::test_resources_of_version_1_1",),
)
def defer_period_of_eight_bits(healthy: Any) -> Any:
    """Maximum Defer Period is kept in a byte: 300 s are 44 s."""
    return lambda self, value: healthy(self, value if value < 0 else value & 0xFF)


@UPDATING_AND_AFTER(
    Reception, "drop", source="own", hints=("test_deferral.py::test_deferral_ends_with_its_package",)
)
def deferral_outlives_its_package(healthy: Any) -> Any:
    """When a deferred package is cancelled, its period runs on, and installs the next one unasked."""

    def drop(self: Reception, event: str, result: int | None = None) -> Any:
        if event == "cancelled":
            self._dropped = lambda: None
        yield from healthy(self, event, result)

    return drop


@UPDATING_AND_AFTER(User, "accept", source="own", hints=("test_deferral.py::test_deferred_until_accepted",))
def accepted_update_forgotten(healthy: Any) -> Any:
    """What a user who deferred an update says later is not listened to; only the period ends it."""
    return lambda self: healthy(self) if self._limit is not None else None


@UPDATING_AND_AFTER(
    Reception, "drop", source="own", hints=("test_soak.py::test_many_downloads_that_come_to_nothing",)
)
def heap_lost_with_each_failed_download(healthy: Any) -> Any:
    """Each download that fails leaves a buffer of 3 KiB behind; after twenty there is no room for one."""

    def drop(self: Reception, event: str, result: int | None = None) -> Any:
        if event == "download failed":
            self._store._heap.take(LEAK)
        yield from healthy(self, event, result)

    return drop


@UPDATING_AND_AFTER(
    Reception, "drop", source="own", hints=("test_soak.py::test_many_downloads_that_come_to_nothing",)
)
def heap_lost_with_each_cancel(healthy: Any) -> Any:
    """Each download that is cancelled or reset leaves a buffer of 3 KiB behind."""

    def drop(self: Reception, event: str, result: int | None = None) -> Any:
        if event != "download failed" and self._store.received:
            self._store._heap.take(LEAK)
        yield from healthy(self, event, result)

    return drop


@UPDATING_AND_AFTER(
    UpdateObject, "end_trial", source="own", hints=("test_successful_update.py::test_push_succeeds",)
)
def result_of_a_success_not_kept(healthy: Any) -> Any:
    """Success is shown before it is kept, and is not kept: the next restart finds Updating, and fails it."""

    def end_trial(self: UpdateObject) -> Any:
        self.on_trial = False
        yield from self._slots.confirm()
        self.fota.tried = False
        yield from self.fota.keep()
        self.fota.event("succeeded")

    return end_trial
