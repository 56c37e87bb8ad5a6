"""UARTE: what the program sends by EasyDMA. Nothing is ever received.

Source: nRF9160 product specification, "UARTE - Universal asynchronous receiver/transmitter with EasyDMA",
and its register file (nrf9160.svd, UARTE0).
"""

from __future__ import annotations

from collections.abc import Callable

from bench.virtual.nrf91.program.local_time import LocalTime
from bench.virtual.nrf91.program.peripheral import WithEvents

STARTRX, STOPRX, STARTTX, STOPTX, FLUSHRX = 0x000, 0x004, 0x008, 0x00C, 0x02C
CTS, NCTS, RXDRDY, ENDRX, TXDRDY, ENDTX = 0x100, 0x104, 0x108, 0x110, 0x11C, 0x120
ERROR, RXTO, RXSTARTED, TXSTARTED, TXSTOPPED = 0x124, 0x144, 0x14C, 0x150, 0x158
SHORTS, ERRORSRC, ENABLE, BAUDRATE, CONFIG = 0x200, 0x480, 0x500, 0x524, 0x56C
PSEL_RTS, PSEL_TXD, PSEL_CTS, PSEL_RXD = 0x508, 0x50C, 0x510, 0x514
RXD_PTR, RXD_MAXCNT, RXD_AMOUNT = 0x534, 0x538, 0x53C
TXD_PTR, TXD_MAXCNT, TXD_AMOUNT = 0x544, 0x548, 0x54C

ENABLED = 8
DISCONNECTED = 0xFFFFFFFF
BITS = 10
"""Of a byte on the line: start, eight, stop."""
_KEPT = {
    **dict.fromkeys((SHORTS, ERRORSRC, ENABLE, CONFIG, RXD_PTR, RXD_MAXCNT, RXD_AMOUNT), 0),
    **dict.fromkeys((TXD_PTR, TXD_MAXCNT, TXD_AMOUNT), 0),
    **dict.fromkeys((PSEL_RTS, PSEL_TXD, PSEL_CTS, PSEL_RXD), DISCONNECTED),
    BAUDRATE: 0x04000000,
}
_EVENTS = (CTS, NCTS, RXDRDY, ENDRX, TXDRDY, ENDTX, ERROR, RXTO, RXSTARTED, TXSTARTED, TXSTOPPED)


class Uarte(WithEvents):
    """`fetch(address, length)` reads RAM; `send(data, baud)` puts what it sends on the line."""

    def __init__(
        self, time: LocalTime, fetch: Callable[[int, int], bytes], send: Callable[[bytes, float], None]
    ) -> None:
        super().__init__(time, _KEPT, _EVENTS)
        self._fetch, self._send = fetch, send

    @property
    def baud(self) -> float:
        """Bits a second: BAUDRATE is a fraction of 16 MHz in 2 ** 32."""
        return self._kept[BAUDRATE] * 16e6 / 2**32

    def write(self, offset: int, value: int) -> None:
        if offset == STARTTX:
            if self._kept[ENABLE] == ENABLED and value & 1:
                self._transmit()
        elif offset == STOPTX:
            self.happen(TXSTOPPED, max(self._due.get(ENDTX, 0.0), self._time.now()))
        elif offset == STARTRX:
            self.happen(RXSTARTED)
        elif offset == STOPRX:
            self.happen(RXTO)
            self.happen(ENDRX)
        elif offset != FLUSHRX:
            super().write(offset, value)

    def _transmit(self) -> None:
        data = self._fetch(self._kept[TXD_PTR], self._kept[TXD_MAXCNT])
        seconds = len(data) * BITS / self.baud if self.baud else 0.0
        if self._kept[PSEL_TXD] != DISCONNECTED and data:
            self._send(data, self.baud)
        self._kept[TXD_AMOUNT] = len(data)
        self.happen(TXSTARTED)
        for event in (TXDRDY, ENDTX):
            self.happen(event, self._time.now() + seconds)
