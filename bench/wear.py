"""Erases of flash pages, and what they mean for how long the flash lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wear:
    """`erases` by page address; `regions` name and size (bytes) by start address; `endurance` of a page."""

    endurance: int
    erases: Mapping[int, int] = field(default_factory=dict)
    regions: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """Erases of the page that has most."""
        return max(self.erases.values(), default=0)

    def since(self, before: Wear) -> Wear:
        """What came to it since `before`."""
        gained = {page: count - before.erases.get(page, 0) for page, count in self.erases.items()}
        return Wear(self.endurance, {p: n for p, n in gained.items() if n}, self.regions)

    def of_region(self, name: str) -> list[int]:
        """Erases of the region's pages that were erased at all, in the order of their addresses."""
        start, size = self.regions[name]
        return [count for page, count in sorted(self.erases.items()) if start <= page < start + size]

    def __str__(self) -> str:
        parts = []
        for name in self.regions:
            counts = self.of_region(name)
            if counts:
                span = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
                parts.append(f"{name}: {len(counts)} pages erased {span} times each")
        worst = f"; at {self.endurance} erases a page"
        return "; ".join(parts) + worst if parts else "no page was erased"
