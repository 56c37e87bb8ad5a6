"""The packet capture of CoAP messages, read back by an independent parser."""

from __future__ import annotations

import io
import socket

import dpkt
import pytest
from coap_peer import GET, Packet, Peer

from bench.clock import Clock
from bench.lwm2m.coap.capture import OVERHEAD, Capture, Frame, pcap
from bench.lwm2m.server import LwM2mServer


def packets(data: bytes) -> list[tuple[float, dpkt.ip.IP | dpkt.ip6.IP6]]:
    """Time and IP packet of each frame."""
    reader = dpkt.pcap.Reader(io.BytesIO(data))
    assert reader.datalink() == 101  # LINKTYPE_RAW
    kinds = {4: dpkt.ip.IP, 6: dpkt.ip6.IP6}
    return [(time, kinds[frame[0] >> 4](frame)) for time, frame in reader]


def test_every_message_of_both_directions_is_captured(peer: Peer, server: LwM2mServer) -> None:
    server.publish("p.bin", b"x" * 100)
    server.capture.clear()
    answer = peer.request(GET, "/fw/p.bin")
    (_, asked), (_, answered) = packets(pcap(server.capture.frames, epoch=1000.0))
    assert (asked.data.sport, asked.data.dport) == (peer.port, 5683)
    assert (answered.data.sport, answered.data.dport) == (5683, peer.port)
    assert Packet.decode(bytes(asked.data.data)).path == "/fw/p.bin"
    assert Packet.decode(bytes(answered.data.data)).payload == answer.payload == b"x" * 100


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
def test_headers_are_right(host: str) -> None:
    """Addresses, lengths, and the checksums that a receiver would look at."""
    ((time, packet),) = packets(pcap([Frame(2.5, (host, 40000), True, b"odd")], epoch=10.0))
    assert time == pytest.approx(12.5)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    assert socket.inet_ntop(family, packet.src) == host
    assert bytes(packet.data.data) == b"odd"
    before = packet.data.sum if packet.v == 6 else packet.sum
    packet.data.sum = 0
    packet.sum = 0
    rebuilt = type(packet)(bytes(packet))
    assert before == (rebuilt.data.sum if packet.v == 6 else rebuilt.sum)


def test_memory_is_bounded(clock: Clock) -> None:
    capture = Capture(clock, max_bytes=10 * (100 + OVERHEAD))
    for number in range(100):
        capture.add(("192.0.2.7", 1), True, bytes([number]) * 100)
    assert len(capture.frames) == 10
    assert capture.dropped == 90
    assert capture.frames[-1].data == bytes([99]) * 100
    capture.clear()
    assert (len(capture.frames), capture.dropped) == (0, 0)
