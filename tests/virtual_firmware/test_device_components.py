"""Object 33629 on the virtual device: states, who goes with whom, and the supply failing at any moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import aiocoap
import cbor2
import pytest
from firmware_rig import STORAGE, Package, Rig, Server, image

from bench.virtual.component_images import bundle, package
from bench.virtual.firmware.update.component import NRF9160_COMPONENTS
from bench.virtual.firmware.update.component_package import parse
from bench.virtual.firmware.update.component_store import BANK_SIZE
from bench.virtual.firmware.update.components import together

SENSORS, DISPLAY, POSITIONING = "/33629/1", "/33629/2", "/33629/3"
EVERY = {SENSORS: "sensors", DISPLAY: "display", POSITIONING: "positioning"}


@pytest.fixture
def rig(start: Callable[..., Rig]) -> Rig:
    return start(components=NRF9160_COMPONENTS)


def deliver(server: Server, instance: str, data: bytes) -> tuple[int, int]:
    """Push a package; returns where the instance stands when it has been looked at."""
    server.push(data, instance=instance)
    return settled(server, instance)


def settled(server: Server, instance: str) -> tuple[int, int]:
    while (held := server.fota(instance))[0] in (1, 3):
        pass  # each request takes its time
    return held


def refused(server: Server, instance: str, arguments: bytes = b"") -> tuple[int, int]:
    """Execute Update; returns where the instance stands after its refusal."""
    assert execute(server, instance, arguments) == "2.04"
    return settled(server, instance)


def execute(server: Server, instance: str, arguments: bytes = b"") -> str:
    return str(server.request(aiocoap.POST, f"{instance}/2", arguments).code.dotted)


def versions(server: Server) -> list[str]:
    return [server.get(f"{instance}/15").payload.decode() for instance in EVERY]


def links(server: Server, path: str) -> list[str]:
    answer = server.get(path, accept=112)
    return [record["vlo"] for record in cbor2.loads(answer.payload)]


def wait_restart(rig: Rig, since: int) -> None:
    rig.wait_line("lwm2m: registered at", timeout=600, since=since)


def update(rig: Rig, server: Server, instance: str, arguments: bytes = b"") -> None:
    since = len(rig.lines)
    assert execute(server, instance, arguments) == "2.04"
    wait_restart(rig, since)


# ---- the object


def test_instances_are_registered_and_read(rig: Rig, server: Server) -> None:
    assert "</33629/1>,</33629/2>,</33629/3>" in server.registrations[-1].links
    assert [server.get(f"{i}/14").payload.decode() for i in EVERY] == list(EVERY.values())
    assert versions(server) == ["1.0.0"] * 3
    assert {server.fota(i) for i in EVERY} == {(0, 0)}
    assert server.get(f"{SENSORS}/16", accept=11542).payload == bytes([0x80, 16])


def test_a_device_without_components_has_no_such_object(start: Callable[..., Rig], server: Server) -> None:
    start()
    assert "33629" not in server.registrations[-1].links
    assert server.get(f"{SENSORS}/3").code.dotted == "4.04"


def test_links_travel_as_text_and_as_bytes(rig: Rig, server: Server) -> None:
    deliver(server, SENSORS, package("sensors", "2.0.0"))
    deliver(server, DISPLAY, package("display", "2.0.0"))
    assert links(server, f"{SENSORS}/16") == ["33629:2"]
    tlv = server.get(f"{SENSORS}/16", accept=11542).payload
    assert tlv == bytes([0x86, 16, 0x44, 0]) + (33629).to_bytes(2, "big") + b"\0\2"


def test_pull_delivers_too(rig: Rig, server: Server) -> None:
    server.site.add_resource(["fw"], Package(package("display", "2.0.0")))
    uri = f"coap://127.0.0.1:{server.port}/fw".encode()
    assert server.request(aiocoap.PUT, f"{DISPLAY}/1", uri, content_format=0).code.dotted == "2.04"
    assert settled(server, DISPLAY) == (2, 0)
    assert server.get(f"{DISPLAY}/7").payload == b"2.0.0"
    assert server.get(f"{SENSORS}/7").payload == b""


def test_object_5_and_a_component_take_packages_side_by_side(rig: Rig, server: Server) -> None:
    server.push(image())
    assert deliver(server, SENSORS, package("sensors", "2.0.0")) == (2, 0)
    server.wait_fota(2, 0)
    assert execute(server, SENSORS) == "2.04"
    wait_restart(rig, len(rig.lines))
    assert server.fota() == (2, 0)
    assert versions(server) == ["2.0.0", "1.0.0", "1.0.0"]


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (b"\x89PNG" + bytes(2000), 6),
        (package("display", "2.0.0"), 6),
        (package("sensors", "2.0.0", {"heating": "1.0.0"}), 6),
        (bundle([package("display", "2.0.0"), package("positioning", "2.0.0")]), 6),
        (bundle([package("sensors", "2.0.0"), package("heating", "2.0.0")]), 6),
        (package("sensors", "2.0.0")[:-1] + b"\0", 5),
        (package("sensors", "2.0.0")[:-40], 5),
        (package("sensors", "2.0.0") + b"more", 0),
    ],
)
def test_packages_are_judged_before_they_are_downloaded(
    rig: Rig, server: Server, data: bytes, result: int
) -> None:
    assert deliver(server, SENSORS, data) == ((0, result) if result else (2, 0))
    assert execute(server, SENSORS) == ("4.05" if result else "2.04")


def test_too_large_a_package_is_refused_at_once(rig: Rig, server: Server) -> None:
    answer = server.push(package("sensors", "2.0.0", size=BANK_SIZE), instance=SENSORS)
    assert answer.code.dotted == "4.13"
    assert server.fota(SENSORS) == (0, 2)


# ---- Update


def test_update_alone_leaves_the_others(rig: Rig, server: Server) -> None:
    deliver(server, SENSORS, package("sensors", "2.0.0"))
    update(rig, server, SENSORS)
    assert [server.fota(i) for i in EVERY] == [(0, 1), (0, 0), (0, 0)]
    assert versions(server) == ["2.0.0", "1.0.0", "1.0.0"]


def test_banks_take_turns(rig: Rig, server: Server) -> None:
    for version in ("2.0.0", "3.0.0", "4.0.0"):
        assert deliver(server, SENSORS, package("sensors", version)) == (2, 0)
        update(rig, server, SENSORS)
        assert versions(server)[0] == version
    assert [p.version for number in (0, 1) for p in parse(bank(rig, number))] == ["4.0.0", "3.0.0"]


def bank(rig: Rig, number: int) -> bytes:
    return rig.flash.read(STORAGE.offset + number * BANK_SIZE, BANK_SIZE)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (b"", [(0, 1), (0, 1)]),
        (b"1='x'", [(0, 1), (0, 1)]),
        (b"0", [(0, 1), (2, 0)]),
        (b"0=''", [(0, 1), (2, 0)]),
        (b"0='</33629/1>'", [(0, 1), (2, 0)]),
        (b"0='</33629/2>'", [(0, 1), (0, 1)]),
        (b"0='</33629/1>,</33629/2>'", [(0, 1), (0, 1)]),
    ],
)
def test_arguments_say_who_goes_along(
    rig: Rig, server: Server, arguments: bytes, expected: list[tuple[int, int]]
) -> None:
    deliver(server, SENSORS, package("sensors", "2.0.0"))
    deliver(server, DISPLAY, package("display", "2.0.0"))
    update(rig, server, SENSORS, arguments)
    assert [server.fota(SENSORS), server.fota(DISPLAY)] == expected


@pytest.mark.parametrize("arguments", [b"0=</33629/2>", b"0='</5/0>'", b"0='2'", b"x", b"0,", b"0=", b"\xff"])
def test_malformed_arguments_change_nothing(rig: Rig, server: Server, arguments: bytes) -> None:
    deliver(server, SENSORS, package("sensors", "2.0.0"))
    assert execute(server, SENSORS, arguments) == "4.00"
    assert server.fota(SENSORS) == (2, 0)


def test_arguments_as_the_core_specification_writes_them() -> None:
    assert together(b"") is None
    assert together(b"1,2='a,b'") is None
    assert together(b"0") == frozenset()
    assert together(b"1='x',0='</33629/7>,</33629/0>',2") == {7, 0}


@pytest.mark.parametrize("missing", [2, 9])
def test_who_cannot_go_along_is_named(rig: Rig, server: Server, missing: int) -> None:
    deliver(server, SENSORS, package("sensors", "2.0.0"))
    assert refused(server, SENSORS, f"0='</33629/{missing}>'".encode()) == (2, 13)
    assert links(server, f"{SENSORS}/17") == [f"33629:{missing}"]


def test_a_conflict_names_both_and_keeps_both(rig: Rig, server: Server) -> None:
    deliver(server, DISPLAY, package("display", "2.0.0"))
    deliver(server, POSITIONING, package("positioning", "2.0.0"))
    assert links(server, f"{DISPLAY}/17") == ["33629:3"]
    assert refused(server, DISPLAY) == (2, 12)
    assert server.fota(POSITIONING) == (2, 0)
    rig.reset("soft")
    wait_restart(rig, len(rig.lines))
    assert server.fota(DISPLAY) == (2, 12), "the result did not survive a restart"
    assert links(server, f"{DISPLAY}/17") == ["33629:3"]
    assert versions(server) == ["1.0.0"] * 3


def test_a_linked_component_brings_its_conflict_along(rig: Rig, server: Server) -> None:
    for instance, name in EVERY.items():
        deliver(server, instance, package(name, "2.0.0"))
    assert refused(server, SENSORS) == (2, 12)
    update(rig, server, SENSORS, b"0")
    assert [server.fota(i) for i in EVERY] == [(0, 1), (2, 0), (2, 0)]


def test_a_dependency_is_met_by_what_runs_or_goes_along(rig: Rig, server: Server) -> None:
    needy = package("positioning", "2.0.0", {"sensors": "1.10.0"})
    deliver(server, POSITIONING, needy)
    assert refused(server, POSITIONING) == (2, 13)
    assert links(server, f"{POSITIONING}/17") == ["33629:1"]
    deliver(server, SENSORS, package("sensors", "1.9.0"))
    assert refused(server, POSITIONING, b"0='</33629/1>'") == (2, 13), "1.9.0 is before 1.10.0"
    update(rig, server, SENSORS)
    deliver(server, SENSORS, package("sensors", "1.10.0"))
    update(rig, server, POSITIONING, b"0='</33629/1>'")
    assert versions(server) == ["1.10.0", "1.0.0", "2.0.0"]


def test_what_runs_has_dependencies_too(rig: Rig, server: Server) -> None:
    """Positioning 2 needs sensors 2: going back to sensors 1 is refused."""
    deliver(server, SENSORS, package("sensors", "2.0.0"))
    deliver(server, POSITIONING, package("positioning", "2.0.0", {"sensors": "2.0.0"}))
    update(rig, server, POSITIONING, b"0='</33629/1>'")
    deliver(server, SENSORS, package("sensors", "1.5.0"))
    assert refused(server, SENSORS) == (2, 13)


def test_a_bundle_unpacks_into_every_component(rig: Rig, server: Server) -> None:
    both = bundle([package("display", "2.0.0"), package("sensors", "3.0.0")])
    assert deliver(server, SENSORS, both) == (2, 0)
    assert server.fota(DISPLAY) == (2, 0)
    assert [server.get(f"{i}/7").payload for i in (SENSORS, DISPLAY)] == [b"3.0.0", b"2.0.0"]
    update(rig, server, DISPLAY, b"0")
    assert [server.fota(i) for i in (SENSORS, DISPLAY)] == [(2, 0), (0, 1)]
    update(rig, server, SENSORS)
    assert versions(server) == ["3.0.0", "2.0.0", "1.0.0"]


def test_a_bundle_is_refused_where_a_package_is_already(rig: Rig, server: Server) -> None:
    deliver(server, DISPLAY, package("display", "1.5.0"))
    both = bundle([package("sensors", "2.0.0"), package("display", "2.0.0")])
    assert deliver(server, SENSORS, both) == (0, 12)
    assert links(server, f"{SENSORS}/17") == ["33629:2"]
    assert server.get(f"{DISPLAY}/7").payload == b"1.5.0"
    update(rig, server, DISPLAY)
    assert versions(server) == ["1.0.0", "1.5.0", "1.0.0"]


def test_cancel_and_reset_concern_one_component(rig: Rig, server: Server) -> None:
    for instance, name in EVERY.items():
        deliver(server, instance, package(name, "2.0.0"))
    assert server.request(aiocoap.POST, f"{SENSORS}/10").code.dotted == "2.04"
    assert server.request(aiocoap.PUT, f"{DISPLAY}/1", b"", content_format=0).code.dotted == "2.04"
    assert [server.fota(i) for i in EVERY] == [(0, 10), (0, 0), (2, 0)]


def test_a_component_damaged_between_update_and_restart_is_not_installed(rig: Rig, server: Server) -> None:
    deliver(server, SENSORS, package("sensors", "2.0.0"))
    deliver(server, DISPLAY, package("display", "2.0.0"))
    since = len(rig.lines)
    assert execute(server, SENSORS) == "2.04"
    rig.flash.write_now(STORAGE.offset + 2 * BANK_SIZE + 200, bytes(16))
    wait_restart(rig, since)
    assert [server.fota(i) for i in (SENSORS, DISPLAY)] == [(0, 8), (0, 8)], "all of them or none"
    assert versions(server) == ["1.0.0"] * 3


# ---- the supply fails


class Cut:
    """Takes the supply away in the middle of the flash operation with this number."""

    def __init__(self, rig: Rig, number: int) -> None:
        self._rig, self._left = rig, number
        self.struck = False
        rig.flash.on_operation = self._operation

    def _operation(self, kind: str, offset: int, length: int) -> None:
        if self._left == 0:
            seconds = 0.04 if kind == "erase" else length / 4 * 43e-6 / 2
            self._rig.clock.scheduler.after(seconds, self._strike)
        self._left -= 1

    def _strike(self) -> None:
        self.struck = True
        self._rig.power_off()
        self._rig.clock.changed()

    def release(self) -> None:
        self._rig.flash.on_operation = lambda kind, offset, length: None


def start_asking(rig: Rig, request: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
    """A request to a device that may be gone before it answers."""

    async def ask() -> None:
        with contextlib.suppress(aiocoap.error.Error):
            await request

    task = rig.clock.loop.create_task(ask())
    task.add_done_callback(lambda _: rig.clock.changed())
    return task


@pytest.mark.parametrize("number", range(4))
def test_the_supply_may_fail_at_every_flash_operation_of_an_update(
    rig: Rig, server: Server, number: int
) -> None:
    """Old or new, both linked components alike, and the result says which; it can always go on."""
    deliver(server, SENSORS, package("sensors", "2.0.0"))
    deliver(server, DISPLAY, package("display", "2.0.0"))
    cut = Cut(rig, number)
    since = len(rig.lines)
    task = start_asking(rig, server.ask(aiocoap.POST, f"{SENSORS}/2"))
    rig.clock.wait_for(
        lambda: cut.struck or any("lwm2m: registered at" in line for line in rig.lines[since:]),
        timeout=60,
        reason="the supply fails, or the update is over",
    )
    assert cut.struck == (number < 2), "an update writes two records: Updating, and the outcome"
    cut.release()
    rig.clock.wait_for(task.done, timeout=600, reason="the peer notices")
    if cut.struck:
        rig.power_on()
        wait_restart(rig, since)
    states = {server.fota(SENSORS), server.fota(DISPLAY)}
    assert len(states) == 1
    done = states == {(0, 1)}
    assert done or states == {(2, 0)}
    assert versions(server) == ["2.0.0" if done else "1.0.0"] * 2 + ["1.0.0"]
    if not done:
        update(rig, server, SENSORS)
        assert versions(server) == ["2.0.0", "2.0.0", "1.0.0"]


def test_the_supply_may_fail_while_an_update_is_refused(rig: Rig, server: Server) -> None:
    deliver(server, DISPLAY, package("display", "2.0.0"))
    deliver(server, POSITIONING, package("positioning", "2.0.0"))
    assert execute(server, DISPLAY) == "2.04"
    assert server.fota(DISPLAY) == (3, 0)
    rig.power_off()
    since = len(rig.lines)
    rig.power_on()
    wait_restart(rig, since)
    assert server.fota(DISPLAY) == (2, 12)
    assert links(server, f"{DISPLAY}/17") == ["33629:3"]


@pytest.mark.parametrize("number", range(0, 16, 2))
def test_the_supply_may_fail_while_a_bundle_comes_in(rig: Rig, server: Server, number: int) -> None:
    both = bundle([package("sensors", "2.0.0"), package("display", "2.0.0")])
    cut = Cut(rig, number)
    task = start_asking(rig, server._push(both, 6, len(both), 42, False, SENSORS))
    rig.clock.wait_for(
        lambda: cut.struck or task.done(), timeout=600, reason="the supply fails, or the package is there"
    )
    cut.release()
    rig.clock.wait_for(task.done, timeout=600, reason="the peer notices")
    since = len(rig.lines)
    if cut.struck:
        rig.power_on()
        wait_restart(rig, since)
    assert versions(server) == ["1.0.0"] * 3
    for instance in (SENSORS, DISPLAY):
        state, result = settled(server, instance)
        assert (state, result) in ((0, 0), (2, 0))
        if state == 2:
            assert server.get(f"{instance}/7").payload == b"2.0.0", "half a package is Downloaded"
            assert server.request(aiocoap.POST, f"{instance}/10").code.dotted == "2.04"
    assert deliver(server, SENSORS, both) == (2, 0)
    update(rig, server, SENSORS)
    assert versions(server) == ["2.0.0", "2.0.0", "1.0.0"]
