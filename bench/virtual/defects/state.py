"""State and result of object 5, and the operations that move them."""

from __future__ import annotations

from typing import Any

from bench.virtual.defects.defect import ESP32, Area
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.update.machine import (
    CANCELLED,
    CONNECTION_LOST,
    DOWNLOADED,
    DOWNLOADING,
    EVENTS,
    FAILED,
    IDLE,
    INITIAL,
    INTEGRITY,
    SUCCESS,
    UPDATING,
    UpdateMachine,
)
from bench.virtual.firmware.update.object5 import UpdateObject
from bench.virtual.firmware.update.push import PushReceiver
from bench.virtual.firmware.update.reception import Reception
from bench.virtual.firmware.update.user import User

STATE = Area("state and result")
PUSH_OK = ("test_push_succeeds",)


def _shown(healthy: Any, number: int, value: Any) -> Any:
    """Reception's resources with another `value(reception)` for one of them."""

    def resources(self: Reception) -> Any:
        found = healthy(self)
        found[number].read = lambda: value(self)
        return found

    return resources


@STATE(EVENTS, "complete", source="zephyr#49460", hints=PUSH_OK)
def success_when_downloaded(healthy: Any) -> Any:
    """Result 1 is set when the download ends."""
    return {DOWNLOADING}, DOWNLOADED, SUCCESS


@STATE(Reception, "resources", source="zephyr#42475", hints=("test_corrupted_image",))
def result_read_as_state(healthy: Any) -> Any:
    """A result other than 0 is reported as the state."""
    return _shown(healthy, 3, lambda self: self._fota.result or self._fota.state)


@STATE(Reception, "resources", source="OMA_LwM2M_for_Developers#174", hints=("test_readable_resources",))
def states_numbered_from_one(healthy: Any) -> Any:
    """States are reported one too high."""
    return _shown(healthy, 3, lambda self: self._fota.state + 1)


@STATE(Reception, "resources", source="seen in a running client", hints=PUSH_OK)
def downloading_not_shown(healthy: Any) -> Any:
    """State stays Idle until the package is complete."""
    return _shown(healthy, 3, lambda self: IDLE if self._fota.state == DOWNLOADING else self._fota.state)


@STATE(Reception, "resources", source="seen in a running client", hints=PUSH_OK)
def updating_not_shown(healthy: Any) -> Any:
    """State stays Downloaded until the restart."""
    return _shown(healthy, 3, lambda self: DOWNLOADED if self._fota.state == UPDATING else self._fota.state)


@STATE(Reception, "resources", source="Anjay changelog", hints=("test_readable_resources",))
def protocol_support_misreported(healthy: Any) -> Any:
    """Protocol Support lists CoAP only, although the device takes every scheme."""
    return _shown(healthy, 8, lambda self: {0: 0})


@STATE(UpdateMachine, "event", source="own", hints=("test_good_update_after_a_failed_one", "test_reset"))
def result_not_cleared(healthy: Any) -> Any:
    """The result of the last update stands while the next one is under way."""

    def event(self: UpdateMachine, name: str, result: int | None = None) -> None:
        if name == "started" and self.state == IDLE:
            self.become(DOWNLOADING, self.result)
        elif name == "complete":
            self.become(DOWNLOADED, self.result)
        else:
            healthy(self, name, result)

    return event


@STATE(EVENTS, "reset", source="own", hints=("test_reset_when_downloaded",))
def reset_keeps_state(healthy: Any) -> Any:
    """The Write that resets is answered 2.04 and clears the result, but Downloaded stays Downloaded."""
    return {IDLE, DOWNLOADING, DOWNLOADED}, DOWNLOADED, INITIAL


@STATE(EVENTS, "reset", source="own", hints=("test_reset_when_downloaded",))
def reset_reported_as_cancelled(healthy: Any) -> Any:
    """A reset leaves result 10, which belongs to Cancel."""
    return {IDLE, DOWNLOADING, DOWNLOADED}, IDLE, CANCELLED


@STATE(Reception, "_write_uri", source="zephyr#28005", hints=("test_reset_in_idle",))
def empty_uri_starts_a_download(healthy: Any) -> Any:
    """An empty URI in Idle starts a transfer, which then fails."""

    def write_uri(self: Reception, uri: str) -> Any:
        if not uri and self._fota.state == IDLE:
            self._machine.cpu.after(0.0, lambda: self._refuse(CONNECTION_LOST))
            return coap.CHANGED
        return healthy(self, uri)

    return write_uri


