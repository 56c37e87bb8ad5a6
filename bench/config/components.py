"""Components beside the application (object 33629), as a board's maker describes them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from bench.config.nearest import suggestion
from bench.config.table import Mistake, Table, refuse
from bench.errors import NotApplicable

Relation = Literal["linked", "conflicting", "dependent", "bundle"]
BUNDLE = "bundle"
"""The name under which `images.components` has the package for several components."""


class ComponentSettings(Table):
    """Names as the device tells them (resource 14); packages are found by the same names.

    `installed` are all components with the version that a fresh board has; `linked` are updated
    together; of `conflicting` only one may be downloaded at a time; of `dependent` the first one's
    package needs the second one's; `bundle` are those that one package named "bundle" is for.
    """

    installed: dict[str, str]
    linked: tuple[str, str] | None = None
    conflicting: tuple[str, str] | None = None
    dependent: tuple[str, str] | None = None
    bundle: tuple[str, str] | None = None

    def pair(self, relation: Relation) -> tuple[str, str]:
        """Two components by what they are to each other. Raises `NotApplicable` when there are none."""
        named: tuple[str, str] | None = getattr(self, relation)
        if named is None:
            raise NotApplicable(f"the board file's [components] names none that are {relation!r}")
        return named

    @model_validator(mode="after")
    def _known(self) -> Self:
        named = {name: getattr(self, name) or () for name in ("linked", "conflicting", "dependent", "bundle")}
        refuse(
            Mistake(
                (),
                f"{name!r} is not one of installed: {', '.join(self.installed)}",
                f"correct {key}: {suggestion(name, self.installed, 'components')}",
            )
            for key, pair in named.items()
            for name in pair
            if name not in self.installed
        )
        return self
