"""Observations: conditions, formats, how long they last; and Send."""

from __future__ import annotations

from typing import Any

from bench.virtual.defects.defect import Area, Patch
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.coap_engine import Request
from bench.virtual.firmware.observe import Attributes, Observations

OBSERVING = Area("observations, attributes and Send")


@OBSERVING(Observations, "effective", source="own", hints=("test_observe.py::test_change_within_pmin",))
def pmin_kept_and_ignored(healthy: Any) -> Any:
    """pmin is taken, shown by Discover, and delays nothing."""

    def effective(self: Observations, path: Any) -> Attributes:
        held: Attributes = healthy(self, path)
        held.pmin = None
        return held

    return effective


@OBSERVING(
    Observations, "effective", source="own", hints=("test_observe.py::test_attributes_of_an_instance",)
)
def attributes_of_an_instance_not_inherited(healthy: Any) -> Any:
    """Attributes of an object or an instance do not hold for its resources."""
    return lambda self, path: self.attributes.get(path, Attributes())


@OBSERVING(
    Client, "_write_attributes", source="own", hints=("test_observe.py::test_attributes_of_an_instance",)
)
def attributes_never_unset(healthy: Any) -> Any:
    """An attribute without a value, which unsets it, is answered 2.04 and changes nothing."""

    def write_attributes(self: Client, path: Any, query: list[str]) -> int:
        given = [item for item in query if item.partition("=")[2]]
        return int(healthy(self, path, given)) if given else coap.CHANGED

    return write_attributes


@OBSERVING(
    Observations,
    "attributes_changed",
    source="own",
    hints=("test_observe.py::test_attributes_of_an_instance",),
)
def attributes_for_later_observations_alone(healthy: Any) -> Any:
    """pmax that is written while a resource is observed waits for the next change of it."""
    return lambda self, path: None


@OBSERVING(
    Observations,
    "_notify",
    source="own",
    hints=("test_resources.py::test_state_is_observed_within_pmin_and_pmax",),
)
def told_once_after_pmax(healthy: Any) -> Any:
    """When pmax has passed the value is told once, and then no more until it changes."""

    def notify(self: Observations, observer: Any) -> None:
        before = observer.last_value
        healthy(self, observer)
        if observer.last_value == before and observer.overdue is not None:
            observer.overdue.cancel()

    return notify


@OBSERVING(
    Client, "_at_location", source="own", hints=("test_observe.py::test_observation_outlasts_an_update",)
)
def observations_end_with_a_registration_update(healthy: Any) -> Any:
    """Each Update of the registration ends all observations, as Register does."""

    def at_location(self: Client, code: int) -> Any:
        if code == coap.POST:
            self.observations.clear()
        return healthy(self, code)

    return at_location


@OBSERVING(Observations, "remove", source="own", hints=("test_observe.py::test_end_of_another_observation",))
def one_end_ends_every_observation(healthy: Any) -> Any:
    """A Reset or a Cancel for one resource ends the observations of all others too."""

    def remove(self: Observations, path: Any, source: Any) -> None:
        if (source, path) in self._observers:
            for at, other in tuple(self._observers):
                healthy(self, other, at)

    return remove


@OBSERVING(Observations, "add", source="own", hints=("test_observe.py::test_format_of_notifications",))
def notifications_in_a_format_of_their_own(healthy: Any) -> Any:
    """The first answer is in the format that was asked for, notifications are in the client's own."""
    return lambda self, path, token, source, accept=None: healthy(self, path, token, source)


@OBSERVING(Observations, "_notify", source="own", hints=("test_observe.py::test_many_notifications",))
def sequence_of_8_bits(healthy: Any) -> Any:
    """The number of a notification wraps at 256, so that the one after looks older."""

    def notify(self: Observations, observer: Any) -> None:
        if observer.sequence == 0xFF:
            observer.sequence = -1
        healthy(self, observer)

    return notify


@OBSERVING(Observations, "changed", source="own", hints=("test_observe.py::test_observed_instance",))
def instances_observed_in_vain(healthy: Any) -> Any:
    """Whoever observes an instance is told nothing when one of its resources changes."""

    def changed(self: Observations, path: Any) -> None:
        held = self._observers
        self._observers = {key: one for key, one in held.items() if len(one.path) == 3}
        try:
            healthy(self, path)
        finally:
            self._observers = held

    return changed


@OBSERVING(Request, "respond", source="own", hints=("test_coap.py::test_reset_ends_an_observation",))
def observation_not_confirmed(healthy: Any) -> Any:
    """The answer to Observe has no Observe option, though notifications follow."""

    def respond(self: Request, code: int, payload: bytes = b"", options: Any = None) -> None:
        kept = [option for option in options or [] if option[0] != coap.OBSERVE]
        healthy(self, code, payload, kept)

    return respond


def _renewed(healthy: Any) -> Any:
    def add(self: Observations, path: Any, token: bytes, source: Any, accept: Any = None) -> Any:
        before = self._observers.get((source, path))
        sequence = healthy(self, path, token, source, accept)
        self._observers[source, path].__dict__["renewed"] = before is not None and before.token == token
        return sequence

    return add


@OBSERVING(
    Observations,
    "_notify",
    source="own",
    also=(Patch(Observations, "add", _renewed),),
    hints=("test_observe.py::test_observed_once_more",),
)
def second_observe_makes_two(healthy: Any) -> Any:
    """A resource that is observed once more, with the same token, is told twice."""

    def notify(self: Observations, observer: Any) -> None:
        healthy(self, observer)
        if observer.__dict__.get("renewed"):
            healthy(self, observer)

    return notify


@OBSERVING(Client, "report", source="own", hints=("test_reporting.py::test_send_instead_of_notifications",))
def send_without_the_result(healthy: Any) -> Any:
    """Send tells State alone, not the Update Result of the same moment."""
    return lambda self, paths: healthy(self, [path for path in paths if path[2] != 5])
