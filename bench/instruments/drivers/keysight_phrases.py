"""What Keysight's supplies have in common: SCPI with a channel list, `VOLT 3.7,(@1)`."""

from __future__ import annotations

from bench.instruments.scpi_channel import Phrases, Setting


def _listed(header: str) -> Setting:
    return Setting((f"{header} {{value}},(@{{n}})",), f"{header}? (@{{n}})")


def keysight_phrases(*, current_limit: str = "CURR", clear: tuple[str, ...]) -> Phrases:
    """`current_limit` is what the model calls its current limit, `clear` the headers that unlatch."""
    return Phrases(
        voltage=_listed("VOLT"),
        current_limit=_listed(current_limit),
        output=_listed("OUTP"),
        measured_voltage="MEAS:VOLT? (@{n})",
        measured_current="MEAS:CURR? (@{n})",
        ovp=_listed("VOLT:PROT"),
        ocp=_listed("CURR:PROT:STAT"),
        clear=tuple(f"{header} (@{{n}})" for header in clear),
    )
