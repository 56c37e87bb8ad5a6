"""Every rule, and the bench that has passed them."""

from __future__ import annotations

from pathlib import Path

from bench.check.images import board_images, executed_bootloaders, factory_parts, programs, signing_keys
from bench.check.instruments import addresses, drivers, meters, outputs
from bench.check.named import plants_and_providers
from bench.check.server import certificates, certificates_of_boards, told_to_boards
from bench.check.tables import own_requirements
from bench.config import Bench, load_bench
from bench.config.draft import Rule
from bench.config.rules import RULES as OF_FILES

RULES: tuple[Rule, ...] = (
    *OF_FILES,
    plants_and_providers,
    own_requirements,
    drivers,
    addresses,
    outputs,
    meters,
    told_to_boards,
    certificates,
    certificates_of_boards,
    board_images,
    executed_bootloaders,
    factory_parts,
    signing_keys,
    programs,
)


def checked_bench(path: Path, boards: tuple[str, ...] = ()) -> Bench:
    """As `load_bench`, held against every rule. Raises `Mistakes`, which names all there are."""
    return load_bench(path, boards, RULES)
