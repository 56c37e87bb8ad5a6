"""Ports of a virtual bench: none is given twice, although each is bound only after all are chosen."""

from __future__ import annotations

import pytest

from bench.errors import PlantError
from bench.virtual import plant


def test_no_port_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plant, "PORTS", range(20_000, 20_064))
    ports = plant._FreePorts()
    taken: list[int] = []
    while len(taken) < 16:
        taken.append(ports.take("127.0.0.1"))
    assert len(set(taken)) == 16


def test_no_port_left_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plant, "PORTS", range(20_000, 20_000))
    with pytest.raises(PlantError, match=r"from 20000 on is free on 127\.0\.0\.1"):
        plant._FreePorts().take("127.0.0.1")
