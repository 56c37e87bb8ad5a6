"""The virtual MCUboot does what bootutil of main and of v2.1.0 does: see data/mcuboot.md."""

from __future__ import annotations

import base64
import hashlib
import random
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from mcuboot_machine import (
    IMAGES,
    SECTOR,
    SLOT0,
    Call,
    Machine,
    Outcome,
    content,
    elementary,
    options_of,
    options_of_mode,
    run,
)
from recordings import Agreement, records

from bench.virtual.boot.mcuboot.boot_state import SLOT_NAMES
from bench.virtual.boot.mcuboot.request import set_confirmed, set_pending
from bench.virtual.boot.mcuboot.slot_check import SlotCheck
from bench.virtual.boot.mcuboot.trailer import TRAILER_MAGIC

BUILDS = ("main_move", "v210_move", "main_scratch", "v210_scratch", "main_offset")


@cache
def traces() -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in records("mcuboot_traces")}


def calls_of(trace: dict[str, Any]) -> list[Call]:
    return [(kind, at, what if kind == "e" else content(what)) for kind, at, what in trace["ops"]]


# ---- every flash operation


def ask(machine: Machine, scenario: str) -> bool:
    """boot_set_pending or boot_set_confirmed; whether it returned 0."""
    state = machine.state()
    if "confirmed" in scenario:
        return bool(run(set_confirmed(state.primary, machine.options)))
    return bool(run(set_pending(state.secondary, machine.options, permanent="permanent" in scenario)))


def test_traces() -> None:
    agreement = Agreement()
    for case, record in traces().items():
        machine = Machine(options_of(record["build"]))
        machine.load(record["start"])
        result = record["result"]
        if "rc" in result:
            agreement.compare("returned 0", case, ask(machine, record["scenario"]), result["rc"] == 0)
        else:
            found = machine.boot(record["counter"])
            agreement.compare("decision", case, found, Outcome(result["boots"], result["counter"]))
            agreement.compare("image", case, machine.image, result["image"])
        agreement.compare("operations", case, machine.flash.calls, calls_of(record))
        agreement.compare("flash afterwards", case, machine.holds(record["after"]), True)
        agreement.compare("log", case, machine.lines, record["log"])
    agreement.whole()


# ---- power cuts


