"""The radio of a board type: what it is, how it tells its signal, and at which levels it is tested."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bench.config.table import Table

Technology = Literal["lte-m", "nb-iot", "wifi"]
ReportSource = Literal["at+cesq", "at%coneval", "lwm2m"]
Dbm = float


class RadioSettings(Table):
    """Levels in dBm (RSRP, or RSSI of Wi-Fi).

    `report` is where the bench reads the signal: an AT command on the console, or object 4. `levels` are
    those at which updates are tested, from the best to the worst, `knee` is where a transfer begins to
    cost more, and below `lost` there is no service. `rejoin` is how many bench seconds after coverage
    returned the device must be back at the latest. In weak signal the board's time-outs are `patience`
    times as long.
    """

    technology: Technology
    report: ReportSource = "lwm2m"
    levels: tuple[Dbm, ...] = Field(min_length=1)
    knee: Dbm
    lost: Dbm
    rejoin: float = Field(180.0, gt=0)
    patience: float = Field(3.0, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> RadioSettings:
        if list(self.levels) != sorted(self.levels, reverse=True):
            raise ValueError(f"levels {list(self.levels)} must go from the best to the worst")
        if not -157 <= self.lost < self.knee < self.levels[0] <= -30:
            raise ValueError(
                f"-157 <= lost ({self.lost:g}) < knee ({self.knee:g}) < first level ({self.levels[0]:g}) "
                "<= -30 dBm does not hold"
            )
        return self
