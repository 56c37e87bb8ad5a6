"""False answers to a device's request, as somebody may send who has read it or guessed (RFC 7252, 5.3.2)."""

from __future__ import annotations

import asyncio
import contextlib
import random

from aiocoap import ACK, CON, Message

from bench.packages.misbehaviour import Forgery


class Forger:
    """Has a port of its own beside the server's. Everything runs on the bench's loop."""

    def __init__(self, transport: asyncio.DatagramTransport, rng: random.Random) -> None:
        self._elsewhere = transport
        self._rng = rng

    @classmethod
    async def open(cls, host: str, rng: random.Random) -> Forger:
        """Raises `OSError` when the address is not this PC's."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(host, 0))
        return cls(transport, rng)

    def answer(self, request: Message, answer: Message, how: Forgery) -> None:
        """Send `answer` to who has sent `request`, so that it must not be taken for its response."""
        answer.remote, answer.mtype, answer.mid, answer.token = (
            request.remote,
            ACK,
            request.mid,
            request.token,
        )
        if how in (Forgery.OTHER_TOKEN, Forgery.OTHER_TOKEN_SEPARATE):
            answer.token = bytes(byte ^ 0xFF for byte in request.token) or b"\xff"
            if how is Forgery.OTHER_TOKEN_SEPARATE:
                answer.mtype, answer.mid = CON, self._rng.randrange(0x10000)
            request.remote.interface.send(answer)
        elif how is Forgery.UNSECURED:
            request.remote.interface.send_bare(answer.encode(), request.remote.address)
        else:
            with contextlib.suppress(OSError):  # no way there from this port: lost
                self._elsewhere.sendto(answer.encode(), request.remote.address)

    def close(self) -> None:
        """Idempotent."""
        self._elsewhere.close()
