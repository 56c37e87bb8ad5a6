"""Defects thought out from rows of the catalogue that a die had chosen, one a row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from bench.virtual.defects.defect import NRF9160, Area, Patch
from bench.virtual.defects.package_servers import _with
from bench.virtual.firmware import client
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware import data_model as model
from bench.virtual.firmware.application import Application
from bench.virtual.firmware.bootstrap import Bootstrap
from bench.virtual.firmware.coap_engine import CoapEngine, _Exchange
from bench.virtual.firmware.downloads import schemes
from bench.virtual.firmware.downloads.blocks import CoapBlocks
from bench.virtual.firmware.downloads.http import HttpDownload, _part_of
from bench.virtual.firmware.downloads.stream import Broken, Stream
from bench.virtual.firmware.update import components, push
from bench.virtual.firmware.update.component import Component
from bench.virtual.firmware.update.components import ComponentObject, version_key
from bench.virtual.firmware.update.machine import (
    CONFLICT,
    DEFERRED,
    DEPENDENCY,
    DOWNLOADED,
    INITIAL,
    INTEGRITY,
)
from bench.virtual.firmware.update.object5 import RESTART_DELAY, UpdateObject
from bench.virtual.firmware.update.push import PushReceiver
from bench.virtual.firmware.update.reception import Reception
from bench.virtual.process import Signal
from bench.virtual.radio.modem import Modem

UPDATE = Area("rows at random: the update")
FETCHING = Area("rows at random: fetching")
MESSAGES = Area("rows at random: messages and registration")
PARTS = Area("rows at random: components")

LATER = 20.0
"""Seconds."""
A_WHILE = 10.0
"""Seconds in which a deferral is told."""
FACTORY_LIFETIME = 86400
NAME_ROOM = 8
"""Characters of a component's name."""


# ---- the update


@UPDATE(
    UpdateObject,
    "_update_now",
    source="row OMA-5-3-updating",
    hints=("test_updating_begins_with_the_answer",),
)
def update_begins_twenty_seconds_later(healthy: Any) -> Any:
    """Update is answered 2.04, and State becomes Updating twenty seconds after that."""
    return lambda self: self._machine.cpu.after(LATER, lambda: healthy(self))


@UPDATE(
    UpdateObject, "_completed", source="row OMA-5-14-automatic", hints=("test_update_follows_the_download",)
)
def automatic_upgrade_for_push_alone(healthy: Any) -> Any:
    """With Automatic Upgrade a package that was pushed is installed, and one that was fetched waits."""

    def completed(self: UpdateObject) -> None:
        if self.reception._receiver.source is not None:
            healthy(self)

    return completed


@UPDATE(UpdateObject, "_execute_update", source="row OMA-5-5-11", hints=("test_deferred_until_accepted",))
def deferral_told_for_ten_seconds(healthy: Any) -> Any:
    """Result 11 goes back to 0 after ten seconds, and the update stays deferred."""

    def execute(self: UpdateObject, arguments: bytes) -> int:
        def forget() -> None:
            if (self.fota.state, self.fota.result) == (DOWNLOADED, DEFERRED):
                self.fota.become(DOWNLOADED, INITIAL)

        code: int = healthy(self, arguments)
        self._machine.cpu.after(A_WHILE, forget)
        return code

    return execute


def _fails_after_a_restart(healthy: Any) -> Any:
    def install(self: Any) -> Any:
        if getattr(self, "restarted", False):
            yield from self.fota.keep()
            yield RESTART_DELAY
            yield from self._fail()
        else:
            yield from healthy(self)

    return install


@UPDATE(
    UpdateObject,
    "settle",
    source="row OMA-5-2-installs",
    hints=("test_reboot_when_downloaded",),
    also=(Patch(UpdateObject, "_install", _fails_after_a_restart),),
)
def package_not_found_after_a_restart(healthy: Any) -> Any:
    """What was Downloaded before a restart is so afterwards, and its Update fails with result 8."""

    def settle(self: Any) -> Any:
        self.restarted = self.fota.state == DOWNLOADED
        yield from healthy(self)

    return settle


def _at_completion(healthy: Any) -> Any:
    def execute(self: Any, arguments: bytes) -> int:
        written = self._max_defer
        self._max_defer = getattr(self, "defer_at_completion", None)
        code: int = healthy(self, arguments)
        self._max_defer = written
        return code

    return execute


@UPDATE(
    UpdateObject,
    "_completed",
    source="row OMA-5-13-zero",
    hints=("test_deferral_forbidden_at_last",),
    also=(Patch(UpdateObject, "_execute_update", _at_completion),),
)
def defer_period_taken_when_the_package_comes(healthy: Any) -> Any:
    """A Maximum Defer Period counts only where it was written before the package was complete."""

    def completed(self: Any) -> None:
        self.defer_at_completion = self._max_defer
        healthy(self)

    return completed


