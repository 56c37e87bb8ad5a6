"""The probes of the open plant. Free of pyOCD, so that importing it never starts pyOCD's plug-in search."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.virtual.nrf91.chip import Nrf91Chip

PROBES: dict[str, Nrf91Chip] = {}
"""Chips of the open plant, by probe UID."""

REMOTE_PROBES = "BENCH_PROBES"
"""Environment variable that names probes of a bench in another process: "UID=HOST:PORT,UID=HOST:PORT"."""
