"""Whether the chip behind a wire is the one that the board file is for."""

from __future__ import annotations

from dataclasses import dataclass

from bench.config import ChipSettings
from bench.errors import WrongChipError


@dataclass(frozen=True, slots=True)
class ChipIdentity:
    """What a chip says of itself; `flash` and `ram` in bytes, None where it does not say."""

    part: str
    variant: str = ""
    flash: int | None = None
    ram: int | None = None


def check_chip(board: str, wanted: ChipSettings, found: ChipIdentity) -> None:
    """Raise `WrongChipError` naming all that differs. What `wanted` or the chip leaves open fits."""
    differences = []
    if wanted.part is not None and found.part.lower() != wanted.part.lower():
        differences.append(f"part {found.part}, not {wanted.part}")
    if wanted.variants and found.variant not in wanted.variants:
        differences.append(f"variant {found.variant or 'unknown'}, not {' or '.join(wanted.variants)}")
    for what, has, wants in (("flash", found.flash, wanted.flash), ("RAM", found.ram, wanted.ram)):
        if wants is not None and has is not None and has != wants:
            differences.append(f"{has:#x} bytes of {what}, not {wants:#x}")
    if differences:
        raise WrongChipError(
            f"{board}: the chip is another than its board file says: {'; '.join(differences)}",
            help="nothing was erased or written; is it the right board behind this probe? "
            "if so correct [chip] and flash_size in the board file",
        )
