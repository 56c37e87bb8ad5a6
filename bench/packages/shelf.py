"""The shelf: packages by name, what was asked of each, and how it is to misbehave."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from bench.packages.address import PackageAddress
from bench.packages.misbehaviour import (
    Chunked,
    Cut,
    Forge,
    Forgery,
    IgnoreRange,
    Misbehaviour,
    OtherPart,
    Ping,
    Redirect,
    Refuse,
    Replace,
    Slow,
    SmallBlocks,
    Stall,
    UnknownOption,
    WeakEtag,
    WrongSize,
)
from bench.packages.noted import Noted

F = TypeVar("F", bound=Misbehaviour)
AMISS = 100
"""Requests for what is not here that are kept: the last is what somebody is told."""


@dataclass(frozen=True, slots=True)
class Served:
    """One answer: which door, from which byte, how many, and what else it was ("" for the bytes).

    `time` is bench seconds, when the first such answer went out: equal ones are one note (`Noted`).
    """

    door: str
    offset: int
    size: int
    note: str = ""
    time: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class RangeAsked:
    """The headers of an HTTP request that ask for a part (RFC 9110 sections 13.1.5 and 14.2), "" for none."""

    range: str
    if_range: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One request over CoAP: its options, `block` the size of the block that it asks for (None: any)."""

    path: tuple[str, ...]
    query: tuple[str, ...]
    block: int | None


