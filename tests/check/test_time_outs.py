"""Time-outs that would fail a device that does everything right are refused, and say why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.config import ProcessType, load_bench
from bench.config.draft import Draft
from bench.config.finding import Finding
from bench.config.rules.patience import time_outs_of_conforming_devices

ROOT = Path(__file__).parents[2]
FAIR = {"boot": 10, "registration": 40, "download": 120, "update": 30, "rollback": 100}


def findings(lifetime: int = 60, transmission: dict[str, Any] | None = None, **times: float) -> list[Finding]:
    described: dict[str, Any] = {
        "name": "x",
        "title": "x",
        "kind": "process",
        "command": ["x"],
        "lifetime": lifetime,
        "images": {
            "baseline": {"version": "1"},
            "update": {"file": "u", "version": "2"},
        },
        "profile": {"transmission": transmission or {}},
        "timeouts": {**FAIR, **times},
    }
    types = {"x": ProcessType.model_validate(described)}
    draft = Draft(Path("bench.toml"), {}, types, frozenset({"x"}), has_plant=False)
    return list(time_outs_of_conforming_devices(draft))


def test_fair_ones() -> None:
    assert findings() == []


@pytest.mark.parametrize(
    ("key", "changed", "reason", "cure"),
    [
        ("download", {"download": 93}, r"after 93 s \(RFC 7252, 4\.8\.2\)", "more than 93 seconds"),
        (
            "download",
            {"download": 180, "transmission": {"ack_timeout": 4.0}, "registration": 140, "rollback": 200},
            "after 186 s",
            "more than 186",
        ),
        ("registration", {"registration": 33}, "lifetime of 60 s", "more than 33 seconds"),
        ("registration", {"lifetime": 20}, "lifetime of 20 s", "more than 73 seconds"),
        ("update", {"update": 9}, "boot is 10 s", "more than 10 seconds"),
        ("rollback", {"rollback": 69}, "a roll-back is an update that fails", "more than 70 seconds"),
    ],
)
def test_unfair_ones(key: str, changed: dict[str, Any], reason: str, cure: str) -> None:
    (found,) = findings(**changed)
    assert found.key == f"timeouts.{key}"
    assert found.file == Path("x.toml")
    assert reason.replace("\\", "") in found.reason
    assert cure in found.cure


@pytest.mark.parametrize("file", sorted((ROOT / "boards").glob("virtual*.toml")), ids=lambda f: f.stem)
def test_the_boards_of_this_project_are_fair(file: Path) -> None:
    if "[boards" in file.read_text("utf-8"):
        load_bench(file)
