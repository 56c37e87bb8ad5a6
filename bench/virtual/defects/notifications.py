"""Notifications: what observers are told, when, and in which order."""

from __future__ import annotations

from typing import Any

from bench.virtual.defects.defect import Area
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.observe import Observations

NOTIFICATIONS = Area("notifications")
WITHIN = ("test_state_is_observed_within_pmin_and_pmax",)
TOLD = ("test_every_state_is_told",)


@NOTIFICATIONS(Observations, "changed", source="own", hints=TOLD)
def notifications_missing(healthy: Any) -> Any:
    """Observers of State and Update Result hear nothing when they change."""
    return lambda self, path: None if path[0] == 5 else healthy(self, path)


@NOTIFICATIONS(Observations, "changed", source="own", hints=TOLD)
def downloaded_not_notified(healthy: Any) -> Any:
    """Of all states only Downloaded is not told."""

    def changed(self: Observations, path: Any) -> None:
        if path != (5, 0, 3) or self._payload_of(path, None)[1] != b"2":
            healthy(self, path)

    return changed


@NOTIFICATIONS(Observations, "_notify", source="own", hints=TOLD)
def notifications_out_of_order(healthy: Any) -> Any:
    """Sequence numbers count down, so that a newer notification looks older."""

    def notify(self: Observations, observer: Any) -> None:
        observer.sequence = (observer.sequence - 3) & 0xFFFFFF
        healthy(self, observer)

    return notify


@NOTIFICATIONS(Observations, "_notify", source="own", hints=TOLD)
def notifications_one_step_behind(healthy: Any) -> Any:
    """Each notification carries the value before the one that it is sent for."""

    def notify(self: Observations, observer: Any) -> None:
        ask, stale = self._payload_of, observer.last_value
        form, now = ask(observer.path, observer.accept)
        self._payload_of = lambda path, accept: (form, stale)
        try:
            healthy(self, observer)
        finally:
            self._payload_of = ask
        observer.last_value = now

    return notify


@NOTIFICATIONS(Observations, "_arm_pmax", source="Anjay changelog", hints=WITHIN)
def pmax_not_scheduled(healthy: Any) -> Any:
    """Nothing is told again when pmax has passed."""
    return lambda self, observer: None


@NOTIFICATIONS(Observations, "_arm_pmax", source="own", hints=WITHIN)
def pmax_ten_times_too_early(healthy: Any) -> Any:
    """A value is told again after a tenth of pmax, whatever pmin says."""

    def arm(self: Observations, observer: Any) -> None:
        held = self.effective(observer.path)
        if held.pmax:
            if observer.overdue is not None:
                observer.overdue.cancel()
            cpu = self._engine.machine.cpu
            observer.overdue = cpu.after(held.pmax / 10, lambda: self._notify(observer))

    return arm


@NOTIFICATIONS(Observations, "remove", source="Anjay 3.8.1", hints=WITHIN)
def cancelled_observation_goes_on(healthy: Any) -> Any:
    """Neither Reset nor Cancel ends an observation."""
    return lambda self, path, source: None


@NOTIFICATIONS(Observations, "add", source="own", hints=WITHIN)
def observe_answered_and_forgotten(healthy: Any) -> Any:
    """An observation is confirmed, and never kept."""
    return lambda self, path, token, source, accept=None: 1


@NOTIFICATIONS(Observations, "changed", source="own", hints=("test_change_within_pmin",))
def change_within_pmin_forgotten(healthy: Any) -> Any:
    """What changes before pmin is over is not told, then or later."""

    def changed(self: Observations, path: Any) -> None:
        now = self._engine.machine.now()
        held = dict(self._observers)
        for key, observer in held.items():
            if now < observer.last_sent + (self.effective(observer.path).pmin or 0):
                del self._observers[key]
        healthy(self, path)
        self._observers.update(held)

    return changed


@NOTIFICATIONS(Client, "renew", source="own", hints=("test_observation_outlasts_an_update",))
def observations_end_with_an_update(healthy: Any) -> Any:
    """An Update of the registration that was asked for ends every observation."""

    def renew(self: Client, account: Any = None) -> None:
        self.observations.clear()
        healthy(self, account)

    return renew
