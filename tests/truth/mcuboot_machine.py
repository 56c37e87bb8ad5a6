"""A flash under the virtual MCUboot, no time passing, and what recordings of the real one say of it."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from recordings import records

from bench.virtual.boot.mcuboot.area import Unreachable
from bench.virtual.boot.mcuboot.boot_state import BootState, Panic
from bench.virtual.boot.mcuboot.bootloader import loader_of
from bench.virtual.boot.mcuboot.image import Malformed
from bench.virtual.boot.mcuboot.options import Options, Upgrade, Version, options_from
from bench.virtual.boot.mcuboot.validation import Keys
from bench.virtual.flash import Flash, FlashTiming
from bench.virtual.machine import Region
from bench.virtual.process import Cpu, Steps
from bench.virtual.scheduler import Scheduler

CHIP, SECTOR = 1 << 20, 0x1000
SLOT0 = 0x10000
PLACES = {
    "move": {"slot0": Region(SLOT0, 0x70000), "slot1": Region(0x80000, 0x70000)},
    "scratch": {
        "slot0": Region(SLOT0, 0x6E000),
        "slot1": Region(0x7E000, 0x6E000),
        "scratch": Region(0xEC000, 0x4000),
    },
}
for _other in ("offset", "overwrite-only", "direct-xip"):
    PLACES[_other] = PLACES["move"]
Call = tuple[str, int, int | bytes]

_FIRST, *_IMAGES = records("mcuboot_images")
IMAGES = {record["name"]: base64.b64decode(record["base64"]) for record in _IMAGES}
KEY = bytes.fromhex(_FIRST["public_key_der_hex"])


def content(spec: str) -> bytes:
    """What a spec of the recordings stands for."""
    if ":" not in spec:
        return bytes.fromhex(spec)
    what, length = spec.split(":")
    if what == "ff":
        return b"\xff" * int(length, 16)
    name, offset = what.split("+")
    start, size = int(offset, 16), int(length, 16)
    return IMAGES[name][start : start + size].ljust(size, b"\xff")


MODES: Mapping[str, Mapping[str, object]] = {
    "movebs": {"upgrade": "move", "by_counter": True, "bootstrap": True},
    "movecnt": {"upgrade": "move", "by_version": True, "by_image_counter": True},
    "over": {"upgrade": "overwrite-only", "by_version": True},
    "overhw": {"upgrade": "overwrite-only", "by_counter": True},
    "overbs": {"upgrade": "overwrite-only", "bootstrap": True},
    "overver": {"upgrade": "overwrite-only"},
    "xip": {"upgrade": "direct-xip", "by_counter": True},
    "xiprev": {"upgrade": "direct-xip", "by_counter": True, "revert": True},
}
"""Options of the builds of `mcuboot_modes`."""


def options_of_mode(build: str) -> Options:
    """Those of a build of `mcuboot_modes`; none has an allow-list where it is an option."""
    version, mode = build.split("_")
    options = options_from({"version": "main" if version == "main" else "2.1.0", **MODES[mode]})
    return replace(options, allow_list=False)


def options_of(build: str) -> Options:
    """Those of a recorded build; all but `plain` are the host's alone."""
    version, upgrade, kind = build.split("_")
    return Options(
        version=Version.MAIN if version == "main" else Version.V2_1_0,
        upgrade=Upgrade(upgrade),
        by_version=kind in ("sw", "full", "allow"),
        by_counter=kind in ("hw", "full", "allow"),
        allow_list=kind == "allow",
    )


class CountedFlash(Flash):
    """Does at once what it is asked; `calls` are what it was asked, `operations` their sectors and writes."""

    def __init__(self) -> None:
        super().__init__(CHIP, SECTOR, FlashTiming(0.0, 0.0), random.Random(1))
        self.calls: list[Call] = []

    @property
    def operations(self) -> int:
        return len(elementary(self.calls))

    def erase(self, offset: int, length: int, now: Any) -> Steps:
        self.calls.append(("e", offset, length))
        self.view[offset : offset + length] = b"\xff" * length
        yield from ()

    def write(self, offset: int, data: bytes, now: Any) -> Steps:
        self.calls.append(("w", offset, data))
        self.write_now(offset, data)
        yield from ()


