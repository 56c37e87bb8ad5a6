"""Which content formats to try with a device, in what order.

What it lists in its registration ("ct") counts first; LwM2M 1.0 makes text, opaque and TLV mandatory and
lists only what comes on top. What it refuses once is not tried again under that registration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from bench.lwm2m.codecs.values import Path, Single
from bench.lwm2m.interfaces.registration import Registration
from bench.lwm2m.management.requests import CoapError
from bench.lwm2m.model import content

Wish = TypeVar("Wish", bound=int | None)
Found = TypeVar("Found")

MANDATORY_IN_1_0 = frozenset({content.TEXT, content.OPAQUE, content.TLV})
UNLISTED = (content.TLV, content.SENML_CBOR, content.SENML_JSON)
"""What a client of LwM2M 1.1 or later that lists nothing of the kind may have."""
COMPOSITE = (content.SENML_CBOR, content.SENML_JSON, content.SENML_ETCH_CBOR, content.SENML_ETCH_JSON)
READ_REFUSALS = ("4.06", "4.02")
"""Not Acceptable; Bad Option by a client that does not know Accept."""
SINGLE_READ_REFUSALS = (*READ_REFUSALS, "5.00")
"""Internal Server Error by a client that has no format of its own choice."""
WRITE_REFUSALS = ("4.15",)


class Formats:
    """The formats to try with one device. Each list is in the order of trial, and never empty."""

    def __init__(self, registration: Registration) -> None:
        self._registration = registration

    @property
    def _listed(self) -> frozenset[int]:
        listed = self._registration.formats
        return listed | MANDATORY_IN_1_0 if self._registration.version == "1.0" else listed

    def for_read(self, base: Path) -> list[int | None]:
        """None asks without Accept, for the device's own choice.

        One resource is asked for so first: every client can tell one value somehow. Some answer 5.00 all the
        same, or in TLV without telling the type; then the formats that they list are tried.
        """
        if len(base) > 2:
            plain = [content.TEXT] if content.TEXT in self._listed else []
            return [None, *plain, *self._left(f for f in content.STRUCTURED if f in self._listed)]
        return [*self._left(f for f in content.STRUCTURED if f in self._listed), None]

    def for_write(self, value: Single | Mapping[int, Any]) -> list[int]:
        """A plain value as text or opaque when the device may know these, else like the structured ones."""
        structured = self.structured()
        if isinstance(value, Mapping):
            return structured
        plain = content.OPAQUE if isinstance(value, bytes) else content.TEXT
        if not self._listed or plain in self._listed:
            return [*self._left([plain]), *structured]
        return [*structured, plain]

    def structured(self) -> list[int]:
        """Those that can hold several values."""
        listed = [f for f in content.STRUCTURED if f in self._listed]
        return self._left(listed or UNLISTED) or [content.TLV]

    def composite(self) -> list[int]:
        """Composite operations know SenML only; a client that has them has one kind of it."""
        listed = [f for f in COMPOSITE if f in self._listed]
        return self._left(listed) or self._left(COMPOSITE[:2]) or [content.SENML_CBOR]

    def _left(self, formats: Iterable[int]) -> list[int]:
        refused = self._registration.refused_formats
        return [f for f in formats if f not in refused]

    def refused(self, content_format: int | None) -> None:
        """A plain format is refused for the sake of one resource; the others, whatever they are for."""
        if content_format in content.STRUCTURED or content_format in COMPOSITE:
            self._registration.refused_formats.add(content_format)


async def first_accepted(
    formats: Formats,
    candidates: Sequence[Wish],
    refusals: tuple[str, ...],
    attempt: Callable[[Wish], Awaitable[Found]],
) -> Found:
    """`attempt` with each format until the device takes one. Raises the last refusal, or any other error."""
    *others, last = candidates
    for content_format in others:
        try:
            return await attempt(content_format)
        except CoapError as refusal:
            if refusal.dotted not in refusals:
                raise
            formats.refused(content_format)
    try:
        return await attempt(last)
    except CoapError as refusal:
        if refusal.dotted in refusals:
            formats.refused(last)
        raise
