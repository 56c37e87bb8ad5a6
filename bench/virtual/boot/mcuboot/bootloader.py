"""From reset to the jump, as Zephyr's port of MCUboot has it; everything it knows it reads from the flash.

The bootloader in the flash names its options and its key (see `bench.virtual.images`). The lines
around bootutil's own are those of boot/zephyr/main.c of each version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.virtual.boot.mcuboot.area import Unreachable
from bench.virtual.boot.mcuboot.boot_state import SLOT_NAMES, BootState, Panic
from bench.virtual.boot.mcuboot.direct_xip import DirectXipLoader
from bench.virtual.boot.mcuboot.image import Header, Malformed
from bench.virtual.boot.mcuboot.options import Options, Upgrade, Version, options_from
from bench.virtual.boot.mcuboot.overwrite import OverwriteLoader
from bench.virtual.boot.mcuboot.swap_loader import SwapLoader
from bench.virtual.boot.mcuboot.trailer import Flag, Magic, SwapType, swap_state
from bench.virtual.boot.mcuboot.validation import Keys
from bench.virtual.boot.traits import BOOTLOADER_MAGIC, DESCRIPTOR_OFFSET, TRAITS_MAGIC, unpacked
from bench.virtual.machine import Machine, RunningImage
from bench.virtual.process import Steps

REGION = "mcuboot"
_RELEASES = {Version.V2_1_0: "v2.1.0", Version.MAIN: "v2.4.0"}
"""As boot/zephyr/VERSION of each says."""
_ARRIVALS = {SwapType.TEST: "test", SwapType.PERMANENT: "test", SwapType.REVERT: "revert"}
_TRAITS_MOST = 0x1000


def descriptor_of(machine: Machine) -> Mapping[str, Any] | None:
    """What the bootloader in the flash says of itself; None where none is."""
    region = machine.regions[REGION]
    return unpacked(BOOTLOADER_MAGIC, machine.flash.read(region.offset + DESCRIPTOR_OFFSET, 0x400))


def options_of(machine: Machine) -> Options:
    """Those of the bootloader in the flash; the defaults where none is."""
    return options_from(descriptor_of(machine) or {})


def loader_of(boot: BootState) -> SwapLoader | OverwriteLoader | DirectXipLoader:
    """The way in which this MCUboot was built to upgrade."""
    upgrade = boot.options.upgrade
    if upgrade is Upgrade.OVERWRITE:
        return OverwriteLoader(boot)
    return DirectXipLoader(boot) if upgrade is Upgrade.DIRECT_XIP else SwapLoader(boot)


def boot(machine: Machine) -> Steps:
    """From reset to the jump; the generator's value is the `RunningImage`, or None when nothing boots."""
    machine.activity("boot")
    yield 0.02
    descriptor = descriptor_of(machine)
    if descriptor is None:
        return None  # no code either
    state = BootState(machine, options_from(descriptor), Keys(descriptor["public_key"]))
    direct = state.options.upgrade is Upgrade.DIRECT_XIP
    machine.print(f"*** Booting MCUboot {_RELEASES[state.options.version]} ***")
    state.log("I", f"Starting {'Direct-XIP ' if direct else ''}bootloader")
    loader = loader_of(state)
    machine.activity("flash")
    try:
        slot = yield from loader.run()
    except (Panic, Unreachable, Malformed):
        machine.activity("idle")
        return None  # an assertion: it stands still without a word
    if slot is None:
        state.log("E", "Unable to find bootable image")
        machine.activity("idle")
        return None
    machine.activity("boot")
    header = state.headers[slot]
    state.log("I", f"Bootloader chainload address offset: {state.slots[slot].start:#x}")
    if state.options.is_main:
        state.log("I", f"Image version: v{header.version}")
    state.log("I", f"Jumping to the {'' if direct else 'first '}image slot")
    return running_image(state, slot, header, loader.resumed or state.swap_type)


def running_image(state: BootState, slot: int, header: Header, done: int) -> RunningImage:
    """What runs from a slot, after a swap of the kind `done`."""
    area = state.slots[slot]
    length = min(_TRAITS_MOST, area.size - header.header_size - DESCRIPTOR_OFFSET)
    at = header.header_size + DESCRIPTOR_OFFSET
    block = unpacked(TRAITS_MAGIC, area.read(at, length)) if length > 0 else None
    arrival = next((name for kind, name in _ARRIVALS.items() if kind == done), "normal")
    return RunningImage(SLOT_NAMES[slot], header.version, block or {}, stays(state, slot), arrival)


def stays(state: BootState, slot: int) -> bool:
    """Whether the image in the slot has confirmed itself, or needs not (boot_is_img_confirmed)."""
    trailer = swap_state(state.slots[slot])
    return trailer.magic is not Magic.GOOD or trailer.image_ok is Flag.SET