class Outcome(NamedTuple):
    """Of a boot; `boots` is "panic" after an assertion."""

    boots: bool | str
    counter: int


class PlatformCounter:
    """The platform's security counter, beside the flash."""

    def __init__(self, value: int) -> None:
        self.value = value

    def raise_to(self, value: int) -> Steps:
        self.value = max(self.value, value)
        yield from ()


class Machine:
    """What a bootloader sees of a board; `lines` is what it printed."""

    name = "machine"

    def __init__(self, options: Options, key: bytes = KEY) -> None:
        self.options, self.key = options, key
        self.rng = random.Random(1)
        self.cpu = Cpu(Scheduler(1))
        self.flash = CountedFlash()
        self.regions = PLACES[options.upgrade]
        self.lines: list[str] = []
        self.started: int | None = None  # the slot that the last boot has started

    def now(self) -> float:
        return 0.0

    def print(self, text: str) -> None:
        self.lines.append(text)

    def activity(self, name: str) -> None:
        pass

    def reset(self, reason: str) -> None:
        raise AssertionError(f"reset: {reason}")

    # ---- what happens to it

    def load(self, flash: Iterable[Sequence[Any]]) -> None:
        self.flash.view[:] = b"\xff" * CHIP
        for address, spec in flash:
            self.put(address, content(spec))

    def put(self, address: int, data: bytes) -> None:
        self.flash.view[address : address + len(data)] = data

    def state(self) -> BootState:
        self.lines, self.flash.calls = [], []
        return BootState(self, self.options, Keys(self.key))

    def boot(self, counter: int) -> Outcome:
        state = self.state()
        kept = PlatformCounter(counter)
        state.counter = kept  # type: ignore[assignment]
        try:
            self.started = run(loader_of(state).run())
        except (Panic, Unreachable, Malformed):
            return Outcome("panic", kept.value)
        return Outcome(self.started is not None, kept.value)

    # ---- what is seen of it

    @property
    def image(self) -> str | None:
        """Whose bytes stand at the start of the primary slot."""
        return self._name_at(SLOT0)

    def _name_at(self, address: int) -> str | None:
        for name, data in IMAGES.items():
            if self.flash.view[address : address + len(data)] == data:
                return name
        return None

    @property
    def slot1(self) -> str:
        place = self.regions["slot1"]
        for offset in (0, SECTOR):
            name = self._name_at(place.offset + offset)
            if name is not None:
                return f"{name}@{offset:#x}"
        return "erased" if self.is_erased("slot1") else "other"

    def is_erased(self, region: str) -> bool:
        place = self.regions[region]
        return self.flash.is_erased(place.offset, place.size)

    def holds(self, flash: Iterable[Sequence[Any]]) -> bool:
        """Whether slots and scratch hold exactly that."""
        wanted = bytearray(b"\xff" * CHIP)
        for address, spec in flash:
            if spec.startswith("sha256:"):
                found = bytes(self.flash.view[address : address + SECTOR])
                if hashlib.sha256(found).hexdigest()[:16] != spec.removeprefix("sha256:"):
                    return False
                wanted[address : address + SECTOR] = found
            else:
                data = content(spec)
                wanted[address : address + len(data)] = data
        return all(
            self.flash.view[place.offset : place.offset + place.size]
            == wanted[place.offset : place.offset + place.size]
            for place in self.regions.values()
        )


def run(steps: Steps) -> Any:
    """Run to the end, no time passing; the value."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


def elementary(calls: Iterable[Sequence[Any]]) -> list[Call]:
    """Each sector of an erase, and each write, one by one."""
    found: list[Call] = []
    for kind, address, what in calls:
        if kind == "e":
            found += [("e", at, SECTOR) for at in range(address, address + what, SECTOR)]
        else:
            found.append(("w", address, what))
    return found
