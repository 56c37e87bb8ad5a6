"""What version 1.1 of object 5 adds on the virtual device: Cancel, deferral, change time, resumption."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiocoap
import pytest
from firmware_rig import Package, Rig, Server, image

from bench.virtual.firmware.update.machine import Stack

V1_1 = Stack(lwm2m="1.2", object5="1.1", resumes=True)


@pytest.fixture
def rig(start: Callable[..., Rig]) -> Rig:
    return start(stack=V1_1)


def cancel(server: Server) -> str:
    return str(server.request(aiocoap.POST, "/5/0/10").code.dotted)


def execute(server: Server) -> str:
    return str(server.request(aiocoap.POST, "/5/0/2").code.dotted)


def write(server: Server, path: str, text: bytes) -> str:
    return str(server.request(aiocoap.PUT, path, text, content_format=0).code.dotted)


def offer(server: Server, body: bytes) -> Package:
    package = Package(body)
    server.site.add_resource(["fw"], package)
    return package


def pull(server: Server) -> str:
    return write(server, "/5/0/1", f"coap://127.0.0.1:{server.port}/fw".encode())


async def asked(source: Package, blocks: int) -> None:
    while len(source.asked) < blocks:
        await asyncio.sleep(0.05)


def test_registration_tells_both_versions(rig: Rig, server: Server) -> None:
    registered = server.registrations[-1]
    assert registered.query["lwm2m"] == "1.2"
    assert "</5>;ver=1.1" in registered.links


def test_version_1_0_has_none_of_it(start: Callable[..., Rig], server: Server) -> None:
    start()
    assert "ver=" not in server.registrations[-1].links
    assert [server.get(f"/5/0/{n}").code.dotted for n in (11, 12, 13)] == ["4.04"] * 3
    assert cancel(server) == "4.04"


def test_cancel_is_refused_where_there_is_nothing_to_cancel(rig: Rig, server: Server) -> None:
    assert cancel(server) == "4.05"
    assert server.fota() == (0, 0)


def test_cancel_stops_a_pull(rig: Rig, server: Server) -> None:
    source = offer(server, image(size=60_000))
    assert pull(server) == "2.04"
    server.run(asked(source, 20))
    assert cancel(server) == "2.04"
    server.wait_fota(0, 10)
    before = len(source.asked)
    rig.clock.sleep(120, "nothing more is fetched")
    assert len(source.asked) <= before + 1


def test_cancel_forgets_a_downloaded_package(rig: Rig, server: Server) -> None:
    server.push(image())
    server.wait_fota(2, 0)
    assert cancel(server) == "2.04"
    server.wait_fota(0, 10)
    assert execute(server) == "4.05"


def test_cancel_is_too_late_while_updating(rig: Rig, server: Server) -> None:
    server.push(image())
    server.wait_fota(2, 0)
    assert execute(server) == "2.04"
    assert cancel(server) == "4.05"


def test_name_and_version_are_those_of_the_package(rig: Rig, server: Server) -> None:
    assert server.get("/5/0/7").payload == b""
    server.push(image("7.8.9"))
    server.wait_fota(2, 0)
    assert server.get("/5/0/7").payload == b"7.8.9"


def test_change_time_is_that_of_the_last_state(rig: Rig, server: Server) -> None:
    rig.clock.sleep(50, "some time passes")
    server.push(image())
    server.wait_fota(2, 0)
    changed = int(server.get("/5/0/12").payload)
    assert rig.clock.now() - 15 < changed <= rig.clock.now()
    rig.clock.sleep(50, "State stays")
    assert int(server.get("/5/0/12").payload) == changed


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [("/5/0/11", b"2", b"3"), ("/5/0/11", b"0", b"-1"), ("/5/0/13", b"60", b"-1")],
)
def test_written_values_are_kept_or_refused(
    rig: Rig, server: Server, path: str, good: bytes, bad: bytes
) -> None:
    assert write(server, path, good) == "2.04"
    assert write(server, path, bad) == "4.00"
    assert server.get(path).payload == good


def test_user_defers_until_agreeing(rig: Rig, server: Server) -> None:
    rig.type("user defers")
    server.push(image())
    server.wait_fota(2, 0)
    assert execute(server) == "2.04"
    server.wait_fota(2, 11)
    rig.clock.sleep(3600, "nothing happens")
    assert rig.boots == 1
    rig.type("user accepts")
    rig.clock.wait_for(lambda: rig.boots == 2, timeout=60, reason="the restart")
    rig.clock.wait_for(lambda: len(server.registrations) == 2, timeout=60, reason="registration")
    server.wait_fota(0, 1)


def test_deferral_ends_with_its_period(rig: Rig, server: Server) -> None:
    assert write(server, "/5/0/13", b"600") == "2.04"
    rig.type("user defers")
    server.push(image())
    server.wait_fota(2, 0)
    start = rig.clock.now()
    assert execute(server) == "2.04"
    rig.clock.wait_for(lambda: rig.boots == 2, timeout=700, reason="the restart")
    assert 600 <= rig.clock.now() - start < 620


def test_cancel_ends_a_deferral(rig: Rig, server: Server) -> None:
    rig.type("user defers")
    server.push(image())
    server.wait_fota(2, 0)
    execute(server)
    assert cancel(server) == "2.04"
    rig.type("user accepts")
    rig.clock.sleep(60, "nothing to agree to")
    assert rig.boots == 1
    assert server.fota() == (0, 10)


def test_pull_goes_on_after_a_power_cut(rig: Rig, server: Server) -> None:
    """Where it was, within what had been kept; and the slot holds the package whole."""
    body = image(size=100_000)
    source = offer(server, body)
    assert pull(server) == "2.04"
    server.run(asked(source, 100))
    rig.power_off()
    rig.clock.sleep(1, "off")
    before = len(source.asked)
    rig.power_on()
    rig.clock.wait_for(lambda: len(server.registrations) == 2, timeout=60, reason="registration")
    server.wait_fota(2, 0)
    assert rig.slot(len(body)) == body
    again = [offset for offset, _ in source.asked[before:]]
    assert 30_000 < again[0] <= 52_000


def test_pull_starts_over_after_a_power_cut_when_the_package_changed(rig: Rig, server: Server) -> None:
    source = offer(server, image(size=100_000))
    assert pull(server) == "2.04"
    server.run(asked(source, 100))
    rig.power_off()
    rig.clock.sleep(1, "off")
    source.body, source.etag = image("3.0.0", size=90_000), b"v2"
    rig.power_on()
    rig.clock.wait_for(lambda: len(server.registrations) == 2, timeout=60, reason="registration")
    server.wait_fota(2, 0)
    assert rig.slot(90_000) == source.body


def test_without_memory_both_ways_are_result_3(rig: Rig, server: Server) -> None:
    rig.type("heap take")
    offer(server, image())
    assert pull(server) == "2.04"
    server.wait_fota(0, 3)
    assert write(server, "/5/0/1", b"") == "2.04"
    server.wait_fota(0, 0)
    assert server.push(image()).code.dotted == "5.00"
    server.wait_fota(0, 3)
    rig.type("heap free")
    server.push(image())
    server.wait_fota(2, 0)


def test_trial_that_cannot_register_is_given_up(rig: Rig, server: Server) -> None:
    """An image that never reaches its server makes way for the one before."""
    server.push(image())
    server.wait_fota(2, 0)
    assert execute(server) == "2.04"
    rig.clock.wait_for(lambda: rig.boots == 2, timeout=60, reason="the restart")
    server.site.remove_resource(["rd"])
    rig.clock.wait_for(lambda: rig.boots == 3, timeout=1300, reason="the trial to be given up")
    assert rig.running.version == "1.0.0"


def test_automatic_upgrade_of_version_1_2(start: Callable[..., Rig], server: Server) -> None:
    """Resource 14: the update follows the download; in version 1.1 there is none."""
    rig = start(stack=Stack(lwm2m="1.2", object5="1.2", resumes=True))
    assert server.get("/5/0/14").payload == b"0"
    assert write(server, "/5/0/14", b"1") == "2.04"
    server.push(image())
    server.clock.wait_for(lambda: len(server.registrations) == 2, timeout=120, reason="it updates itself")
    assert rig.running.version == "2.0.0"
    server.wait_fota(0, 1)


def test_no_automatic_upgrade_in_version_1_1(rig: Rig, server: Server) -> None:
    assert server.get("/5/0/14").code.dotted == "4.04"
