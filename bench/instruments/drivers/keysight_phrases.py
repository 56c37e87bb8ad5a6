"""What Keysight's supplies have in common: SCPI with a channel list, `VOLT 3.7,(@1)`.

A command has a comma before its channel list and a query a space; with the other one it is -103.
"""

from __future__ import annotations

from bench.instruments.leftovers import Leftover
from bench.instruments.scpi_channel import Phrases, Setting


def _listed(header: str) -> Setting:
    return Setting((f"{header} {{value}},(@{{n}})",), f"{header}? (@{{n}})")


def keysight_phrases(
    *, current_limit: str = "CURR", ovp: str = "VOLT:PROT", clear: tuple[str, ...]
) -> Phrases:
    """`current_limit` and `ovp` are what the model calls them, `clear` the headers that unlatch."""
    return Phrases(
        voltage=_listed("VOLT"),
        current_limit=_listed(current_limit),
        output=_listed("OUTP"),
        measured_voltage="MEAS:VOLT? (@{n})",
        measured_current="MEAS:CURR? (@{n})",
        ovp=_listed(ovp),
        ocp=_listed("CURR:PROT:STAT"),
        clear=tuple(f"{header} (@{{n}})" for header in clear),
    )


def listed_mode(
    what: str, header: str, plain: str, *before: str, off_first: bool = True, certain: bool = True
) -> Leftover:
    """A mode of an output, `plain` where nothing is left; `before` goes out before it is set so."""
    ask, put = f"{header}? (@{{n}})", f"{header} {plain},(@{{n}})"
    return Leftover(what, (ask,), (plain,), (*before, put), off_first=off_first, certain=certain)
