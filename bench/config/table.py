"""What every table of a TOML file has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """Unknown keys are mistakes, and settings do not change after they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