def cut(machine: Machine, trace: dict[str, Any], operation: int, tear: int) -> None:
    """Leave what a power cut at an elementary operation of the trace leaves."""
    machine.load(trace["start"])
    steps = elementary(calls_of(trace))
    for kind, at, what in steps[:operation]:
        if kind == "e":
            machine.flash.erase_now(at)
        else:
            machine.flash.write_now(at, what)  # type: ignore[arg-type]
    if tear == 0:
        return
    kind, at, what = steps[operation]
    old = machine.flash.read(at, SECTOR)
    if kind == "e":
        half, mask = (SECTOR // 2, 0x5A) if tear == 1 else (0, 0xA5)
        machine.put(at, b"\xff" * half + bytes(byte | mask for byte in old[half:]))
        return
    assert isinstance(what, bytes)
    whole, mask = (len(what) // 4 // 2 * 4, 0x5A) if tear == 1 else (0, 0xA5)
    torn = bytes(byte | mask for byte in what[whole : whole + 4])
    machine.flash.write_now(at, what[:whole] + torn)


def outcome(machine: Machine, found: Outcome) -> dict[str, Any]:
    told = {"boots": found.boots, "counter": found.counter, "slot1": machine.slot1}
    told["ops"] = machine.flash.operations
    return {**told, "image": machine.image} if found.boots is True else told


@pytest.mark.parametrize("build", BUILDS)
def test_power_cuts(build: str) -> None:
    agreement = Agreement()
    for record in records("mcuboot_cuts"):
        if not record["trace"].startswith(build):
            continue
        trace = traces()[record["trace"]]
        case = f"{record['trace']}, operation {record['op']}, tear {record['tear']}"
        machine = Machine(options_of(trace["build"]))
        cut(machine, trace, record["op"], record["tear"])
        found = machine.boot(record["counter"])
        agreement.compare("next boot", case, outcome(machine, found), record["next"])
        agreement.compare("flash afterwards", case, machine.holds(record["after"]), True)
        agreement.compare("log", case, machine.lines, record["log"])
        kept = bytes(machine.flash.view)
        again = outcome(machine, machine.boot(found.counter))
        agreement.compare("then unconfirmed", case, again, record["unconfirmed"])
        machine.put(0, kept)
        run(set_confirmed(machine.state().primary, machine.options))
        again = outcome(machine, machine.boot(found.counter))
        agreement.compare("then confirmed", case, again, record["confirmed"])
    agreement.whole()


# ---- trailers


def test_trailers() -> None:
    agreement = Agreement()
    for record in records("mcuboot_trailers"):
        machine, result, case = Machine(options_of(record["build"])), record["result"], record["id"]
        machine.load(record["start"])
        found = machine.boot(record["counter"])
        agreement.compare("decision", case, found.boots, result["boots"])
        if result["boots"] == "panic":
            continue
        agreement.compare("counter", case, found.counter, result["counter"])
        agreement.compare("image", case, machine.image if found.boots else None, result.get("image"))
        agreement.compare("number of operations", case, machine.flash.operations, result["ops"])
        agreement.compare("flash afterwards", case, machine.holds(record["after"]), True)
        agreement.compare("log", case, machine.lines, record["log"])
    agreement.whole()


RANDOM_TRAILERS = 20_000
_BYTES = (0xFF, 0xFF, 0x01, 0x00, 0x02, 0x03, 0x04, 0x05, 0x14, 0xA5)


def random_trailer(rng: random.Random, entries: int) -> bytes:
    """Fields as MCUboot writes them, or as nothing does; a status with gaps in it."""
    status = b""
    if rng.random() < 0.5:
        done = rng.randrange(entries)
        status = b"".join(
            bytes([rng.choice((1, 2, 3, 0xFF)) if n < done else 0xFF]) + b"\xff\xff\xff"
            for n in range(entries)
        )
    sizes = b"".join(
        rng.choice((b"\xff" * 8, rng.randbytes(8), rng.randrange(0x80000).to_bytes(8, "little")))
        for _ in range(2)
    )
    fields = b"".join(bytes([rng.choice((*_BYTES, rng.randrange(256)))]) + b"\xff" * 7 for _ in range(3))
    magic = rng.choice((TRAILER_MAGIC, TRAILER_MAGIC, b"\xff" * 16, rng.randbytes(16)))
    return status + sizes + fields + magic


def test_no_flash_content_is_more_than_a_boot_can_take() -> None:
    """Whatever the trailers hold: an image starts, none does, or MCUboot's own assertion ends it."""
    rng, names = random.Random(20), [name for name in IMAGES if name != "random"]
    machines = [Machine(options_of(f"{build}_full")) for build in BUILDS]
    found = set()
    for number in range(RANDOM_TRAILERS):
        machine = machines[number % len(machines)]
        machine.flash.view[:] = b"\xff" * len(machine.flash.view)
        for name, place in machine.regions.items():
            if name != "scratch":
                image = IMAGES[rng.choice(names)]
                machine.put(place.offset + rng.choice((0, 0, SECTOR)), image)
            trailer = random_trailer(rng, 3 if name == "scratch" else 384)
            machine.put(place.offset + place.size - len(trailer), trailer)
        found.add(machine.boot(0).boots)
    assert found == {True, False, "panic"}


# ---- images


def parts(image: list[Any]) -> bytes:
    return b"".join(
        base64.b64decode(part) if isinstance(part, str) else bytes([part["fill"]]) * part["n"]
        for part in image
    )


def test_acceptance() -> None:
    first, *cases = records("mcuboot_acceptance")
    private = load_pem_private_key(first["key_pem"].encode(), None)
    key = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    agreement = Agreement()
    for record in cases:
        image = parts(record["image"])
        for build, result in record["results"].items():
            machine, case = Machine(options_of(build), key), f"{record['name']}, {build}"
            machine.load([])
            machine.put(SLOT0, base64.b64decode(first["base"]))
            place = machine.regions["slot1"]
            machine.put(place.offset + SECTOR * (machine.options.upgrade == "offset"), image)
            machine.put(place.offset + place.size - len(TRAILER_MAGIC), TRAILER_MAGIC)
            found = machine.boot(record["board_counter"])
            runs = found.boots is True and machine.flash.view[SLOT0 : SLOT0 + len(image)] == image
            agreement.compare("accepted", case, runs, result["accepted"])
            decision = Outcome(result["boots"], result["counter"])
            agreement.compare("decision", case, found, decision)
            erased = machine.is_erased("slot1")
            agreement.compare("secondary erased", case, erased, result["secondary_erased"])
            agreement.compare("log", case, machine.lines, result["log"])
    agreement.whole()


# ---- other ways to upgrade


def test_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    checks_address = SlotCheck._is_for_primary
    agreement = Agreement()
    for record in records("mcuboot_modes"):
        case, result = record["id"], record["result"]
        machine = Machine(options_of_mode(record["build"]))
        looks = checks_address if "overver" in record["build"] else lambda self: True
        monkeypatch.setattr(SlotCheck, "_is_for_primary", looks)
        machine.load(record["start"])
        found = machine.boot(record["counter"])
        agreement.compare("decision", case, found.boots, result["boots"])
        if result["boots"] == "panic":
            continue
        slot = None if machine.started is None else SLOT_NAMES[machine.started]
        agreement.compare("slot", case, slot, result["slot"])
        agreement.compare("counter", case, found.counter, result["counter"])
        agreement.compare("number of operations", case, machine.flash.operations, result["ops"])
        slots = machine.flash.read(SLOT0, 2 * 0x70000)
        agreement.compare("slots", case, hashlib.sha256(slots).hexdigest()[:16], record["after"])
        agreement.compare("log", case, machine.lines, record["log"])
    agreement.whole()
