"""What a board type may draw: the product's own limits."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from bench.config.table import Table


class EnergySettings(Table):
    """`update` joules for a whole update at good signal, `floor` amperes at rest, `settles` seconds of rest
    after which it must be there, `tolerance` the share by which the floor may differ before and after an
    update, `peak` amperes at any moment. `sending` amperes are the most while it downloads at good signal,
    where a radio that adapts its power sends with little (None: it does not adapt).
    """

    update: PositiveFloat
    floor: PositiveFloat
    peak: PositiveFloat
    sending: PositiveFloat | None = None
    settles: float = Field(60.0, gt=0)
    tolerance: float = Field(0.1, gt=0, lt=1)