@STATE(
    Reception, "_write_uri", source="seen in a running client", hints=("test_reset_while_downloading[empty",)
)
def empty_uri_ignored_while_downloading(healthy: Any) -> Any:
    """An empty URI while Downloading is answered 2.04 and has no effect."""

    def write_uri(self: Reception, uri: str) -> Any:
        if not uri and self._fota.state == DOWNLOADING:
            return coap.CHANGED
        return healthy(self, uri)

    return write_uri


@STATE(PushReceiver, "_reset", source="zephyr#45864", hints=("test_reset_when_downloaded[null",))
def null_package_kept(healthy: Any) -> Any:
    """The NULL package does not reset Downloaded, although it is answered 2.04."""

    def reset(self: PushReceiver, request: Any) -> Any:
        if self._fota.state == DOWNLOADED:
            self._answer(request, coap.CHANGED)
        else:
            healthy(self, request)

    return reset


@STATE(PushReceiver, "_reset", source="seen in a running client", hints=("test_package_written",))
def null_package_is_an_image(healthy: Any) -> Any:
    """The NULL package in Idle becomes an image of one byte, Downloaded."""

    def reset(self: PushReceiver, request: Any) -> Any:
        if self._fota.state == IDLE:
            self._answer(request, coap.CHANGED)
            self._fota.event("started")
            self._fota.event("complete")
        else:
            healthy(self, request)

    return reset


@STATE(Reception, "_refuse", source="sdk-nrf#8834", hints=("test_invalid_uri",))
def downloading_after_a_refused_uri(healthy: Any) -> Any:
    """Downloading is set after the URI was found wrong, and wipes the result."""

    def refuse(self: Reception, failure: int) -> None:
        self._fota.become(IDLE, failure)
        self._fota.become(DOWNLOADING, INITIAL)

    return refuse


@STATE(
    UpdateMachine,
    "event",
    source="zephyr#4693",
    hints=("test_server_that_is_always_busy", "test_push_stalls"),
)
def lost_connection_reported_as_failed_update(healthy: Any) -> Any:
    """A download that ends for the server's sake is reported as result 8, not 4."""
    return lambda self, name, result=None: healthy(
        self, name, FAILED if result == CONNECTION_LOST else result
    )


@STATE(UpdateMachine, "event", source="own", hints=("test_package_larger_than_the_slot",))
def every_refusal_is_an_integrity_failure(healthy: Any) -> Any:
    """Whatever is wrong with a package is reported as result 5."""

    def event(self: UpdateMachine, name: str, result: int | None = None) -> None:
        healthy(self, name, INTEGRITY if name == "download failed" and result in (2, 3, 6) else result)

    return event


@STATE(UpdateObject, "_execute_update", source="seen in a running client", hints=("test_update_in_idle",))
def update_accepted_too_early(healthy: Any) -> Any:
    """Update is answered 2.04 although nothing is downloaded, and the device restarts."""

    def execute_update(self: UpdateObject, arguments: bytes) -> Any:
        if self.fota.state != DOWNLOADED:
            self._machine.cpu.after(1.0, lambda: self._machine.reset("soft"))
            return coap.CHANGED
        return healthy(self, arguments)

    return execute_update


@STATE(Client, "_post", source="own", hints=("test_execute_of_an_instance",))
def execute_of_an_instance_taken(healthy: Any) -> Any:
    """Execute of an object instance is answered 2.04, as if there were something to do."""

    def post(self: Client, request: Any, path: Any) -> None:
        if len(path) == 2 and self._exists(path):
            request.respond(coap.CHANGED)
        else:
            healthy(self, request, path)

    return post


@STATE(EVENTS, "failed", source="mender#116", hints=("test_new_image_fails_its_self_test",))
def success_after_a_rollback(healthy: Any) -> Any:
    """Result 1 is reported after the new image was rolled back."""
    return {UPDATING}, IDLE, SUCCESS


@STATE(UpdateObject, "_install", source="seen in a client's source", hints=PUSH_OK)
def success_before_the_restart(healthy: Any) -> Any:
    """Idle with result 1 is reported before the new image has run."""

    def install(self: UpdateObject) -> Any:
        yield from self._slots.request_upgrade()
        self.fota.event("succeeded")
        yield from self.fota.keep()
        yield 10.0
        self._machine.reset("soft")
        yield 0.0

    return install


@STATE(UpdateObject, "end_trial", source="Anjay changelog", hints=PUSH_OK, boards=ESP32)
def upgrade_performed_twice(healthy: Any) -> Any:
    """When the update has succeeded it is asked for once more, which brings the old image back."""

    def end_trial(self: UpdateObject) -> Any:
        self.on_trial = False
        yield from self._slots.confirm()
        yield from self._slots.request_upgrade()
        self.fota.event("succeeded")
        yield from self.fota.keep()

    return end_trial


