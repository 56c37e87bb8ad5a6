"""Ports of a virtual bench: none is given twice, although each is bound only after all are chosen."""

from __future__ import annotations

import pytest

from bench.errors import PlantError
from bench.virtual import plant


def test_no_port_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plant, "PORTS", range(20_000, 20_064))
    ports = plant._FreePorts()
    taken = []
    with pytest.raises(PlantError, match="from 20000 on is free on 127.0.0.1"):
        while True:
            taken.append(ports.take("127.0.0.1"))
    assert len(taken) == len(set(taken)) > 16
