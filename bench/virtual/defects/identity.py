"""Who the device is, to whom, and how it keeps registered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.virtual.defects.defect import ESP32, Area
from bench.virtual.firmware import client
from bench.virtual.firmware.application import Application
from bench.virtual.firmware.client import Client

IDENTITY = Area("identity and registration")
PUSH_OK = ("test_push_succeeds",)
KEPT = ("test_identity_survives_an_update",)


def _updated(app: Application) -> bool:
    """Whether what runs is not the baseline of the test images."""
    return app._running.version != "1.0.0"


@IDENTITY(Application, "_provision", source="own", hints=PUSH_OK)
def endpoint_changes_with_the_version(healthy: Any) -> Any:
    """The new version registers under an endpoint client name of its own."""

    def provision(self: Application) -> Any:
        found = healthy(self)
        if found is not None and _updated(self):
            return replace(found, endpoint=f"{found.endpoint}-{self._running.version}")
        return found

    return provision


@IDENTITY(Application, "_device_instance", source="own", hints=KEPT)
def serial_number_lost_by_the_update(healthy: Any) -> Any:
    """The new version reports no serial number."""

    def instance(self: Application) -> Any:
        made = healthy(self)
        if _updated(self):
            made.resources[2].read = lambda: ""
        return made

    return instance


@IDENTITY(Application, "_device_instance", source="thingsboard#10191", hints=PUSH_OK)
def version_reported_is_a_constant(healthy: Any) -> Any:
    """Firmware Version is a constant that nobody raised with the release."""

    def instance(self: Application) -> Any:
        made = healthy(self)
        made.resources[3].read = lambda: "1.0.0"
        return made

    return instance


@IDENTITY(Application, "_secure", source="Anjay-zephyr", boards=ESP32, hints=PUSH_OK)
def key_lost_by_the_update(healthy: Any) -> Any:
    """The new version does not find the pre-shared key."""

    def secure(self: Application, told: Any) -> None:
        healthy(self, replace(told, key=b"\0" * 16) if _updated(self) else told)

    return secure


@IDENTITY(
    Client, "keep_registered", source="seen in a running client", hints=("test_link_dies", "test_server_dies")
)
def gives_up_registering(healthy: Any) -> Any:
    """After three failures the client never tries again, and the process lives on."""

    def keep_registered(self: Client, account: Any) -> Any:
        exchange, failures = self._exchange, 0

        def counted(message: Any, destination: Any) -> Any:
            nonlocal failures
            if failures >= 3:
                yield 1e9
            answer = yield from exchange(message, destination)
            failures = failures + 1 if answer is None else 0
            return answer

        self._exchange = counted  # type: ignore[method-assign]
        yield from healthy(self, account)

    return keep_registered


@IDENTITY(
    Client,
    "_renew",
    source="seen in a running client",
    hints=("test_server_dies", "test_registration_expires"),
)
def never_registers_again(healthy: Any) -> Any:
    """When the server has forgotten it, the device goes on sending updates of its old registration."""

    def renew(self: Client, account: Any) -> Any:
        while True:
            yield from healthy(self, account)

    return renew


@IDENTITY(client, "UPDATE_SHARE", source="own", hints=("test_registration_is_kept",))
def registration_renewed_too_late(healthy: Any) -> Any:
    """The registration is renewed when its lifetime has long passed."""
    return 1.5


@IDENTITY(Client, "keep_registered", source="own", hints=("test_registers_once",))
def registers_twice(healthy: Any) -> Any:
    """Each start sends two registrations, one right after the other."""

    def keep_registered(self: Client, account: Any) -> Any:
        yield from self._exchange(self._register_message(account), account.server)
        yield 2.0
        yield from healthy(self, account)

    return keep_registered


@IDENTITY(Application, "_told", source="own", hints=KEPT)
def lifetime_forgotten_by_the_update(healthy: Any) -> Any:
    """The new version registers with a lifetime of its own, not the one it was given."""

    def told(self: Application) -> Any:
        found = healthy(self)
        return replace(found, lifetime=86400) if found is not None and _updated(self) else found

    return told
