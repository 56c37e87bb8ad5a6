"""Registration, device management and notifications of the virtual device, with aiocoap as the server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import aiocoap
import cbor2
import pytest
from firmware_rig import ENDPOINT, Rig, Server

from bench.virtual.radio.technology import LTE_M

TLV, SENML_CBOR, LINKS = 11542, 112, 40


def observe(server: Server, path: str, **options: object) -> tuple[aiocoap.Message, list]:
    """Start an observation; returns its first response and a growing list of (time, message)."""
    heard: list[tuple[float, aiocoap.Message]] = []

    async def listen(observation: aiocoap.protocol.ClientObservation) -> None:
        async for notification in observation:
            heard.append((server.clock.now(), notification))

    async def begin() -> aiocoap.Message:
        message = aiocoap.Message(code=aiocoap.GET, observe=0)
        message.set_request_uri(f"coap://127.0.0.1:{server.registrations[-1].port}{path}")
        for name, value in options.items():
            setattr(message.opt, name, value)
        request = server.context.request(message, handle_blockwise=False)
        first = await request.response
        server.keep.append(asyncio.ensure_future(listen(request.observation)))
        return first

    return server.run(begin()), heard


# ---- registration


def test_registers_with_all_a_server_needs(rig: Rig, server: Server) -> None:
    (registration,) = server.registrations
    assert registration.query == {"ep": ENDPOINT, "lt": "300", "lwm2m": "1.1", "b": "U"}
    links = registration.links.split(",")
    assert links[0].startswith('</>;rt="oma.lwm2m";ct=')
    assert links[1:] == ["</1/0>", "</3/0>", "</4/0>", "</5/0>"]  # never the Security object
    assert registration.port == rig.port


def test_updates_before_the_lifetime_ends(start, server: Server) -> None:
    start(lifetime=60)
    server.run(asyncio.sleep(200))
    times = [server.registrations[0].time, *(time for time, _ in server.updates)]
    assert len(times) >= 4
    assert all(after - before < 60 for before, after in pairwise(times))
    assert len(server.registrations) == 1


def test_registers_again_when_the_server_forgot_it(start, server: Server) -> None:
    rig = start(lifetime=60)
    server.known = False
    server.clock.wait_for(lambda: len(server.registrations) == 2, timeout=120, reason="registration")
    assert server.get("/3/0/3").payload == rig.running.version.encode()


def test_written_lifetime_is_told_in_an_update(rig: Rig, server: Server) -> None:
    assert server.request(aiocoap.PUT, "/1/0/1", b"120", content_format=0).code == aiocoap.CHANGED
    server.clock.wait_for(lambda: server.updates, timeout=5, reason="update")
    assert server.updates[0][1]["lt"] == "120"
    server.run(asyncio.sleep(240))
    assert len(server.updates) >= 3


def test_registration_update_trigger(rig: Rig, server: Server) -> None:
    assert server.request(aiocoap.POST, "/1/0/8").code == aiocoap.CHANGED
    server.clock.wait_for(lambda: server.updates, timeout=5, reason="update")


def test_provisioning_anew_deregisters_and_registers_without_a_reboot(rig: Rig, server: Server) -> None:
    rig.type(f"provision server=coap://127.0.0.1:{server.port} endpoint=other lifetime=100")
    server.clock.wait_for(lambda: len(server.registrations) == 2, timeout=30, reason="registration")
    assert server.registrations[1].query["ep"] == "other"
    assert len(server.gone) == 1
    assert rig.boots == 1


def test_server_that_is_down_at_first_is_tried_again(clock, server: Server) -> None:
    rig = Rig(clock)
    rig.power_on()
    rig.wait_line("not provisioned")
    rig.type("provision server=coap://127.0.0.1:9 endpoint=x lifetime=60")
    rig.wait_line("registration failed", timeout=200)
    rig.type(f"provision server=coap://127.0.0.1:{server.port} endpoint=x lifetime=60")
    server.clock.wait_for(lambda: server.registrations, timeout=400, reason="registration")
    rig.power_off()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("provision server=http://127.0.0.1:1 endpoint=x lifetime=60", "server"),
        ("provision server=coap://127.0.0.1:99999 endpoint=x lifetime=60", "ort"),
        ("provision server=coap://127.0.0.1:5683 lifetime=60", "endpoint"),
        ("provision server=coap://127.0.0.1:5683 endpoint=x lifetime=never", "lifetime"),
        ("provision server=coap://127.0.0.1:5683 endpoint=x lifetime=²", "lifetime"),
        ("provision", "server"),
    ],
)
def test_bad_provisioning_says_why_and_changes_nothing(clock, line: str, why: str) -> None:
    rig = Rig(clock)
    rig.power_on()
    rig.wait_line("not provisioned")
    rig.type(line)
    rig.wait_line("provision: error", timeout=5)
    assert why in rig.lines[-1]
    rig.power_off()
    rig.power_on()
    rig.wait_line("not provisioned", since=len(rig.lines))
    rig.power_off()


def test_shell_answers(rig: Rig) -> None:
    since = len(rig.lines)
    rig.type("version")
    rig.type("status")
    rig.type("nonsense")
    rig.type("reboot")
    rig.wait_line("registered at", since=since)
    assert "version: 1.0.0" in rig.lines[since]
    assert rig.lines[since + 1].startswith("status:")
    assert "nonsense" in rig.lines[since + 2]
    assert rig.boots == 2


# ---- read


def test_reads_values_as_text(rig: Rig, server: Server) -> None:
    expected = {
        "/3/0/0": b"Rig Works",
        "/3/0/1": b"nRF9160",
        "/3/0/2": b"SN1",
        "/3/0/3": b"1.0.0",
        "/3/0/16": b"U",
        "/1/0/1": b"300",
        "/4/0/2": b"-80",
        "/5/0/3": b"0",
        "/5/0/9": b"2",
    }
    for path, value in expected.items():
        response = server.get(path, accept=0)
        assert (response.code, response.payload) == (aiocoap.CONTENT, value), path


def test_tlv_of_a_resource_an_instance_and_an_object(rig: Rig, server: Server) -> None:
    assert server.get("/5/0/3", accept=TLV).payload == bytes.fromhex("c10300")
    assert server.get("/4/0/2", accept=TLV).payload == bytes.fromhex("c102b0")
    instance = server.get("/1/0", accept=TLV).payload
    assert instance.startswith(bytes.fromhex("c10001c201012c"))  # 0: 1, 1: 300
    whole = server.get("/1", accept=TLV).payload
    assert whole in (bytes((0x08, 0, len(instance))) + instance, bytes((len(instance), 0)) + instance)


def test_senml_cbor_of_a_resource_and_an_instance(rig: Rig, server: Server) -> None:
    def pack(path: str) -> dict[str, object]:
        response = server.get(path, accept=SENML_CBOR)
        assert response.code == aiocoap.CONTENT
        assert int(response.opt.content_format) == SENML_CBOR
        base, found = "", {}
        for record in cbor2.loads(response.payload):
            base = record.get(-2, base)
            value = next(record[label] for label in (2, 3, 4, 8) if label in record)
            found[base + record.get(0, "")] = value
        return found

    assert pack("/5/0/3") == {"/5/0/3": 0}
    assert pack("/5/0/8") == {f"/5/0/8/{n}": n for n in range(5)}
    device = pack("/3/0")
    assert device["/3/0/3"] == "1.0.0"
    assert device["/3/0/11/0"] == 0
    assert pack("/3") == pack("/3/0") | {"/3/0/13": pack("/3/0/13")["/3/0/13"]}
    assert pack("/1/0")["/1/0/6"] is False


def test_a_format_it_does_not_speak_is_4_06(rig: Rig, server: Server) -> None:
    for form in (50, 11543, 42):
        assert server.get("/5/0/3", accept=form).code == aiocoap.NOT_ACCEPTABLE
    assert server.get("/3/0", accept=0).code == aiocoap.NOT_ACCEPTABLE


@pytest.mark.parametrize(
    "path", ["/9", "/3/1", "/3/0/99", "/99/0/0", "/x", "/3/0/3/0/1", "/.well-known/x", "/²", "/3/-1"]
)
def test_what_is_not_there_is_4_04(rig: Rig, server: Server, path: str) -> None:
    assert server.get(path).code == aiocoap.NOT_FOUND


@pytest.mark.parametrize(
    ("code", "path"),
    [
        (aiocoap.GET, "/5/0/0"),
        (aiocoap.GET, "/5/0/2"),
        (aiocoap.GET, "/3/0/4"),
        (aiocoap.PUT, "/5/0/3"),
        (aiocoap.PUT, "/3/0/3"),
        (aiocoap.POST, "/5/0/3"),
        (aiocoap.DELETE, "/5/0"),
        (aiocoap.FETCH, "/5/0"),
    ],
)
def test_what_the_object_does_not_allow_is_4_05(rig: Rig, server: Server, code: object, path: str) -> None:
    payload = b"1" if code == aiocoap.PUT else b""
    options = {"content_format": 0} if payload else {}
    assert server.request(code, path, payload, **options).code == aiocoap.METHOD_NOT_ALLOWED
    assert server.fota() == (0, 0)


@pytest.mark.parametrize("path", ["/0", "/0/0", "/0/0/0"])
def test_the_security_object_is_not_for_servers(rig: Rig, server: Server, path: str) -> None:
    assert server.get(path).code == aiocoap.UNAUTHORIZED
    assert server.get(path, accept=LINKS).code == aiocoap.UNAUTHORIZED


def test_discover_lists_resources_and_attributes(rig: Rig, server: Server) -> None:
    server.request(aiocoap.PUT, "/5/0/3", uri_query=["pmin=2", "pmax=10"])
    response = server.get("/5", accept=LINKS)
    links = response.payload.decode().split(",")
    assert links[0] == "</5>"
    assert "</5/0>" in links
    assert "</5/0/3>;pmin=2;pmax=10" in links
    assert "</5/0/0>" in links
    assert server.get("/3/0/3", accept=LINKS).payload == b"</3/0/3>"


def test_write_in_every_format(rig: Rig, server: Server) -> None:
    writes = [(0, b"111"), (TLV, bytes.fromhex("c101de")[:2] + b"\x70"), (TLV, bytes.fromhex("c2010190"))]
    for form, payload in writes:
        assert server.request(aiocoap.PUT, "/1/0/1", payload, content_format=form).code == aiocoap.CHANGED
    assert server.get("/1/0/1").payload == b"400"
    pack = cbor2.dumps([{-2: "/1/0/1", 2: 500}])
    assert server.request(aiocoap.PUT, "/1/0/1", pack, content_format=SENML_CBOR).code == aiocoap.CHANGED
    assert server.get("/1/0/1").payload == b"500"


@pytest.mark.parametrize(
    ("form", "payload", "code"),
    [
        (0, b"abc", aiocoap.BAD_REQUEST),
        (0, b"\xff\xfe", aiocoap.BAD_REQUEST),
        (TLV, b"\xc3\x01\x00\x00\x01", aiocoap.BAD_REQUEST),  # integers have 1, 2, 4 or 8 bytes
        (TLV, b"\xc1\x06\x01", aiocoap.BAD_REQUEST),  # another resource
        (TLV, b"\xc8", aiocoap.BAD_REQUEST),
        (SENML_CBOR, b"\x81", aiocoap.BAD_REQUEST),
        (SENML_CBOR, cbor2.dumps([{-2: "/1/0/6", 2: 1}]), aiocoap.BAD_REQUEST),
        (50, b"{}", aiocoap.UNSUPPORTED_CONTENT_FORMAT),
    ],
)
def test_malformed_writes_change_nothing(
    rig: Rig, server: Server, form: int, payload: bytes, code: object
) -> None:
    assert server.request(aiocoap.PUT, "/1/0/1", payload, content_format=form).code == code
    assert server.get("/1/0/1").payload == b"300"


def test_the_first_part_of_a_long_write_is_not_taken_for_all_of_it(rig: Rig, server: Server) -> None:
    response = server.request(
        aiocoap.PUT, "/5/0/1", b"coap://127.0.0.1", content_format=0, block1=(0, True, 0)
    )
    assert response.code.class_ == 4
    assert server.fota() == (0, 0)
    assert server.get("/5/0/1").payload == b""


def test_reboot_is_answered_and_done(rig: Rig, server: Server) -> None:
    assert server.request(aiocoap.POST, "/3/0/4").code == aiocoap.CHANGED
    server.clock.wait_for(lambda: len(server.registrations) == 2, timeout=60, reason="re-registration")
    assert rig.boots == 2
    assert server.registrations[0].port != server.registrations[1].port


# ---- observe


def test_state_changes_are_notified_in_order(rig: Rig, server: Server) -> None:
    first, heard = observe(server, "/5/0/3")
    assert first.payload == b"0"
    assert first.opt.observe is not None
    server.push(b"PK" + bytes(3000))
    server.wait_fota(0, 6)
    server.run(asyncio.sleep(5))
    assert [m.payload for _, m in heard] == [b"1", b"0"]
    numbers = [m.opt.observe for _, m in heard]
    assert numbers == sorted(set(numbers))


def test_pmin_holds_back_and_pmax_brings_forth(rig: Rig, server: Server) -> None:
    server.request(aiocoap.PUT, "/5/0/3", uri_query=["pmin=30", "pmax=60"])
    begun = server.clock.now()
    _, heard = observe(server, "/5/0/3")
    server.push(b"PK" + bytes(300))
    server.run(asyncio.sleep(200))
    times = [time - begun for time, _ in heard]
    assert times[0] >= 30  # the change came at once
    assert all(29.9 <= b - a <= 61 for a, b in pairwise(times))
    assert len(times) >= 3


def test_pmax_written_after_the_observation_holds_too(rig: Rig, server: Server) -> None:
    _, heard = observe(server, "/3/0/3")
    server.request(aiocoap.PUT, "/3/0/3", uri_query=["pmax=10"])
    server.run(asyncio.sleep(35))
    assert len(heard) == 3


def test_attributes_of_the_instance_hold_for_its_resources(rig: Rig, server: Server) -> None:
    server.request(aiocoap.PUT, "/3/0", uri_query=["pmax=10"])
    _, heard = observe(server, "/3/0/3")
    server.run(asyncio.sleep(35))
    assert len(heard) == 3


@pytest.mark.parametrize("query", ["pmin=x", "pmin=-1", "colour=red", "pmax=nan"])
def test_bad_attributes_are_4_00(rig: Rig, server: Server, query: str) -> None:
    assert server.request(aiocoap.PUT, "/5/0/3", uri_query=[query]).code == aiocoap.BAD_REQUEST
    assert server.get("/5/0/3", accept=LINKS).payload == b"</5/0/3>"


def test_notifications_keep_the_format_asked_for(rig: Rig, server: Server) -> None:
    first, heard = observe(server, "/5/0/5", accept=TLV)
    assert first.payload == bytes.fromhex("c10500")
    server.request(aiocoap.PUT, "/5/0/1", b"ftp://x/y", content_format=0)
    server.run(asyncio.sleep(5))
    assert [m.payload for _, m in heard][-1] == bytes.fromhex("c10509")


def test_notifications_survive_a_link_that_loses_a_fifth(start, server: Server) -> None:
    start(replace(LTE_M, interference=0.2))
    _, heard = observe(server, "/5/0/5")
    server.run(server.ask(aiocoap.PUT, "/5/0/1", b"ftp://x/y", content_format=0))
    server.run(asyncio.sleep(60))
    assert [m.payload for _, m in heard][-1] == b"9"


# ---- before and without a registration


def test_requests_before_the_registration_are_ignored(rig: Rig, server: Server) -> None:
    """As if they had not come: one that is repeated is served once the device has registered."""
    assert rig.application is not None
    client = rig.application._client
    assert client is not None
    client._location, registered = (), client._location  # as while a Register is under way

    async def ask() -> aiocoap.Message:
        asked = asyncio.ensure_future(server.ask(aiocoap.GET, "/3/0/3"))
        await asyncio.sleep(10)
        assert not asked.done()
        client._location = registered
        return await asked

    assert server.run(ask()).payload == rig.running.version.encode()


@pytest.mark.parametrize("path", ["/3/0", "/5/0"])
def test_an_instance_cannot_be_executed(rig: Rig, server: Server, path: str) -> None:
    assert server.request(aiocoap.POST, path).code.dotted == "4.05"
    assert len(server.registrations) == 1


def test_disabled_for_a_while(rig: Rig, server: Server) -> None:
    """It answers, de-registers, is silent for Disable Timeout, and registers (OMA object 1, 4 and 5)."""
    assert int(server.get("/1/0/5").payload) == 86400
    assert server.request(aiocoap.PUT, "/1/0/5", b"60", content_format=0).code == aiocoap.CHANGED
    assert server.request(aiocoap.POST, "/1/0/4").code == aiocoap.CHANGED
    server.clock.wait_for(lambda: server.gone, timeout=10, reason="it de-registers")
    server.clock.wait_for(lambda: len(server.registrations) == 2, timeout=90, reason="it is back")
    away = server.registrations[1].time - server.gone[0]
    assert 60 <= away < 65
    assert int(server.get("/5/0/3").payload) == 0


def test_factory_reset_of_a_device_without_a_bootstrap_server(rig: Rig, server: Server) -> None:
    """It waits to be provisioned, as it did when it was new."""
    since = len(rig.lines)
    assert server.request(aiocoap.POST, "/3/0/5").code == aiocoap.CHANGED
    rig.wait_line("lwm2m: not provisioned", since=since)
    assert len(server.gone) == 1
