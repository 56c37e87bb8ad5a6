"""What a seeded defect is, and how it is laid over healthy code and taken off again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

BOARDS = ("nrf9160", "esp32")
NRF9160, ESP32 = ("nrf9160",), ("esp32",)


@dataclass(frozen=True, slots=True)
class Patch:
    """`make(healthy value)` stands in the place of `name` of `owner`: a class, a module or a dictionary."""

    owner: Any
    name: str
    make: Callable[[Any], Any]

    @property
    def healthy(self) -> Any:
        """What stands there now, as it is stored. Raises `KeyError` when `owner` itself has no such name."""
        return self._names[self.name]

    @property
    def _names(self) -> Any:
        return self.owner if isinstance(self.owner, dict) else vars(self.owner)

    def put(self, value: Any) -> None:
        if isinstance(self.owner, dict):
            self.owner[self.name] = value
        else:
            setattr(self.owner, self.name, value)


@dataclass(frozen=True, slots=True)
class Defect:
    """`text` is one sentence about the device; `source` the public defect that inspired it, or "own".

    `boards` are the kinds of virtual boards that have it. `hints` name testcases that most likely find
    it: they are tried first, and all others after them. `equivalent` says, where it is one, why no
    testcase can find it. `bench` names the bench file, beside the usual one, whose boards show it.
    """

    name: str
    area: str
    text: str
    source: str
    patches: tuple[Patch, ...]
    boards: tuple[str, ...] = BOARDS
    hints: tuple[str, ...] = ()
    equivalent: str = ""
    bench: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


@contextlib.contextmanager
def seeded(defect: Defect) -> Iterator[None]:
    """Inside the block every virtual device made or running has the defect."""
    held = [(patch, patch.healthy) for patch in defect.patches]
    try:
        for patch, healthy in held:
            patch.put(patch.make(healthy))
        yield
    finally:
        for patch, healthy in reversed(held):
            patch.put(healthy)


class Area:
    """Collects the defects of one file; use an instance as a decorator of what makes the defective value.

    The decorated function's name, with hyphens, is the defect's; its docstring is the text.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.defects: list[Defect] = []

    def __call__(
        self,
        owner: Any,
        name: str,
        *,
        source: str,
        hints: tuple[str, ...],
        boards: tuple[str, ...] = BOARDS,
        also: tuple[Patch, ...] = (),
        equivalent: str = "",
        bench: str = "",
    ) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
        def register(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
            self.defects.append(
                Defect(
                    name=make.__name__.replace("_", "-"),
                    area=self.name,
                    text=" ".join((make.__doc__ or "").split()),
                    source=source,
                    patches=(Patch(owner, name, make), *also),
                    boards=boards,
                    hints=hints,
                    equivalent=equivalent,
                    bench=bench,
                )
            )
            return make

        return register


def always(value: Any) -> Callable[[Any], Any]:
    """For a `Patch` that puts a fixed value, whatever stood there."""
    return lambda healthy: value
