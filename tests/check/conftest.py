"""A folder with a right bench file, and a copy of it for each test that breaks it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bench_folder import GOOD, fill


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    fill(folder)
    shutil.rmtree(folder / "built")
    return folder


@pytest.fixture
def desk(pristine: Path, tmp_path: Path) -> Path:
    """The bench file, `bench.toml` in a folder of its own."""
    folder = tmp_path / "desk"
    shutil.copytree(pristine, folder)
    (folder / "bench.toml").write_text(GOOD, "utf-8")
    return folder / "bench.toml"
