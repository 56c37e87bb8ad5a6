"""What only a virtual board can have."""

from __future__ import annotations

from collections.abc import Iterator

from bench.config.board_type import BoardType
from bench.config.draft import Draft
from bench.config.finding import Finding


def virtual_bootloaders(draft: Draft) -> Iterator[Finding]:
    """Machine code is executed on a virtual nRF9160 alone, and the bench file gives it."""
    for name in draft.boards:
        settings, found = draft.table("boards", name, "virtual"), draft.type_of(name)
        if not settings:
            continue
        place = ("boards", name, "virtual")
        if not draft.has_plant:
            yield draft.finding(
                place, None, "this bench file has no `plant`: the board is a real one", "remove it"
            )
            continue
        if settings.get("bootloader") != "binary":
            if "upgrade" in settings:
                yield draft.finding(
                    (*place, "upgrade"),
                    settings["upgrade"],
                    "the model's bootloader says itself how it upgrades",
                    'remove it, or set bootloader = "binary"',
                )
            continue
        if isinstance(found, BoardType) and found.driver != "nrf9160":
            yield draft.finding(
                (*place, "bootloader"),
                "binary",
                f"no machine code is executed on a virtual {found.driver}",
                'set "model"',
            )
        elif not any(is_zero(key) for key in draft.table("boards", name, "images", "factory")):
            yield draft.finding(
                (*place, "bootloader"),
                "binary",
                "there is no factory part for 0x0, where the core starts",
                'give it: images.factory = { "0x0" = "mcuboot.bin" }',
            )


def is_zero(address: str) -> bool:
    """Whether a factory part goes to where the core starts."""
    try:
        return int(address, 0) == 0
    except ValueError:  # the table says so itself
        return False
