"""What stacks do otherwise than most, and a board file may declare: wrong only where it does not say so."""

from __future__ import annotations

from typing import Any

from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.boot.mcuboot.area import SECTOR
from bench.virtual.boot.mcuboot.swap_loader import SwapLoader, is_there
from bench.virtual.defects.defect import ESP32, NRF9160, Area, Patch
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.application import Application
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.downloads.schemes import UnsupportedScheme
from bench.virtual.firmware.update import reception
from bench.virtual.firmware.update.machine import (
    DOWNLOADED,
    DOWNLOADING,
    EVENTS,
    FAILED,
    INTEGRITY,
    UNSUPPORTED,
    UPDATING,
)
from bench.virtual.firmware.update.push import PushReceiver
from bench.virtual.firmware.update.reception import Reception

DEPARTURES = Area("departures that a board file may declare")
COMPONENT_INSTANCE = 9
SMALL_BLOCK = 64


def _told(healthy: Any, number: int, value: Any) -> Any:
    """Reception's resources with another value for one of them."""

    def resources(self: Reception) -> Any:
        found = healthy(self)
        found[number].read = lambda: value
        return found

    return resources


@DEPARTURES(
    Reception,
    "_write_uri",
    source="OMA object 5, resource 9",
    hints=("test_pull_succeeds",),
    also=(Patch(Reception, "resources", lambda healthy: _told(healthy, 9, 1)),),
)
def push_only(healthy: Any) -> Any:
    """Packages are taken by PUSH alone: no URI is."""
    return lambda self, uri: coap.NOT_ALLOWED


@DEPARTURES(
    PushReceiver,
    "write_package",
    source="OMA object 5, resource 9",
    hints=("test_push_succeeds",),
    also=(Patch(Reception, "resources", lambda healthy: _told(healthy, 9, 0)),),
)
def pull_only(healthy: Any) -> Any:
    """Packages are fetched alone: nothing can be written to Package."""
    return lambda self, request: request.respond(coap.NOT_ALLOWED)


@DEPARTURES(PushReceiver, "write_package", source="seen in a running client", hints=("test_push_succeeds",))
def small_blocks_alone(healthy: Any) -> Any:
    """Blocks of more than 64 bytes are answered 4.13, and nothing says which size would do."""

    def write_package(self: PushReceiver, request: Any) -> None:
        if len(request.message.payload) > SMALL_BLOCK:
            request.respond(coap.TOO_LARGE)
        else:
            healthy(self, request)

    return write_package


@DEPARTURES(
    reception,
    "understand",
    source="OMA object 5, resource 8",
    hints=("test_pull_succeeds",),
    also=(Patch(Reception, "resources", lambda healthy: _told(healthy, 8, {0: 0})),),
)
def fetches_over_coap_alone(healthy: Any) -> Any:
    """Package URIs of any scheme but coap are refused with result 9, as Protocol Support says."""

    def understand(uri: str, has_credentials: bool) -> Any:
        if uri.partition(":")[0] != "coap":
            raise UnsupportedScheme
        return healthy(uri, has_credentials)

    return understand


@DEPARTURES(
    Reception,
    "_write_uri",
    source="seen in a running client",
    hints=("test_reset_while_downloading",),
    also=(
        Patch(
            PushReceiver,
            "_reset",
            lambda healthy: (
                lambda self, request: (
                    request.respond(coap.NOT_ALLOWED)
                    if self._fota.state == DOWNLOADING
                    else healthy(self, request)
                )
            ),
        ),
    ),
)
def reset_refused_while_downloading(healthy: Any) -> Any:
    """An empty URI and the NULL package are refused while Downloading, and nothing changes."""

    def write_uri(self: Reception, uri: str) -> Any:
        if not uri and self._fota.state == DOWNLOADING:
            return coap.NOT_ALLOWED
        return healthy(self, uri)

    return write_uri


@DEPARTURES(Reception, "cancel", source="own", boards=ESP32, hints=("test_cancel_when_downloaded",))
def cancel_refused_when_downloaded(healthy: Any) -> Any:
    """Cancel stops a download, and is refused once the package is complete."""

    def cancel(self: Reception, arguments: bytes) -> Any:
        return coap.NOT_ALLOWED if self._fota.state == DOWNLOADED else healthy(self, arguments)

    return cancel


@DEPARTURES(EVENTS, "failed", source="OMA object 5 v1.0, state 3", hints=("test_image_for_another_board",))
def failed_update_leads_to_downloaded(healthy: Any) -> Any:
    """A failed installation ends in Downloaded, not in Idle."""
    return {UPDATING}, DOWNLOADED, FAILED


@DEPARTURES(Reception, "verify", source="seen in a running client", hints=("test_corrupted_image",))
def failed_download_keeps_state(healthy: Any) -> Any:
    """A package that is refused leaves Downloading, with its result, until somebody resets the object."""

    def verify(self: Reception) -> Any:
        attempt = self.attempt
        failure = yield from self._judge()
        if failure not in (INTEGRITY, UNSUPPORTED):
            yield from healthy(self)
        elif attempt == self.attempt:
            self.attempt += 1
            self._receiver.forget()
            self._fota.become(DOWNLOADING, failure)
            yield from self._fota.keep()

    return verify


def _moved(path: Any) -> Any:
    return (33629, COMPONENT_INSTANCE, *path[2:]) if path[:2] == (5, 0) else path


def _told_elsewhere(healthy: Any) -> Any:
    return lambda self, path: healthy(self, _moved(path))


@DEPARTURES(
    Client,
    "__init__",
    source="OMA object 33629",
    hints=("test_readable_resources",),
    also=(Patch(Application, "_resource_changed", _told_elsewhere),),
)
def application_in_33629(healthy: Any) -> Any:
    """The application is an instance of object 33629; there is no object 5."""

    def init(self: Client, machine: Any, link: Any, rng: Any, tree: Any, stack: Any, writers: Any) -> None:
        components = tree.setdefault(33629, {})
        application = tree.pop(5)[0]
        application.resources.pop(14, None)  # a switch there, and the component's name here
        components[COMPONENT_INSTANCE] = application
        moved = {_moved(path): writer for path, writer in writers.items()}
        healthy(self, machine, link, rng, tree, stack, moved)

    return init


@DEPARTURES(
    SwapLoader,
    "_primary_is_good",
    source="MCUboot without MCUBOOT_VALIDATE_PRIMARY_SLOT",
    boards=NRF9160,
    hints=("test_hostile_image_in_the_primary_slot_does_not_run",),
)
def primary_slot_not_validated(healthy: Any) -> Any:
    """What is in the primary slot is started without another look."""

    def primary_is_good(self: SwapLoader) -> Any:
        yield 0.0
        return is_there(self._boot)

    return primary_is_good


@DEPARTURES(
    McubootSlots,
    "capacity",
    source="Zephyr's flash_img, which takes a whole slot",
    boards=NRF9160,
    hints=("test_hostile_image_is_refused[nrf9160-leftover-trailer",),
)
def package_may_fill_the_slot(healthy: Any) -> Any:
    """A package may reach into the trailer at the end of its slot."""
    return property(lambda self: self._other.sectors * SECTOR)
