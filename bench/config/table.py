"""What every table of a TOML file has in common."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """Unknown keys are mistakes, and settings do not change after they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    written: ClassVar[str] = "give a table here, [name] or { key = value }"
    """How such a table is written, for who has written something else."""