@UPDATE(PushReceiver, "_refuse", source="row OMA-5-5-2", hints=("test_too_large_and_not_announced",))
def too_large_midway_is_an_integrity_failure(healthy: Any) -> Any:
    """A PUSH without Size1 that runs out of the slot ends with result 5."""

    def refuse(self: PushReceiver, request: Any, code: int, result: int) -> None:
        block = coap.Block.of(request.message, coap.BLOCK1)
        midway = code == coap.TOO_LARGE and block is not None and block.number > 0
        healthy(self, request, code, INTEGRITY if midway else result)

    return refuse


@UPDATE(UpdateObject, "_fail", source="row FOTA-SETTINGS", hints=("test_settings_survive_a_rollback",))
def lifetime_of_the_factory_after_a_failed_update(healthy: Any) -> Any:
    """After a rollback the device registers for a day again, whatever lifetime was set."""

    def fail(self: UpdateObject) -> Any:
        yield from healthy(self)
        settings: Any = self.fota.keeper
        held = settings.values.get("provision")
        if held:
            yield from settings.put("provision", [*held[:3], FACTORY_LIFETIME, *held[4:]])

    return fail


@UPDATE(push, "PUSH_SILENCE", source="row FOTA-PATIENCE", hints=("test_slow_push",))
def pause_of_forty_seconds_ends_a_push(healthy: Any) -> Any:
    """A PUSH is given up after 40 s without a block: MAX_TRANSMIT_SPAN is 45 s."""
    return 40.0


@UPDATE(Reception, "drop", source="row OMA-5-10-cancels", hints=("test_cancel_when_downloaded",))
def cancel_not_kept_over_a_restart(healthy: Any) -> Any:
    """Cancel takes State to Idle until the next restart: then it is Downloaded again, without a package."""

    def drop(self: Any, event: str, result: int | None = None) -> Any:
        kept = self._fota.record()
        yield from healthy(self, event, result)
        if event == "cancelled":
            yield from self._fota.keeper.put(self._fota.name, kept)

    return drop


@UPDATE(
    model, "tlv_instance", source="row OMA-5-3-values", hints=("test_instance_and_resources_say_the_same",)
)
def state_and_result_change_places_in_the_instance(healthy: Any) -> Any:
    """Read of /5/0 as a whole has State and Update Result the wrong way round; each alone is right."""

    def tlv(instance: model.Instance) -> bytes:
        held = instance.resources
        if {2, 3, 5, 8, 9} <= held.keys():
            instance = model.Instance({**held, 3: held[5], 5: held[3]})
        data: bytes = healthy(instance)
        return data

    return tlv


# ---- fetching


@FETCHING(CoapEngine, "_responded", source="row RFC7252-5.4.1-response", hints=())
def critical_options_looked_at_in_acknowledgements_alone(healthy: Any) -> Any:
    """A separate response with a critical option that nobody knows is taken."""

    def responded(self: CoapEngine, message: coap.Message, source: Any) -> None:
        message.options = [
            (number, value)
            for number, value in message.options
            if not coap.Message(0, 0, options=[(number, value)]).unknown_critical
        ]
        healthy(self, message, source)

    return responded


@FETCHING(HttpDownload, "_judge", source="row RFC9110-14.2-ignored", hints=("test_rest_of_another_package",))
def bytes_skipped_in_a_200_of_another_package(healthy: Any) -> Any:
    """Of a 200 that answers Range the bytes that are there are skipped, also where the package is another."""

    def judge(self: Any, status: int, headers: dict[str, str]) -> Any:
        if status != 200 or not self._offset:
            yield from healthy(self, status, headers)
            return
        while len(self._arrived) < self._offset:
            data = yield from self._stream.receive()
            if not data:
                raise Broken("the body is shorter than announced")
            self._arrived += data
        del self._arrived[: self._offset]
        self._left = int(headers["content-length"]) - self._offset
        self._more = False

    return judge


@FETCHING(schemes, "parse", source="row RFC3986-3.4-query", hints=("test_query",))
def query_arguments_without_a_value_dropped(healthy: Any) -> Any:
    """Of ?a=1&b only a=1 is sent."""

    def parse(uri: str, ports: dict[str, int]) -> Any:
        source = healthy(uri, ports)
        if source is None or not source.query:
            return source
        path, _, query = source.target.partition("?")
        kept = "&".join(item for item in query.split("&") if "=" in item)
        return replace(
            source,
            query=tuple(item for item in source.query if "=" in item),
            target=path + (f"?{kept}" if kept else ""),
        )

    return parse


