"""What pyOCD's entry point loads. Nobody else may import this module: it starts pyOCD's own import."""

from __future__ import annotations

from typing import Any

from pyocd.core.plugin import Plugin


class VirtualProbePlugin(Plugin):
    """Offers the probes of a virtual bench; of none where no bench runs."""

    def load(self) -> Any:
        from bench.virtual.nrf91.probe import VirtualProbe

        return VirtualProbe

    @property
    def name(self) -> str:
        return "bench"

    @property
    def description(self) -> str:
        return "Probes of the virtual LwM2M firmware update bench"