@STATE(Reception, "_write_uri", source="own", hints=("test_delivery_when_downloaded",))
def uri_replaces_a_downloaded_package(healthy: Any) -> Any:
    """A URI written when Downloaded throws the package away and starts over."""

    def write_uri(self: Reception, uri: str) -> Any:
        if uri and self._fota.state == DOWNLOADED:
            self._fota.become(IDLE, INITIAL)
        return healthy(self, uri)

    return write_uri


@STATE(PushReceiver, "_first_block", source="own", hints=("test_two_deliveries.py",))
def rejected_write_answered_as_done(healthy: Any) -> Any:
    """A package that is not taken, as another one waits to be installed, is answered 2.04."""

    def first_block(self: PushReceiver, request: Any, block: Any, skip: int) -> None:
        if self._fota.state in (DOWNLOADED, UPDATING):
            self._answer(request, coap.CONTINUE if block.more else coap.CHANGED)
        else:
            healthy(self, request, block, skip)

    return first_block


@STATE(PushReceiver, "_first_block", source="Asset-Tracker-Template#483", hints=("test_failed_download.py",))
def stuck_after_a_refused_package(healthy: Any) -> Any:
    """After a package was refused, no other is taken until the next restart."""

    def first_block(self: PushReceiver, request: Any, block: Any, skip: int) -> None:
        if self._fota.result not in (INITIAL, SUCCESS):
            request.respond(coap.NOT_ALLOWED)
        else:
            healthy(self, request, block, skip)

    return first_block


@STATE(EVENTS, "cancelled", source="own", boards=ESP32, hints=("test_cancel.py",))
def cancel_without_its_result(healthy: Any) -> Any:
    """Cancel leaves result 0."""
    return {DOWNLOADING, DOWNLOADED}, IDLE, INITIAL


@STATE(Reception, "cancel", source="own", boards=ESP32, hints=("test_cancel_in_idle",))
def cancel_taken_in_idle(healthy: Any) -> Any:
    """Cancel is answered 2.04 when there is nothing to cancel."""
    return lambda self, arguments: coap.CHANGED if self._fota.state == IDLE else healthy(self, arguments)


@STATE(Reception, "cancel", source="own", boards=ESP32, hints=("test_cancel_while_downloading",))
def cancel_does_not_stop_the_download(healthy: Any) -> Any:
    """Cancel while Downloading is answered 2.04, and the download goes on."""

    def cancel(self: Reception, arguments: bytes) -> Any:
        return coap.CHANGED if self._fota.state == DOWNLOADING else healthy(self, arguments)

    return cancel


@STATE(User, "put_off", source="own", boards=ESP32, hints=("test_deferred_until_the_period_is_over",))
def deferred_for_ever(healthy: Any) -> Any:
    """Maximum Defer Period is kept and ignored: the user may put an update off without end."""
    return lambda self, go_on, longest: healthy(self, go_on, None)


@STATE(UpdateObject, "_write_max_defer", source="own", boards=ESP32, hints=("test_deferral_forbidden",))
def deferral_cannot_be_forbidden(healthy: Any) -> Any:
    """A Maximum Defer Period of 0 is taken for no limit."""
    return lambda self, value: healthy(self, value or 86400)


@STATE(EVENTS, "deferred", source="own", boards=ESP32, hints=("test_deferred_until_accepted",))
def deferral_without_its_result(healthy: Any) -> Any:
    """A deferred update shows result 0 instead of 11."""
    return {DOWNLOADED}, DOWNLOADED, INITIAL


@STATE(UpdateObject, "_write_severity", source="own", boards=ESP32, hints=("test_resources_of_version_1_1",))
def severity_not_checked(healthy: Any) -> Any:
    """Any number is taken for Severity."""

    def write_severity(self: UpdateObject, value: int) -> int:
        self._severity = value
        return coap.CHANGED

    return write_severity


@STATE(UpdateMachine, "become", source="own", boards=ESP32, hints=("test_last_state_change_is_told",))
def last_change_never_moves(healthy: Any) -> Any:
    """Last State Change Time stays where it was."""

    def become(self: UpdateMachine, state: int, result: int) -> None:
        healthy(self, state, result)
        self.last_change = 0

    return become


@STATE(UpdateObject, "_package", source="own", hints=("test_package_written",))
def package_version_not_told(healthy: Any) -> Any:
    """The version of a downloaded package is reported as that of no package."""
    return lambda self: (healthy(self)[0], "0.0.0")


@STATE(UpdateObject, "_completed", source="own", boards=ESP32, hints=("test_update_follows_the_download",))
def automatic_upgrade_without_effect(healthy: Any) -> Any:
    """Automatic Upgrade at Download is kept as written, and the package waits for Update all the same."""
    return lambda self: None
