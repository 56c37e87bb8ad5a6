"""Runs that several tests look at are made once; who tampers with one takes a copy."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from signoff_rig import FAILS, Rig, copy_of

needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.mktemp("testcases"))


@pytest.fixture(scope="session")
def healthy_run(rig: Rig) -> Path:
    return rig.run(results="results-healthy")


@pytest.fixture(scope="session")
def failing_run(rig: Rig) -> Path:
    """The same test on two boards, one failing."""
    return rig.run(results="results-failing", env={FAILS: "two"})


@pytest.fixture
def healthy(healthy_run: Path, tmp_path: Path) -> Path:
    return copy_of(healthy_run, tmp_path)


@pytest.fixture
def failing(failing_run: Path, tmp_path: Path) -> Path:
    return copy_of(failing_run, tmp_path)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key to sign with; `allowed` beside it names its owner."""
    program = shutil.which("ssh-keygen")
    if program is None:
        pytest.skip("no ssh-keygen")
    made = tmp_path_factory.mktemp("keys") / "release"
    command = [program, "-q", "-t", "ed25519", "-N", "", "-C", "release", "-f", str(made)]
    subprocess.run(command, check=True)
    public = made.with_suffix(".pub").read_text()
    (made.parent / "allowed").write_text(f"release@example.org {public}")
    return made


@pytest.fixture
def waiver(tmp_path: Path) -> Callable[..., Path]:
    """`waiver(**keys)`: a file with one waiver; a key that is None is left out."""

    def write(**keys: str | None) -> Path:
        file = tmp_path / "waivers.toml"
        rows = "".join(f"{key} = {value}\n" for key, value in keys.items() if value is not None)
        file.write_text(f"[[waiver]]\n{rows}", encoding="utf-8")
        return file

    return write
