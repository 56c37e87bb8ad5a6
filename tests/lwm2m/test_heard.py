"""What devices have sent, message by message; and a server that is deaf, or answers otherwise than most."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from coap_peer import ACK, CON, GET, NON, POST, RST, Device, Packet, path_options

from bench.clock import Clock
from bench.lwm2m.coap.capture import Frame
from bench.lwm2m.coap.heard import Datagram, heard, ids_used_again, open_at_once, transmissions
from bench.lwm2m.coap.layers import Separate
from bench.lwm2m.server import LwM2mServer

HERE, THERE = ("127.0.0.1", 4000), ("127.0.0.1", 4001)
REGISTER = Packet(CON, POST, 1, b"r", path_options("/rd?ep=dev")).encode()


def get(mid: int, path: str = "/fw/p.bin", kind: int = CON) -> bytes:
    return Packet(kind, GET, mid, b"t", path_options(path)).encode()


def of(*sent: tuple[float, bytes], at: tuple[str, int] = HERE) -> list[Datagram]:
    frames = [Frame(time, at, True, data) for time, data in sent]
    return heard(frames, "dev", -1.0, at)


def test_a_device_is_known_by_its_address_and_by_its_registers() -> None:
    frames = [
        Frame(1.0, HERE, True, get(1)),
        Frame(2.0, THERE, True, get(2)),
        Frame(3.0, THERE, True, REGISTER),
        Frame(3.5, THERE, False, get(3)),
        Frame(4.0, ("127.0.0.1", 4002), True, get(4)),
    ]
    assert [one.time for one in heard(frames, "dev", 0.0, HERE)] == [1.0, 2.0, 3.0]
    assert [one.time for one in heard(frames, "dev", 1.0, None)] == [2.0, 3.0]
    assert heard(frames[:2], "dev", 0.0, None) == []


def test_copies_of_a_message_are_one_transmission() -> None:
    found = of((0, get(1)), (0.1, get(1)), (2.5, get(1)), (3, get(2)), (7.5, get(1)), (8, get(3, kind=NON)))
    first, second = transmissions(found)
    assert (first.gaps, first.span) == ([2.5, 5.0], 7.5)
    assert (second.gaps, second.span) == ([], 0.0)
    assert "again after 2.5, 5.0 s" in str(first)


def test_an_id_is_used_again_by_another_message_alone() -> None:
    found = of((0, get(1)), (2, get(1)), (3, get(2)), (200, get(1, "/other")), (500, get(2, "/other")))
    ((before, after),) = ids_used_again(found, within=247.0)
    assert (before.time, after.time) == (2, 200)
    reset = Packet(RST, 0, 1).encode()
    assert ids_used_again(of((0, get(1)), (1, reset)), within=247.0) == []


def test_what_is_repeated_after_another_has_begun_is_open_beside_it() -> None:
    one_by_one = transmissions(of((0, get(1)), (2, get(1)), (3, get(2)), (5, get(2))))
    assert len(open_at_once(one_by_one)) == 1
    side_by_side = transmissions(of((0, get(1)), (1, get(2)), (2, get(1)), (3, get(3)), (4, get(2))))
    assert [one.message.mid for one in open_at_once(side_by_side)] == [1, 2]
    assert open_at_once([]) == []


def test_a_deaf_server_hears_and_answers_nothing(device: Device, server: LwM2mServer, clock: Clock) -> None:
    since, before = clock.now(), len(device.heard)
    ping = Packet(CON, 0, 0x77)
    clock.sleep(0.1, "what comes is later")
    with server.unanswering():
        device.send(ping)
        clock.wait_for(lambda: server.datagrams_from("dev", since), timeout=5, reason="the ping")
        clock.sleep(5, "no answer")
        assert len(device.heard) == before
    device.send(ping)
    assert device.wait(lambda p: p.mid == 0x77).type == RST


@pytest.mark.parametrize("how", Separate)
def test_separate_responses(device: Device, server: LwM2mServer, clock: Clock, how: Separate) -> None:
    server.publish("p.bin", bytes(100))
    since = len(device.heard)
    with server.answering_separately(how):
        answer = device.request(GET, "/fw/p.bin", mid=0x500)
        if answer.type == CON:
            device.send(Packet(ACK, 0, answer.mid))
        clock.sleep(2, "the acknowledgement")
    acknowledged, response = (0, 1) if how is not Separate.OVERTAKING else (1, 0)
    told = device.heard[since:]
    assert len(told) == 2
    assert (told[acknowledged].type, told[acknowledged].code, told[acknowledged].mid) == (ACK, 0, 0x500)
    assert told[response].type == (NON if how is Separate.NON_CONFIRMABLE else CON)
    assert (told[response].dotted, told[response].payload) == ("2.05", bytes(100))
    assert device.request(GET, "/fw/p.bin").type == ACK


def test_a_repeated_request_is_acknowledged_again(
    connect: Callable[..., Device], server: LwM2mServer, clock: Clock
) -> None:
    device = connect()
    server.publish("p.bin", bytes(100))
    with server.answering_separately(Separate.CONFIRMABLE):
        first = device.request(GET, "/fw/p.bin", mid=0x501, token=b"same")
        device.send(Packet(ACK, 0, first.mid))
        device.send(Packet(CON, GET, 0x501, b"same", path_options("/fw/p.bin")))
        clock.sleep(1, "all has come")
    assert device.count(lambda p: p.mid == 0x501 and p.type == ACK and p.code == 0) == 2
