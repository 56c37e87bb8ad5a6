"""CoAP messages as a packet capture that Wireshark opens, decrypted where they travelled over DTLS.

Each message is wrapped in the IP and UDP headers it had (or, under DTLS, would have had): between
the device's address and the server's, on the CoAP port, so that it is shown as CoAP whatever port
the server really listens on. Format: libpcap, link type RAW (101: IPv4 or IPv6, by version nibble).
"""

from __future__ import annotations

import ipaddress
import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from bench.clock import Clock

COAP_PORT = 5683
MAX_BYTES = 12 << 20
"""Bytes of messages kept, with what it costs to keep them; older ones go first."""
OVERHEAD = 200
"""Bytes that a message costs beside its own: its frame, its times and addresses."""
_MAGIC, _LINK_RAW, _SNAP = 0xA1B2C3D4, 101, 0x40000
_UDP = 17


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `time` is bench seconds, `device` the device's IP address and port."""

    time: float
    device: tuple[str, int]
    from_device: bool
    data: bytes


class Capture:
    """The messages since `clear`, in the order in which the server saw them."""

    def __init__(self, clock: Clock, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock
        self._max = max_bytes
        self._size = 0
        self.frames: deque[Frame] = deque()
        self.dropped = 0

    def add(self, device: tuple[str, int], from_device: bool, data: bytes) -> None:
        self.frames.append(Frame(self._clock.now(), device, from_device, data))
        self._size += len(data) + OVERHEAD
        while self._size > self._max:
            self._size -= len(self.frames.popleft().data) + OVERHEAD
            self.dropped += 1

    def clear(self) -> None:
        self.frames.clear()
        self._size = self.dropped = 0


def pcap(frames: Iterable[Frame], *, epoch: float = 0.0) -> bytes:
    """A capture file. `epoch` is the Unix time at bench time 0."""
    out = [struct.pack("<IHHiIII", _MAGIC, 2, 4, 0, 0, _SNAP, _LINK_RAW)]
    for frame in frames:
        packet = _packet(frame)
        seconds, fraction = divmod(epoch + frame.time, 1)
        out.append(struct.pack("<IIII", int(seconds), int(fraction * 1e6), len(packet), len(packet)))
        out.append(packet)
    return b"".join(out)


def _packet(frame: Frame) -> bytes:
    host, port = frame.device
    device = ipaddress.ip_address(host.partition("%")[0])
    server = ipaddress.ip_address("127.0.0.1" if device.version == 4 else "::1")
    if frame.from_device:
        source, target, ports = device, server, (port, COAP_PORT)
    else:
        source, target, ports = server, device, (COAP_PORT, port)
    length = 8 + len(frame.data)
    udp = struct.pack(">HHHH", *ports, length, 0) + frame.data  # 0: checksum not given (RFC 768)
    if device.version == 6:
        pseudo = source.packed + target.packed + struct.pack(">II", length, _UDP)
        checksum = _checksum(pseudo + udp) or 0xFFFF  # IPv6 wants one (RFC 8200, 8.1)
        udp = udp[:6] + struct.pack(">H", checksum) + udp[8:]
        return struct.pack(">IHBB", 6 << 28, length, _UDP, 64) + source.packed + target.packed + udp
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, _UDP, 0)
    head += source.packed + target.packed
    return head[:10] + struct.pack(">H", _checksum(head)) + head[12:] + udp


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
