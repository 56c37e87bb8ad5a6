"""Who the device is, to whom, and how it keeps registered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.virtual.defects.defect import ESP32, NRF9160, Area
from bench.virtual.firmware import application, client
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.application import Application
from bench.virtual.firmware.client import Client
from bench.virtual.process import Signal

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

    def keep_registered(self: Client, account: Any, attempts: Any = None) -> Any:
        exchange, failures = self._exchange, 0

        def counted(message: Any, destination: Any) -> Any:
            nonlocal failures
            if failures >= 3:
                yield 1e9
            answer = yield from exchange(message, destination)
            failures = failures + 1 if answer is None else 0
            return answer

        self._exchange = counted  # type: ignore[method-assign]
        yield from healthy(self, account, attempts)

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

    def keep_registered(self: Client, account: Any, attempts: Any = None) -> Any:
        yield from self._exchange(self._register_message(account), account.server)
        yield 2.0
        yield from healthy(self, account, attempts)

    return keep_registered


@IDENTITY(Application, "_told", source="own", hints=KEPT)
def lifetime_forgotten_by_the_update(healthy: Any) -> Any:
    """The new version registers with a lifetime of its own, not the one it was given."""

    def told(self: Application) -> Any:
        found = healthy(self)
        return replace(found, lifetime=86400) if found is not None and _updated(self) else found

    return told


def _exchange_by_non(self: Client, message: Any, destination: Any) -> Any:
    """As `Client._exchange`, with a message that is not confirmable."""
    answered = Signal()
    engine = self.engine
    engine._token = (engine._token + 1) & 0xFFFFFFFF
    message.token = engine._token.to_bytes(4, "big")
    engine._waiting[destination, message.token] = answered.send
    engine.send(message, destination, coap.NON)
    timer = self.machine.cpu.after(60.0, lambda: answered.send(None))
    answer = yield answered
    timer.cancel()
    return answer


def _updates_by_non(healthy: Any, asleep: bool) -> Any:
    def exchange(self: Client, message: Any, destination: Any) -> Any:
        update = message.code == coap.POST and message.all(coap.URI_PATH) == list(self._location)
        if update and self._told_queue_mode == asleep:
            return (yield from _exchange_by_non(self, message, destination))
        return (yield from healthy(self, message, destination))

    return exchange


@IDENTITY(Client, "_exchange", source="own", hints=("test_operations_are_confirmable",))
def update_not_confirmable(healthy: Any) -> Any:
    """Updates of the registration are non-confirmable messages."""
    return _updates_by_non(healthy, asleep=False)


@IDENTITY(Client, "_exchange", source="own", boards=NRF9160, hints=("test_awake_again",))
def wakes_by_a_message_that_may_be_lost(healthy: Any) -> Any:
    """In Queue Mode Updates of the registration are non-confirmable messages."""
    return _updates_by_non(healthy, asleep=True)


@IDENTITY(Client, "_exchange", source="own", boards=ESP32, hints=("test_new_session",))
def update_in_a_new_session(healthy: Any) -> Any:
    """When the server is silent, a new session is begun, and the Update sent again in it."""

    def exchange(self: Client, message: Any, destination: Any) -> Any:
        answer = yield from healthy(self, message, destination)
        update = message.code == coap.POST and message.all(coap.URI_PATH) == list(self._location)
        if answer is None and update:
            self._link.forget(destination)
            answer = yield from healthy(self, self._at_location(coap.POST), destination)
        return answer

    return exchange


@IDENTITY(Client, "disable", source="own", hints=("test_disable",))
def disable_timeout_ignored(healthy: Any) -> Any:
    """A device that is disabled comes back at once, whatever Disable Timeout says."""
    return lambda self, seconds: healthy(self, 1.0)


@IDENTITY(Client, "_stay_away", source="own", hints=("test_disable",))
def disabled_without_a_word(healthy: Any) -> Any:
    """A device that is disabled falls silent, and does not de-register."""

    def stay_away(self: Client, seconds: float) -> Any:
        self._location = ()
        yield from healthy(self, seconds)

    return stay_away


@IDENTITY(Application, "_provision", source="own", hints=("test_account_is_learned",))
def lifetime_of_the_account_ignored(healthy: Any) -> Any:
    """A device that was bootstrapped registers for a day, whatever lifetime its account has."""

    def provision(self: Application) -> Any:
        found, told = healthy(self), self._told()
        return replace(found, lifetime=86400) if found and told and told.bootstrap else found

    return provision


@IDENTITY(application, "ATTEMPTS", source="own", hints=("test_server_that_refuses_it",))
def bootstrap_server_asked_only_once(healthy: Any) -> Any:
    """A device that was bootstrapped tries the server that it learned for ever."""
    return None


@IDENTITY(Application, "_reset_to_factory", source="own", hints=("test_factory_reset",))
def factory_reset_forgets_everything(healthy: Any) -> Any:
    """Factory Reset erases what the device was provisioned with, its bootstrap server included."""

    def reset(self: Application) -> Any:
        yield from self._settings.put("provision", None)
        yield from healthy(self)

    return reset
