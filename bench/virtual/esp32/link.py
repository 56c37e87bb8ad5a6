"""A loader's end of the serial line: packets in and out, each taking its time on the wire."""

from __future__ import annotations

from collections import deque

from bench.virtual.esp32.slip import SlipDecoder, encode
from bench.virtual.process import Cpu, Signal, Steps
from bench.virtual.uart import VirtualUart

BITS_PER_BYTE = 10
"""8N1: start bit, eight data bits, stop bit."""


class LoaderLink:
    """SLIP packets over a UART, at the UART's present baud rate."""

    def __init__(self, cpu: Cpu, uart: VirtualUart) -> None:
        self.uart = uart
        self._cpu = cpu
        self._decoder = SlipDecoder()
        self._packets: deque[bytes] = deque()
        self._arrived = Signal()
        self._line_free_at = 0.0

    def feed(self, data: bytes) -> None:
        """Bytes the host sent now; the last of them arrives when the line has carried them all."""
        now = self._cpu.scheduler.now
        self._line_free_at = max(now, self._line_free_at) + self._seconds(len(data))
        self._cpu.after(self._line_free_at - now, lambda: self._arrive(data))

    def receive(self) -> Steps:
        """Wait for the next packet; its bytes are the generator's value."""
        while not self._packets:
            yield self._arrived
        return self._packets.popleft()

    def take(self) -> bytes | None:
        """The next packet if one is already there."""
        return self._packets.popleft() if self._packets else None

    def send(self, packet: bytes, repeat: int = 1) -> Steps:
        """Send `packet`, `repeat` times without a pause; the host gets it when the last byte is out."""
        frame = encode(packet) * repeat
        yield self._seconds(len(frame))
        self.uart.transmit(frame)

    def _arrive(self, data: bytes) -> None:
        packets = self._decoder.feed(data)
        if packets:
            self._packets.extend(packets)
            self._arrived.send()

    def _seconds(self, length: int) -> float:
        return length * BITS_PER_BYTE / self.uart.board_baud