@FETCHING(
    Reception, "_pull", source="row OMA-5-1-fetches", hints=("test_fetched_without_being_asked_for_more",)
)
def download_begins_with_the_next_request(healthy: Any) -> Any:
    """A Package URI is fetched from once the server asks for something else."""

    def pull(self: Any, source: Any, attempt: int) -> Any:
        asked, engine = Signal(), self._means.engine
        before = engine.on_request

        def heard(request: Any) -> None:
            engine.on_request = before
            asked.send()
            before(request)

        engine.on_request = heard
        yield asked
        yield from healthy(self, source, attempt)

    return pull


def _named_by_common_name(healthy: Any) -> Any:
    def shake_hands(self: Any) -> Any:
        yield from healthy(self)
        if self._tls is None:
            return
        shown = x509.load_der_x509_certificate(self._tls.getpeercert(binary_form=True))
        names = {str(name.value) for name in shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
        for extension in shown.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                names |= {str(name.value) for name in extension.value}
        if self.named not in names:
            self.close()
            raise Broken("TLS: another host")

    return shake_hands


def _by_any_name(context: Any, means: Any) -> None:
    context.check_hostname = False


@FETCHING(
    Stream,
    "__init__",
    source="row RFC9110-4.3.4-identity",
    hints=("test_bad_certificate",),
    also=(Patch(Stream, "shake_hands", _named_by_common_name),),
)
def common_name_taken_for_the_host(healthy: Any) -> Any:
    """A certificate of other hosts is good when its subject's common name is the host."""
    made = _with(_by_any_name)(healthy)

    def init(self: Any, means: Any, address: Any, host: str | None = None) -> None:
        self.named = host
        made(self, means, address, host)

    return init


@FETCHING(CoapBlocks, "_taken", source="row RFC7959-4-size", hints=("test_wrong_size_announced",))
def download_ends_at_size2(healthy: Any) -> Any:
    """A download over CoAP is complete with as many bytes as Size2 told, whatever the M bit says."""

    def taken(self: Any, answer: coap.Message) -> bytes:
        size = answer.uint(coap.SIZE2)
        self.expected = getattr(self, "expected", None) if size is None else size
        block: bytes = healthy(self, answer)
        if self.failure is None and self.expected is not None and self._offset >= self.expected:
            self.complete = True
            self._drop()
        return block

    return taken


@FETCHING(
    HttpDownload,
    "_range",
    source="row RFC9110-15.3.7.3-combine",
    hints=("test_rest_of_another_package",),
    also=(
        Patch(
            HttpDownload,
            "_continues",
            lambda healthy: lambda self, headers: _part_of(headers)[0] == self._offset,
        ),
    ),
)
def rest_asked_for_without_a_validator(healthy: Any) -> Any:
    """The rest is asked for by Range alone, and put behind what is there whatever its ETag is."""
    return lambda self: [f"Range: bytes={self._offset}-"] if self._offset else []


# ---- messages and registration


@MESSAGES(
    Application, "_server_instance", source="row OMA-1-8-trigger", hints=("test_trigger_that_comes_again",)
)
def update_trigger_works_once(healthy: Any) -> Any:
    """Registration Update Trigger sends an Update the first time, and then none until the next restart."""

    def server_instance(self: Any) -> Any:
        instance = healthy(self)
        trigger = instance.resources[8].execute
        used: list[bool] = []

        def once(arguments: bytes) -> int:
            if used:
                return coap.CHANGED
            used.append(True)
            return int(trigger(arguments))

        instance.resources[8] = replace(instance.resources[8], execute=once)
        return instance

    return server_instance


@MESSAGES(Modem, "_return", source="row FOTA-REJOIN", hints=())
def network_sought_ten_minutes_later(healthy: Any) -> Any:
    """A modem that has lost the network looks for it again after ten minutes."""

    def back(self: Any) -> Any:
        yield 600.0
        yield from healthy(self)

    return back


@MESSAGES(CoapEngine, "_requested", source="row RFC7252-4.5-once", hints=())
def duplicates_of_non_confirmables_worked_on_again(healthy: Any) -> Any:
    """A non-confirmable request that arrives twice is carried out twice."""

    def requested(self: CoapEngine, message: coap.Message, source: Any) -> None:
        if message.kind == coap.NON:
            self.forget(source, message.mid)
        healthy(self, message, source)

    return requested


@MESSAGES(
    _Exchange, "lane", source="row RFC7641-4.5.1-nstart", hints=("test_notifications_one_after_the_other",)
)
def one_open_notification_for_each_observation(healthy: Any) -> Any:
    """NSTART is kept to by each observation for itself: two of them have two confirmable ones open."""

    def lane(self: _Exchange) -> Any:
        where, asks = healthy.fget(self)
        return where, asks if asks else (asks, self.message.token)

    return property(lane)


@MESSAGES(
    client.Client, "_get", source="row LwM2M-T-6.4.5-cancel", hints=("test_observation_outlasts_a_read",)
)
def plain_read_ends_the_observation(healthy: Any) -> Any:
    """A GET without Observe ends the observation of what it reads, as if it said Observe 1."""

    def get(self: Any, request: Any, path: Any) -> None:
        if request.message.uint(coap.OBSERVE) is None:
            self.observations.remove(path, request.source)
        healthy(self, request, path)

    return get


@MESSAGES(Bootstrap, "_finish", source="row LwM2M-1.0-5.2.2-account", hints=())
def bootstrap_finish_taken_without_an_account(healthy: Any) -> Any:
    """Bootstrap-Finish is answered 2.04 although no usable account was written."""

    def finish(self: Any, request: Any) -> None:
        self._learned = self._server_of_accounts()
        request.respond(coap.CHANGED)
        self._machine.cpu.after(0.0, self._active.send)

    return finish


@MESSAGES(Reception, "resources", source="row OMA-5-9-method", hints=("test_readable_resources",))
def delivery_method_left_at_pull(healthy: Any) -> Any:
    """Delivery Method says pull alone, and packages are pushed all the same."""

    def resources(self: Reception) -> Any:
        return healthy(self) | {9: model.Resource("int", read=lambda: 0)}

    return resources


# ---- components


@PARTS(
    ComponentObject,
    "_refusal",
    source="row OMA-33629-5-13",
    boards=NRF9160,
    hints=("test_a_component_named_by_the_server_is_not_downloaded",),
)
def unmet_dependency_told_as_a_conflict(healthy: Any) -> Any:
    """A package that needs a later version of another component is refused with result 12."""

    def refusal(self: Any, component: Any, along: set[int]) -> tuple[int, list[int]]:
        result, blockers = healthy(self, component, along)
        return (CONFLICT if result == DEPENDENCY else result), blockers

    return refusal


@PARTS(
    ComponentObject,
    "_refusal",
    source="row OMA-33629-5-12",
    boards=NRF9160,
    hints=("test_conflicting_components",),
)
def conflict_seen_from_the_lower_instance_alone(healthy: Any) -> Any:
    """Of two components in conflict the one with the higher number is updated beside the other."""

    def refusal(self: Any, component: Any, along: set[int]) -> tuple[int, list[int]]:
        result, blockers = healthy(self, component, along)
        if result == CONFLICT and all(other < component.instance for other in blockers):
            return INITIAL, []
        return result, blockers

    return refusal


@PARTS(ComponentObject, "_unmet", source="row OMA-33629-2-incompatible", boards=NRF9160, hints=())
def requirements_of_what_is_installed_not_looked_at(healthy: Any) -> Any:
    """Only what a new package requires is looked at, not what the installed ones require of it."""

    def unmet(self: Any, batch: list[Any]) -> set[int]:
        after = {c: c.package() if c in batch else c.running for c in self._components}
        versions = {c: package.version if package else c.version for c, package in after.items()}
        return {
            self._named[name].instance
            for component in batch
            for name, least in after[component].requires.items()
            if version_key(versions[self._named[name]]) < version_key(least)
        }

    return unmet


@PARTS(Component, "resources", source="row OMA-33629-14-name", boards=NRF9160, hints=("test_inventory",))
def component_name_of_eight_characters(healthy: Any) -> Any:
    """Component Name is cut off after eight characters."""

    def resources(self: Component) -> Any:
        return healthy(self) | {14: model.Resource("str", read=lambda: self.kind.name[:NAME_ROOM])}

    return resources


@PARTS(ComponentObject, "_unpack", source="row OMA-33629-3-bundle", boards=NRF9160, hints=())
def third_package_of_a_bundle_left_out(healthy: Any) -> Any:
    """Of a bundle two packages are unpacked, and the others are dropped."""
    return lambda self, component, own, others: healthy(self, component, own, others[:1])


@PARTS(components, "together", source="row OMA-33629-2-chosen", boards=NRF9160, hints=())
def empty_list_of_components_taken_for_none(healthy: Any) -> Any:
    """Argument 0 without a list, this component alone, is taken for no argument: the linked ones go along."""
    return lambda arguments: healthy(arguments) or None
