"""Who the far end of a session has proved to be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Proof(StrEnum):
    """What was proved with. A name of one kind says nothing about the same name of the other."""

    PSK = "PSK identity"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Identity:
    """`name` is the PSK identity, or the certificate's common name, to its last character."""

    proof: Proof
    name: str

    def __str__(self) -> str:
        return f"{self.proof} {self.name!r}"
