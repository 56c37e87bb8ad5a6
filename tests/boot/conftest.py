"""Small images for the bootloader tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = 20_000


@pytest.fixture(scope="session")
def small_image(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Builds of a few pages, so that a cut at every operation stays quick."""
    from bench.virtual.images import build

    folder: Path = tmp_path_factory.mktemp("images")

    def make(board: str, version: str, **options: object) -> bytes:
        size = SMALL if board == "nrf9160" else 70_000
        return build(board, version, size=size, out=folder / f"{board}-{version}", **options).read_bytes()  # type: ignore[arg-type]

    return make