@dataclass
class Package:
    """One file on offer.

    `at` is where it lies. `served` is the end of the furthest bytes sent, `sent` the sum of all bytes sent;
    `log` has the answers, `ranges` what each HTTP request says of parts, and `asked` the requests over
    CoAP, the latest of each (`Noted`); `answers` counts all. `misbehave` arms what is to go wrong.
    """

    name: str
    data: bytes
    at: PackageAddress
    served: int = 0
    sent: int = 0
    answers: int = 0
    log: list[Served] = field(default_factory=Noted)
    ranges: list[RangeAsked] = field(default_factory=Noted)
    asked: list[Asked] = field(default_factory=Noted)
    faults: list[Misbehaviour] = field(default_factory=list)
    _used: dict[Misbehaviour, int] = field(default_factory=dict)
    on_change: Callable[[], None] = lambda: None

    @property
    def etag(self) -> bytes:
        return _etag(self.data)

    def misbehave(self, *faults: Misbehaviour) -> None:
        """Have these go wrong from now on, and nothing that was armed before."""
        self.faults = list(faults)
        self._used.clear()

    def note(self, door: str, offset: int, size: int, what: str = "") -> None:
        """An answer goes out."""
        self.answers += 1
        self.log.append(Served(door, offset, size, what, asyncio.get_running_loop().time()))
        self.sent += size
        self.served = max(self.served, offset + size)
        self.on_change()

    # ---- what the doors ask

    def refusal(self) -> Refuse | None:
        """The refusal that this request is to get, if any."""
        return next((f for f in self._armed(Refuse) if self._counts(f, f.times)), None)

    def redirect(self, door: str) -> Redirect | None:
        """What this request, at the door of that scheme, is to be redirected by, if at all."""
        armed = [f for f in self._armed(Redirect) if f.door in (None, door)]
        return next((f for f in armed if self._counts(f, f.times)), None)

    @property
    def largest_block(self) -> int | None:
        """Bytes of a CoAP block at most; None: as many as are asked for."""
        return min((f.size for f in self._armed(SmallBlocks)), default=None)

    def forgeries(self, offset: int) -> list[Forgery]:
        """The false answers that come before that to a request for the block at `offset`; each once."""
        return [f.how for f in self._armed(Forge) if f.after <= offset and self._counts(f, 1)]

    def hides_an_option(self, offset: int) -> bool:
        """Whether the answer with the block at `offset` has a critical option that nobody knows."""
        return any(f.after <= offset and self._counts(f, f.times) for f in self._armed(UnknownOption))

    def pings(self, offset: int) -> bool:
        """Whether a Ping goes out before the block at `offset`."""
        return any(f.after <= offset and self._counts(f, 1) for f in self._armed(Ping))

    @property
    def announced(self) -> int:
        """The size to announce."""
        return len(self.data) + sum(f.by for f in self._armed(WrongSize))

    @property
    def http_etag(self) -> str:
        """As HTTP writes it."""
        return ("W/" if self._armed(WeakEtag) else "") + f'"{self.etag.hex()}"'

    @property
    def comes_in_chunks(self) -> bool:
        """Whether HTTP does not tell how long a body is."""
        return bool(self._armed(Chunked))

    @property
    def gives_parts(self) -> bool:
        """Whether HTTP answers Range with a part."""
        return not self._armed(IgnoreRange)

    def other_part(self, start: int, end: int) -> tuple[int, int]:
        """The part that is given for the one that was asked for, by its first byte and its end."""
        for fault in self._armed(OtherPart):
            start = max(0, start - fault.earlier)
            end = end if fault.size is None else min(end, start + fault.size)
        return start, end

    def room(self, offset: int) -> int | None:
        """Bytes that may still be sent from `offset` before a stall or a cut; None: all of them."""
        stops: list[Stall | Cut] = [*self._armed(Stall), *self._armed(Cut)]
        limits = [stop.after for stop in stops if self._is_open(stop)]
        return max(0, min(limits) - offset) if limits else None

    def cuts_at(self, offset: int) -> bool:
        """Whether the connection is to be broken here; counts as one time."""
        return any(self._counts(f, f.times) for f in self._armed(Cut) if f.after <= offset)

    async def pause(self, offset: int, size: int) -> None:
        """Wait as `Slow` and `Stall` say before `size` bytes from `offset` go out."""
        for slow in self._armed(Slow):
            if slow.after <= offset:
                await asyncio.sleep(size / slow.rate)
        for stall in self._armed(Stall):
            if stall.after <= offset and self._is_open(stall):
                if stall.seconds is None:
                    await asyncio.get_running_loop().create_future()
                else:
                    await asyncio.sleep(stall.seconds)
                    self._used[stall] = 1

    def pass_on(self, offset: int) -> None:
        """Bytes up to `offset` have gone out: replace the package where that is due."""
        for fault in self._armed(Replace):
            if fault.after <= offset and self._counts(fault, 1):
                self.data = fault.data

    def _armed(self, kind: type[F]) -> list[F]:
        return [fault for fault in self.faults if isinstance(fault, kind)]

    def _is_open(self, fault: Stall | Cut) -> bool:
        times = 1 if isinstance(fault, Stall) else fault.times
        return self._used.get(fault, 0) < times

    def _counts(self, fault: Misbehaviour, times: int | None) -> bool:
        used = self._used.get(fault, 0)
        if times is not None and used >= times:
            return False
        self._used[fault] = used + 1
        return True


@functools.lru_cache(maxsize=8)
def _etag(data: bytes) -> bytes:
    """Asked for with each block of a package."""
    return hashlib.sha256(data).digest()[:8]


class Shelf:
    """`on_change` hears of every answer."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self.packages: dict[str, Package] = {}
        self.missed: list[str] = Noted(AMISS)
        """What was asked for last and is not here, since a package was published: "http: /fw/x.bin"."""

    def publish(self, name: str, data: bytes, at: PackageAddress | None = None) -> Package:
        """Offer `data`, at its name alone unless another address is given."""
        at = at or PackageAddress((name,))
        package = self.packages[name] = Package(name, data, at, on_change=self._on_change)
        self.missed = Noted(AMISS)
        return package

    def find(self, door: str, asked: PackageAddress) -> Package | None:
        """What a request through `door` asks for."""
        for package in self.packages.values():
            if package.at.is_meant_by(asked):
                return package
        self.missed.append(f"{door}: {asked}")
        return None

    def withdraw(self, name: str) -> None:
        self.packages.pop(name, None)
