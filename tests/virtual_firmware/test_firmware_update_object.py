"""Object /5 of the virtual device, driven by aiocoap over real UDP."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import aiocoap
import pytest
from firmware_rig import SLOT, Package, Rig, RigSlots, Server, image

from bench.virtual.radio.technology import LTE_M

IDLE, DOWNLOADING, DOWNLOADED, UPDATING = range(4)


def uri(server: Server, path: str = "/fw") -> bytes:
    return f"coap://127.0.0.1:{server.port}{path}".encode()


def pull(server: Server, text: bytes) -> aiocoap.Message:
    return server.request(aiocoap.PUT, "/5/0/1", text, content_format=0)


def execute(server: Server) -> aiocoap.Message:
    return server.request(aiocoap.POST, "/5/0/2")


def reregister(rig: Rig, server: Server, count: int) -> None:
    rig.clock.wait_for(lambda: len(server.registrations) >= count, timeout=300, reason="re-registration")


@pytest.mark.parametrize("exponent", [2, 5, 6])
def test_push_arrives_in_the_slot_byte_for_byte(rig: Rig, server: Server, exponent: int) -> None:
    package = image(size=5003)
    assert server.push(package, exponent=exponent).code == aiocoap.CHANGED
    server.wait_fota(DOWNLOADED, 0)
    assert rig.slot(len(package)) == package


def test_push_of_exactly_whole_blocks(rig: Rig, server: Server) -> None:
    package = image(size=4096)
    assert server.push(package).code == aiocoap.CHANGED
    server.wait_fota(DOWNLOADED, 0)
    assert rig.slot(4096) == package
    assert rig.writes == [(0, 1024), (1024, 1024), (2048, 1024), (3072, 1024)]


def test_push_without_size1(rig: Rig, server: Server) -> None:
    server.push(image(), size1=None)
    server.wait_fota(DOWNLOADED, 0)


def test_package_in_one_message_without_block1(rig: Rig, server: Server) -> None:
    package = image(size=700)
    response = server.request(aiocoap.PUT, "/5/0/0", package, content_format=42)
    assert response.code == aiocoap.CHANGED
    assert response.opt.block1 is None  # critical option nobody asked for
    server.wait_fota(DOWNLOADED, 0)
    assert rig.slot(700) == package


def test_package_as_tlv_goes_in_without_its_header(rig: Rig, server: Server) -> None:
    package = image(size=3000)
    wrapped = b"\xd0\x00" + len(package).to_bytes(2, "big") + package
    response = server.push(wrapped, content_format=11542)
    if response.code == aiocoap.UNSUPPORTED_CONTENT_FORMAT:
        assert server.fota() == (IDLE, 0)
        return
    assert response.code == aiocoap.CHANGED
    server.wait_fota(DOWNLOADED, 0)
    assert rig.slot(len(package)) == package


def test_package_in_an_unknown_format_is_refused(rig: Rig, server: Server) -> None:
    response = server.push(image(), content_format=50)
    assert response.code == aiocoap.UNSUPPORTED_CONTENT_FORMAT
    assert server.fota() == (IDLE, 0)


@pytest.mark.parametrize("exponent", [4, 5, 6])
def test_pull_arrives_whatever_block_size_the_server_serves(rig: Rig, server: Server, exponent: int) -> None:
    package = image(size=9001)
    source = Package(package)
    source.largest_exponent = exponent
    server.site.add_resource(["fw"], source)
    assert pull(server, uri(server)).code == aiocoap.CHANGED
    server.wait_fota(DOWNLOADED, 0)
    assert rig.slot(len(package)) == package
    assert server.get("/5/0/1").payload == uri(server)


def test_update_cycle_ends_idle_with_result_1(rig: Rig, server: Server) -> None:
    server.push(image("2.0.0"))
    server.wait_fota(DOWNLOADED, 0)
    assert execute(server).code == aiocoap.CHANGED
    reregister(rig, server, 2)
    server.wait_fota(IDLE, 1)
    assert rig.confirmed
    assert server.get("/3/0/3").payload == b"2.0.0"
    assert server.registrations[1].query["ep"] == server.registrations[0].query["ep"]


def test_result_1_is_kept_over_a_power_cycle(rig: Rig, server: Server) -> None:
    server.push(image())
    server.wait_fota(DOWNLOADED, 0)
    execute(server)
    reregister(rig, server, 2)
    server.wait_fota(IDLE, 1)
    rig.power_off()
    rig.power_on()
    reregister(rig, server, 3)
    assert server.fota() == (IDLE, 1)


def test_new_image_is_confirmed_only_once_registered(rig: Rig, server: Server) -> None:
    server.push(image())
    server.wait_fota(DOWNLOADED, 0)
    execute(server)
    since = len(rig.lines)
    rig.wait_line("net: attached", since=since)
    assert not rig.confirmed
    reregister(rig, server, 2)
    server.wait_fota(IDLE, 1)


def test_power_cut_before_the_confirmation_reverts_with_result_8(rig: Rig, server: Server) -> None:
    server.push(image())
    server.wait_fota(DOWNLOADED, 0)
    execute(server)
    rig.wait_line("net: attached", since=len(rig.lines))
    rig.power_off()
    rig.power_on()
    reregister(rig, server, 2)
    assert server.fota() == (IDLE, 8)
    assert server.get("/3/0/3").payload == b"1.0.0"


def test_failed_selftest_reverts_with_result_8(rig: Rig, server: Server) -> None:
    server.push(image())
    server.wait_fota(DOWNLOADED, 0)
    rig.running = replace(rig.running, traits={"selftest": "fail"})
    execute(server)
    rig.wait_line("self-test failed")
    rig.previous = replace(rig.previous, traits={})
    reregister(rig, server, 2)
    assert server.fota() == (IDLE, 8)


def test_image_the_bootloader_refuses_is_result_8(rig: Rig, server: Server) -> None:
    server.push(image(board=b"X"))
    server.wait_fota(DOWNLOADED, 0)
    rig.installs = False
    execute(server)
    reregister(rig, server, 2)
    assert server.fota() == (IDLE, 8)


def test_refused_image_of_the_same_version_is_no_success(rig: Rig, server: Server) -> None:
    server.push(image("1.0.0", board=b"X"))
    server.wait_fota(DOWNLOADED, 0)
    rig.installs = False
    execute(server)
    reregister(rig, server, 2)
    assert server.fota() == (IDLE, 8)


def test_cut_between_confirmation_and_its_record_still_reports_success(rig: Rig, server: Server) -> None:
    server.push(image())
    server.wait_fota(DOWNLOADED, 0)
    execute(server)
    since = len(rig.lines)
    rig.wait_line("net: attached", since=since)
    rig.clock.wait_for(lambda: rig.confirmed, timeout=60, reason="confirmation")
    rig.power_off()
    rig.power_on()
    reregister(rig, server, 3)
    assert server.fota() == (IDLE, 1)


# ---- results of a failed download


def test_announced_size_beyond_the_slot_is_result_2_and_writes_nothing(rig: Rig, server: Server) -> None:
    response = server.push(image(), size1=SLOT.size + 1)
    assert response.code == aiocoap.REQUEST_ENTITY_TOO_LARGE
    server.wait_fota(IDLE, 2)
    assert rig.writes == []


def test_unannounced_package_beyond_the_slot_is_result_2(
    rig: Rig, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RigSlots, "capacity", 4096)
    response = server.push(image(size=5000), size1=None)
    assert response.code == aiocoap.REQUEST_ENTITY_TOO_LARGE
    server.wait_fota(IDLE, 2)
    assert max(offset + size for offset, size in rig.writes) <= 4096


def test_pulled_package_beyond_the_slot_is_result_2(
    rig: Rig, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RigSlots, "capacity", 4096)
    server.site.add_resource(["fw"], Package(image(size=5000)))
    pull(server, uri(server))
    server.wait_fota(IDLE, 2)


def test_silent_server_is_result_4(rig: Rig, server: Server) -> None:
    source = Package(image(size=8000))
    source.answer = lambda offset: (
        aiocoap.Message(code=aiocoap.SERVICE_UNAVAILABLE) if offset > 2000 else None
    )
    server.site.add_resource(["fw"], source)
    pull(server, uri(server))
    server.wait_fota(IDLE, 4, timeout=900)


def test_unreachable_server_is_result_4(rig: Rig, server: Server) -> None:
    pull(server, b"coap://127.0.0.1:9/fw")
    server.wait_fota(IDLE, 4, timeout=1500)


def test_abandoned_push_is_result_4(rig: Rig, server: Server) -> None:
    server.request(
        aiocoap.PUT, "/5/0/0", image()[:1024], content_format=42, block1=(0, True, 6), size1=20_000
    )
    assert server.fota() == (DOWNLOADING, 0)
    server.wait_fota(IDLE, 4, timeout=900)
    late = server.request(aiocoap.PUT, "/5/0/0", b"x" * 1024, content_format=42, block1=(1, True, 6))
    assert late.code == aiocoap.REQUEST_ENTITY_INCOMPLETE


@pytest.mark.parametrize("way", ["push", "pull"])
def test_corrupt_package_is_result_5(rig: Rig, server: Server, way: str) -> None:
    package = bytearray(image())
    package[9000] ^= 1
    if way == "push":
        server.push(bytes(package))
    else:
        server.site.add_resource(["fw"], Package(bytes(package)))
        pull(server, uri(server))
    server.wait_fota(IDLE, 5)
    assert execute(server).code == aiocoap.METHOD_NOT_ALLOWED


def test_package_of_another_type_is_result_6(rig: Rig, server: Server) -> None:
    server.push(b"PK\x03\x04" + bytes(3000))
    server.wait_fota(IDLE, 6)


@pytest.mark.parametrize("bad", [b"nonsense", b"coap://", b"coap://127.0.0.1:99999/fw", b"coap:/fw"])
def test_malformed_uri_is_result_7(rig: Rig, server: Server, bad: bytes) -> None:
    assert pull(server, bad).code == aiocoap.CHANGED
    server.wait_fota(IDLE, 7)


def test_uri_that_is_not_there_is_result_7(rig: Rig, server: Server) -> None:
    pull(server, uri(server, "/nothing"))
    server.wait_fota(IDLE, 7)


@pytest.mark.parametrize("scheme", [b"ftp", b"gopher", b"coaps+tcp", b"coaps"])
def test_scheme_it_does_not_speak_is_result_9(rig: Rig, server: Server, scheme: bytes) -> None:
    """coaps it does speak, but it has not been given a key."""
    pull(server, scheme + b"://127.0.0.1/fw")
    server.wait_fota(IDLE, 9)
    assert server.get("/5/0/8", accept=11542).payload == bytes.fromhex("88 08 0f") + bytes(
        byte for number in range(5) for byte in (0x41, number, number)
    )


# ---- resets and wrong states


@pytest.mark.parametrize("reset", [("/5/0/0", b"\0", 42), ("/5/0/1", b"", 0)])
def test_reset_from_downloaded(rig: Rig, server: Server, reset: tuple[str, bytes, int]) -> None:
    server.push(image())
    server.wait_fota(DOWNLOADED, 0)
    path, payload, form = reset
    assert server.request(aiocoap.PUT, path, payload, content_format=form).code == aiocoap.CHANGED
    assert server.fota() == (IDLE, 0)
    server.run(asyncio.sleep(5))
    assert RigSlots(rig).version() == ""  # nothing left that could boot
    server.push(image("3.0.0"))
    server.wait_fota(DOWNLOADED, 0)


@pytest.mark.parametrize("reset", [("/5/0/0", b"\0", 42), ("/5/0/1", b"", 0)])
def test_reset_clears_a_result_in_idle(rig: Rig, server: Server, reset: tuple[str, bytes, int]) -> None:
    pull(server, b"ftp://127.0.0.1/fw")
    server.wait_fota(IDLE, 9)
    path, payload, form = reset
    server.request(aiocoap.PUT, path, payload, content_format=form)
    assert server.fota() == (IDLE, 0)
    assert rig.writes == []


def test_empty_uri_stops_a_running_pull(rig: Rig, server: Server) -> None:
    source = Package(image(size=100_000))
    server.site.add_resource(["fw"], source)
    pull(server, uri(server))
    server.run(_blocks(source, 20))
    assert server.fota() == (DOWNLOADING, 0)
    assert pull(server, b"").code == aiocoap.CHANGED
    assert server.fota() == (IDLE, 0)
    asked = len(source.asked)
    server.run(asyncio.sleep(30))
    assert len(source.asked) <= asked + 1
    server.push(image())
    server.wait_fota(DOWNLOADED, 0)


async def _blocks(source: Package, count: int) -> None:
    while len(source.asked) < count:
        await asyncio.sleep(0.5)


def test_execute_before_downloaded_changes_nothing(rig: Rig, server: Server) -> None:
    assert execute(server).code == aiocoap.METHOD_NOT_ALLOWED
    assert server.fota() == (IDLE, 0)
    assert rig.boots == 1


def test_package_and_uri_in_downloaded_are_refused(rig: Rig, server: Server) -> None:
    package = image()
    server.push(package)
    server.wait_fota(DOWNLOADED, 0)
    assert server.push(image("9.0.0")).code.class_ == 4
    assert pull(server, uri(server)).code.class_ == 4
    assert server.fota() == (DOWNLOADED, 0)
    assert rig.slot(len(package)) == package


def test_push_during_a_pull_is_refused(rig: Rig, server: Server) -> None:
    package = image(size=60_000)
    source = Package(package)
    server.site.add_resource(["fw"], source)
    pull(server, uri(server))
    server.run(_blocks(source, 5))
    assert server.push(image("9.0.0")).code.class_ == 4
    server.wait_fota(DOWNLOADED, 0)
    assert rig.slot(len(package)) == package


def test_uri_longer_than_255_is_refused_unchanged(rig: Rig, server: Server) -> None:
    assert pull(server, uri(server, "/" + "a" * 255)).code == aiocoap.BAD_REQUEST
    assert server.fota() == (IDLE, 0)


# ---- block-wise rules


def test_gap_is_answered_4_08_and_the_right_block_goes_on(rig: Rig, server: Server) -> None:
    package = image(size=4000)

    def block(number: int, more: bool = True) -> aiocoap.Message:
        part = package[number * 1024 : (number + 1) * 1024]
        return server.request(aiocoap.PUT, "/5/0/0", part, content_format=42, block1=(number, more, 6))

    assert block(0).code == aiocoap.CONTINUE
    assert block(2).code == aiocoap.REQUEST_ENTITY_INCOMPLETE
    assert [block(1).code, block(2).code] == [aiocoap.CONTINUE] * 2
    assert block(3, more=False).code == aiocoap.CHANGED
    server.wait_fota(DOWNLOADED, 0)
    assert rig.slot(4000) == package


def test_repeated_blocks_are_taken_once(rig: Rig, server: Server) -> None:
    """A peer that lost the answer sends the block again, as a new message."""
    package = image(size=4000)
    for number in range(4):
        part, more = package[number * 1024 : (number + 1) * 1024], number < 3
        codes = [
            server.request(aiocoap.PUT, "/5/0/0", part, content_format=42, block1=(number, more, 6)).code
            for _ in range(2)
        ]
        assert codes == [aiocoap.CONTINUE if more else aiocoap.CHANGED] * 2, number
    server.wait_fota(DOWNLOADED, 0)
    assert rig.slot(4000) == package


def test_block_that_is_not_full_is_refused(rig: Rig, server: Server) -> None:
    response = server.request(aiocoap.PUT, "/5/0/0", b"x" * 1000, content_format=42, block1=(0, True, 6))
    assert response.code == aiocoap.BAD_REQUEST
    assert server.fota() == (IDLE, 0)


def test_new_block_0_starts_over(rig: Rig, server: Server) -> None:
    old, new = image("2.0.0", size=4000), image("3.0.0", size=3500)
    for number in range(2):
        part = old[number * 1024 : (number + 1) * 1024]
        server.request(aiocoap.PUT, "/5/0/0", part, content_format=42, block1=(number, True, 6))
    assert server.push(new).code == aiocoap.CHANGED
    server.wait_fota(DOWNLOADED, 0)
    assert rig.slot(len(new)) == new


def test_package_that_changes_during_a_pull_is_fetched_anew(rig: Rig, server: Server) -> None:
    old, new = image("2.0.0", size=20_000), image("3.0.0", size=15_000)
    source = Package(old)
    server.site.add_resource(["fw"], source)
    pull(server, uri(server))
    server.run(_blocks(source, 10))
    source.body, source.etag = new, b"v2"
    server.wait_fota(DOWNLOADED, 0)
    assert rig.slot(len(new)) == new
    assert [offset for offset, _ in source.asked].count(0) == 2


def test_server_that_is_busy_for_a_while_only_delays_a_pull(rig: Rig, server: Server) -> None:
    package = image(size=8000)
    source = Package(package)
    refusals = iter(range(2))
    source.answer = lambda offset: (
        aiocoap.Message(code=aiocoap.SERVICE_UNAVAILABLE)
        if offset == 4096 and next(refusals, None) is not None
        else None
    )
    server.site.add_resource(["fw"], source)
    pull(server, uri(server))
    server.wait_fota(DOWNLOADED, 0)
    assert rig.slot(len(package)) == package
    assert [offset for offset, _ in source.asked].count(4096) == 3
    assert [offset for offset, _ in source.asked].count(0) == 1  # resumed, not restarted


# ---- power


@pytest.mark.parametrize("way", ["push", "pull"])
def test_power_cut_while_downloading_goes_back_to_idle(rig: Rig, server: Server, way: str) -> None:
    package = image(size=30_000)
    if way == "push":
        for number in range(5):
            part = package[number * 1024 : (number + 1) * 1024]
            server.request(aiocoap.PUT, "/5/0/0", part, content_format=42, block1=(number, True, 6))
    else:
        source = Package(package)
        server.site.add_resource(["fw"], source)
        pull(server, uri(server))
        server.run(_blocks(source, 10))
    assert server.fota() == (DOWNLOADING, 0)
    rig.power_off()
    rig.power_on()
    reregister(rig, server, 2)
    assert server.fota() == (IDLE, 0)
    assert server.push(package).code == aiocoap.CHANGED
    server.wait_fota(DOWNLOADED, 0)
    assert rig.slot(len(package)) == package


def test_downloaded_survives_a_power_cycle(rig: Rig, server: Server) -> None:
    server.push(image())
    server.wait_fota(DOWNLOADED, 0)
    rig.power_off()
    rig.power_on()
    reregister(rig, server, 2)
    assert server.fota() == (DOWNLOADED, 0)
    assert execute(server).code == aiocoap.CHANGED
    reregister(rig, server, 3)
    server.wait_fota(IDLE, 1)


# ---- bad links, and cost


@pytest.mark.parametrize("way", ["push", "pull"])
def test_transfer_completes_over_a_link_that_loses_a_fifth(start, server: Server, way: str) -> None:
    rig = start(replace(LTE_M, interference=0.2))
    package = image(size=25_000)
    if way == "push":
        assert server.push(package, persistent=True).code == aiocoap.CHANGED
    else:
        server.site.add_resource(["fw"], Package(package))
        pull_answer = server.run(
            server.ask(aiocoap.PUT, "/5/0/1", uri(server), content_format=0), timeout=300
        )
        assert pull_answer.code == aiocoap.CHANGED
    rig.wait_line("fota: state 2 result 0", timeout=3600)
    assert rig.slot(len(package)) == package


@pytest.mark.parametrize("way", ["push", "pull"])
def test_blocks_cost_one_round_trip_each(rig: Rig, server: Server, way: str) -> None:
    """150 kB in simulated time: no hidden waits between blocks."""
    package = image(size=150_000)
    begun, wall = rig.now(), time.perf_counter()
    if way == "push":
        server.push(package)
        blocks = 147
    else:
        server.site.add_resource(["fw"], Package(package))
        pull(server, uri(server))
        blocks = 293
    rig.wait_line("fota: state 2 result 0", timeout=600)
    erase = SLOT.size // 4096 * 0.087
    assert rig.now() - begun < erase + 5 + blocks * 0.2
    print(f"{way}: {time.perf_counter() - wall:.2f} s wall, {rig.now() - begun:.0f} s simulated")
