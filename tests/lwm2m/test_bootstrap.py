"""The bootstrap interface, client-initiated, to a client of plain bytes."""

from __future__ import annotations

from collections.abc import Callable

import cbor2
import pytest
from coap_peer import (
    ACCEPT,
    BLOCK1,
    CONTENT_FORMAT,
    DELETE,
    GET,
    POST,
    PUT,
    SIZE1,
    URI_PATH,
    Answer,
    Device,
    Packet,
    block,
)

from bench.clock import Clock
from bench.errors import WaitTimeout
from bench.lwm2m.coap.capture import pcap
from bench.lwm2m.codecs import tlv
from bench.lwm2m.interfaces.bootstrap import Account, Plan, Security
from bench.lwm2m.model import content
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
NO_SEC = Account("coap://192.0.2.1:5683")
PSK = Account(
    "coaps://192.0.2.1:5684", Security.PSK, b"identity", KEY, short_id=102, lifetime=600, binding="UQ"
)


class Bootstrappee(Device):
    """Takes whatever it is written; `refuses` maps "PUT /0/1" and the like to an answer."""

    def __init__(self, *args: object, **options: object) -> None:
        self.refuses: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.written: dict[str, bytes] = {}
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def hear(self, packet: Packet) -> None:
        if packet.is_request:
            self.on[packet.path] = self.take
        super().hear(packet)

    def take(self, packet: Packet) -> Answer:
        method = {GET: "GET", POST: "POST", PUT: "PUT", DELETE: "DELETE"}[packet.code]
        what = f"{method} {packet.path}"
        self.asked.append(what)
        if what in self.refuses:
            return self.refuses[what]
        if packet.code == DELETE:
            return Answer("2.02")
        if packet.code == PUT:
            found = packet.block(BLOCK1)
            if found is None:
                self.written[packet.path] = packet.payload
            else:
                self.written[packet.path] = self.written.get(packet.path, b"") + packet.payload
                return Answer("2.31" if found[1] else "2.04", options=[(BLOCK1, block(*found))])
        return Answer("2.04")

    def ask(self, query: str = "&pct=11542") -> Packet:
        return self.request(POST, f"/bs?ep={self.endpoint}{query}")


@pytest.fixture
def client(clock: Clock, server: LwM2mServer) -> object:
    made = Bootstrappee(clock, server.uri, "dev")
    yield made
    made.close()


def values(payload: bytes) -> dict[int, bytes]:
    return {record.id: record.value for record in tlv.decode(payload)}


def test_a_bootstrap_in_order(client: Bootstrappee, server: LwM2mServer, timeline: Timeline) -> None:
    server.plan_bootstrap("dev", Plan((NO_SEC, PSK)))
    assert client.ask().dotted == "2.04"
    outcome = server.wait_bootstrapped("dev", timeout=30)
    assert (outcome.finished, outcome.reason) == (True, "")
    assert client.asked == ["DELETE /", "PUT /0/1", "PUT /0/2", "PUT /1/0", "PUT /1/1", "POST /bs"]
    assert outcome.steps == [(what, "2.02" if what.startswith("DELETE") else "2.04") for what in client.asked]
    assert values(client.written["/0/1"]) == {
        0: b"coap://192.0.2.1:5683",
        1: b"\0",
        2: b"\3",
        3: b"",
        4: b"",
        5: b"",
        10: b"\1",
    }
    security, account = values(client.written["/0/2"]), values(client.written["/1/1"])
    assert (security[0], security[2], security[3], security[5]) == (
        b"coaps://192.0.2.1:5684",
        b"\0",
        b"identity",
        KEY,
    )
    assert account == {0: b"\x66", 1: b"\x02\x58", 6: b"\1", 7: b"UQ"}
    writes = [p for p in client.heard if p.code == PUT]
    assert {p.number(CONTENT_FORMAT) for p in writes} == {11542}
    (entry,) = timeline.since(kind="bootstrap")
    assert (entry.source, entry.text) == ("dev", "finished")


def test_the_first_answer_comes_before_the_first_request(client: Bootstrappee, server: LwM2mServer) -> None:
    server.plan_bootstrap("dev", Plan((NO_SEC,)))
    client.ask()
    server.wait_bootstrapped("dev", timeout=30)
    assert client.heard[0].dotted == "2.04"
    assert all(p.is_request for p in client.heard[1:])


def test_no_key_is_shown_anywhere(client: Bootstrappee, server: LwM2mServer, timeline: Timeline) -> None:
    server.plan_bootstrap("dev", Plan((PSK,)))
    client.ask()
    outcome = server.wait_bootstrapped("dev", timeout=30)
    shown = "".join(entry.as_json() for entry in timeline) + repr(PSK) + repr(Plan((PSK,))) + repr(outcome)
    for form in (KEY.hex(), repr(KEY), KEY.decode("latin-1")):
        assert form not in shown
    assert KEY not in pcap(server.capture.frames)
    assert KEY in client.written["/0/1"]  # and yet it arrived


