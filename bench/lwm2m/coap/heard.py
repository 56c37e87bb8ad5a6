"""What devices have sent, message by message, as the capture has it: for clauses about messages themselves.

All of RFC 7252: a confirmable message is sent again under its message ID (4.2), which is not used for
another one within EXCHANGE_LIFETIME (4.4), and only so many are open at once (4.7).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from aiocoap import CON, NON, Message

from bench.lwm2m.coap import wire
from bench.lwm2m.coap.capture import Frame
from bench.lwm2m.coap.endpoint import Address
from bench.lwm2m.coap.trace import describe


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram of a device. `time` is bench seconds, `data` the message after decryption."""

    time: float
    address: Address
    message: Message
    data: bytes

    def __str__(self) -> str:
        return f"{describe(self.message)} (message ID {self.message.mid}, at {self.time:.1f} s)"


@dataclass(frozen=True, slots=True)
class Transmission:
    """One confirmable message, and when each copy of it was heard, in bench seconds."""

    message: Message
    times: tuple[float, ...]

    @property
    def gaps(self) -> list[float]:
        """Seconds between one copy and the next."""
        return [later - earlier for earlier, later in pairwise(self.times)]

    @property
    def span(self) -> float:
        """Seconds from the first copy to the last."""
        return self.times[-1] - self.times[0]

    def __str__(self) -> str:
        gaps = ", ".join(f"{gap:.1f}" for gap in self.gaps)
        return f"{describe(self.message)} at {self.times[0]:.1f} s, again after {gaps or 'nothing'} s"


def heard(frames: Iterable[Frame], endpoint: str, since: float, known: Address | None) -> list[Datagram]:
    """What the device of this endpoint name has sent after `since` (bench seconds), in order.

    It is known by its address, and by those that it has registered from since then.
    """
    all_of_them = [
        Datagram(frame.time, frame.device, wire.decode(frame.data, None), frame.data)
        for frame in frames
        if frame.from_device and frame.time > since
    ]
    named = f"ep={endpoint}"
    addresses = {one.address for one in all_of_them if named in one.message.opt.uri_query} | {known}
    return [one for one in all_of_them if one.address in addresses]


DOUBLED = 0.2
"""Seconds within which a second copy is the path's doing: no device repeats a message so soon."""


def transmissions(found: Iterable[Datagram]) -> list[Transmission]:
    """The confirmable messages, each with its copies, by their first one."""
    times: dict[tuple[Address, bytes], list[float]] = {}
    messages: dict[tuple[Address, bytes], Message] = {}
    for one in found:
        if one.message.mtype is CON:
            key = (one.address, one.data)
            copies = times.setdefault(key, [])
            if not copies or one.time - copies[-1] > DOUBLED:
                copies.append(one.time)
            messages[key] = one.message
    return [Transmission(messages[key], tuple(at)) for key, at in times.items()]


def ids_used_again(found: Iterable[Datagram], within: float) -> list[tuple[Datagram, Datagram]]:
    """Pairs of different messages that had the same ID within so many seconds, from the same address."""
    last: dict[tuple[Address, int], Datagram] = {}
    pairs = []
    for one in found:
        if one.message.mtype not in (CON, NON):
            continue  # the ID of an acknowledgement or a reset is the server's
        key = (one.address, one.message.mid)
        before = last.get(key)
        if before is not None and before.data != one.data and one.time - before.time <= within:
            pairs.append((before, one))
        last[key] = one
    return pairs


def open_at_once(sent: Sequence[Transmission]) -> list[Transmission]:
    """The most of these that were open at once: each was sent again after the last of them had begun.

    For messages that nobody has acknowledged: what is repeated is still waited for.
    """
    most: list[Transmission] = []
    for begun in sent:
        now = begun.times[0]
        others = [one for one in sent if one is not begun and one.times[0] <= now < one.times[-1]]
        if len(others) + 1 > len(most):
            most = [*others, begun]
    return most