@pytest.mark.parametrize("query", ["?ep=nobody", "", "?ep=", "?ep"])
def test_who_has_no_plan_is_refused(
    client: Bootstrappee, server: LwM2mServer, query: str, timeline: Timeline
) -> None:
    server.plan_bootstrap("dev", Plan((NO_SEC,)))
    assert client.request(POST, f"/bs{query}").dotted == "4.00"
    server.clock.sleep(5, "what the server may send")
    assert client.asked == []
    assert len(timeline.since(kind="bootstrap")) == 1


@pytest.mark.parametrize(("pct", "code"), [("11542", "2.04"), ("42", "4.15"), ("x", "4.15"), ("", "4.15")])
def test_preferred_formats(client: Bootstrappee, server: LwM2mServer, pct: str, code: str) -> None:
    server.plan_bootstrap("dev", Plan((NO_SEC,)))
    assert client.ask(f"&pct={pct}").dotted == code


@pytest.mark.parametrize(
    ("content_format", "decoded"),
    [
        (110, lambda payload: content.decode(content.SENML_JSON, (), payload)),
        (112, lambda payload: content.decode(content.SENML_CBOR, (), payload)),
        (11542, lambda payload: content.decode(content.TLV, (0, 1), payload)),
        (11543, lambda payload: content.decode(content.JSON, (0, 1), payload)),
        (11544, lambda payload: content.decode(content.LWM2M_CBOR, (), payload)),
    ],
)
def test_accounts_come_in_the_preferred_format(
    client: Bootstrappee,
    server: LwM2mServer,
    content_format: int,
    decoded: Callable[[bytes], content.Values],
) -> None:
    server.plan_bootstrap("dev", Plan((PSK,)))
    client.ask(f"&pct={content_format}")
    assert server.wait_bootstrapped("dev", timeout=30).finished
    assert {p.number(CONTENT_FORMAT) for p in client.heard if p.code == PUT} == {content_format}
    assert decoded(client.written["/0/1"]) == {
        (0, 1, 0): "coaps://192.0.2.1:5684",
        (0, 1, 1): False,
        (0, 1, 2): 0,
        (0, 1, 3): b"identity",
        (0, 1, 4): b"",
        (0, 1, 5): KEY,
        (0, 1, 10): PSK.short_id,
    }


def test_an_account_in_lwm2m_cbor_is_nested_by_id(client: Bootstrappee, server: LwM2mServer) -> None:
    server.plan_bootstrap("dev", Plan((NO_SEC,)))
    client.ask("&pct=11544")
    assert server.wait_bootstrapped("dev", timeout=30).finished
    assert cbor2.loads(client.written["/1/0"]) == {
        1: {0: {0: 1, 1: NO_SEC.lifetime, 6: True, 7: NO_SEC.binding}}
    }


def test_without_a_preferred_format_it_is_tlv(client: Bootstrappee, server: LwM2mServer) -> None:
    """LwM2M 1.0 knows no pct."""
    server.plan_bootstrap("dev", Plan((NO_SEC,)))
    assert client.ask("").dotted == "2.04"
    assert server.wait_bootstrapped("dev", timeout=30).finished


def test_discover_finds_room_for_the_instances(client: Bootstrappee, server: LwM2mServer) -> None:
    listed = b"</>;lwm2m=1.1,</0/0>;ssid=5,</0/3>,</1/0>;ssid=5,</3/0>,</x/1>"
    client.refuses["GET /"] = Answer("2.05", listed, [(CONTENT_FORMAT, bytes([40]))])
    server.plan_bootstrap("dev", Plan((NO_SEC, PSK), delete=("/0", "/1"), discover=True))
    client.ask()
    assert server.wait_bootstrapped("dev", timeout=30).finished
    assert client.asked[:3] == ["DELETE /0", "DELETE /1", "GET /"]
    assert sorted(client.written) == ["/0/1", "/0/2", "/1/1", "/1/2"]
    asked = next(p for p in client.heard if p.code == GET)
    assert asked.number(ACCEPT) == 40
    assert asked.option(URI_PATH) is None


@pytest.mark.parametrize("code", ["4.04", "4.05"])
def test_a_client_that_knows_no_discover(client: Bootstrappee, server: LwM2mServer, code: str) -> None:
    client.refuses["GET /"] = Answer(code)
    server.plan_bootstrap("dev", Plan((NO_SEC,), discover=True))
    client.ask()
    assert server.wait_bootstrapped("dev", timeout=30).finished
    assert sorted(client.written) == ["/0/1", "/1/0"]


def test_an_unreadable_discover_ends_it(client: Bootstrappee, server: LwM2mServer) -> None:
    client.refuses["GET /"] = Answer("2.05", b"no links")
    server.plan_bootstrap("dev", Plan((NO_SEC,), discover=True))
    client.ask()
    outcome = server.wait_bootstrapped("dev", timeout=30)
    assert not outcome.finished
    assert "Discover" in outcome.reason


@pytest.mark.parametrize(
    ("at", "code"),
    [("DELETE /", "4.05"), ("PUT /0/1", "4.00"), ("PUT /1/0", "5.00"), ("POST /bs", "4.06")],
)
def test_an_error_is_reported_and_nothing_follows(
    client: Bootstrappee, server: LwM2mServer, timeline: Timeline, at: str, code: str
) -> None:
    client.refuses[at] = Answer(code)
    server.plan_bootstrap("dev", Plan((NO_SEC,)))
    client.ask()
    outcome = server.wait_bootstrapped("dev", timeout=30)
    assert not outcome.finished
    assert outcome.reason == f"{at} was answered {code}"
    assert outcome.steps[-1] == (at, code)
    assert client.asked[-1] == at
    assert [e.text for e in timeline.since(kind="bootstrap")] == [f"not finished: {outcome.reason}"]


def test_a_client_that_has_nothing_to_delete(client: Bootstrappee, server: LwM2mServer) -> None:
    client.refuses["DELETE /0"] = Answer("4.04")
    server.plan_bootstrap("dev", Plan((NO_SEC,), delete=("/0", "/1")))
    client.ask()
    assert server.wait_bootstrapped("dev", timeout=30).finished


def test_a_client_that_registers_has_taken_the_finish(client: Bootstrappee, server: LwM2mServer) -> None:
    """Its answer to Bootstrap-Finish may be lost, or overtaken by its registration."""
    client.refuses["POST /bs"] = Answer(None)
    server.plan_bootstrap("dev", Plan((NO_SEC,)))
    client.ask()
    client.wait(lambda p: p.path == "/bs")
    client.register()
    outcome = server.wait_bootstrapped("dev", timeout=30)
    assert outcome.finished
    assert outcome.steps[-1] == ("POST /bs", "registered")


def test_a_client_that_vanishes_half_way(client: Bootstrappee, server: LwM2mServer) -> None:
    client.refuses["PUT /1/0"] = Answer(None)
    server.plan_bootstrap("dev", Plan((NO_SEC,)))
    client.ask()
    outcome = server.wait_bootstrapped("dev", timeout=400)
    assert not outcome.finished
    assert outcome.steps[-1] == ("PUT /1/0", "no answer")
    assert "no answer to PUT /1/0" in outcome.reason
    assert "POST /bs" not in client.asked


def test_a_client_that_vanished_may_ask_anew_at_once(client: Bootstrappee, server: LwM2mServer) -> None:
    client.refuses["PUT /1/0"] = Answer(None)
    server.plan_bootstrap("dev", Plan((NO_SEC,)))
    client.ask()
    server.clock.sleep(3, "half a bootstrap")
    client.refuses.clear()
    client.asked.clear()
    client.restart()
    begin = server.clock.now()
    client.ask()
    assert server.wait_bootstrapped("dev", timeout=30).finished
    assert server.clock.now() - begin < 5
    assert client.asked == ["DELETE /", "PUT /0/1", "PUT /1/0", "POST /bs"]


def test_a_client_that_never_asks(server: LwM2mServer) -> None:
    with pytest.raises(WaitTimeout, match="dev is bootstrapped"):
        server.wait_bootstrapped("dev", timeout=10)


def test_a_certificate_is_written_block_by_block(client: Bootstrappee, server: LwM2mServer) -> None:
    account = Account(
        "coaps://192.0.2.1", Security.CERTIFICATE, identity=b"c" * 1500, key=b"k" * 121, server_key=b"s" * 900
    )
    server.plan_bootstrap("dev", Plan((account,)))
    client.ask()
    assert server.wait_bootstrapped("dev", timeout=30).finished
    written = values(client.written["/0/1"])
    assert (written[3], written[4], written[5]) == (b"c" * 1500, b"s" * 900, b"k" * 121)
    blocks = [p for p in client.heard if p.path == "/0/1"]
    assert [p.block(BLOCK1) for p in blocks] == [(0, True, 6), (1, True, 6), (2, False, 6)]
    assert {p.number(SIZE1) for p in blocks} == {len(client.written["/0/1"])}


def test_a_bootstrap_under_loss(clock: Clock, server: LwM2mServer) -> None:
    client = Bootstrappee(clock, server.uri, "dev", seed=5)
    server.plan_bootstrap("dev", Plan((NO_SEC, PSK)))
    try:
        client.ask()
        client.loss = 0.3
        assert server.wait_bootstrapped("dev", timeout=600).finished
        assert sorted(client.written) == ["/0/1", "/0/2", "/1/0", "/1/1"]
    finally:
        client.close()


def test_on_a_port_of_its_own(clock: Clock, timeline: Timeline, connect: Callable[..., Device]) -> None:
    """A second server; the first one is where the client then registers."""
    second = LwM2mServer(clock, timeline, seed=2)
    second.start()
    client = Bootstrappee(clock, second.uri, "dev")
    try:
        second.plan_bootstrap("dev", Plan((NO_SEC,)))
        client.ask()
        assert second.wait_bootstrapped("dev", timeout=30).finished
        assert connect("dev").location.startswith("/rd/")
    finally:
        client.close()
        second.close()
