"""The server's resources, behind what holds for every request."""

from __future__ import annotations

from aiocoap import error
from aiocoap.pipe import Pipe
from aiocoap.resource import Site


class GuardedSite(Site):
    """Refuses what the decoder found that no resource may see (`bench.lwm2m.coap.wire`)."""

    async def render_to_pipe(self, pipe: Pipe) -> None:
        refusal: error.Error | None = getattr(pipe.request, "refusal", None)
        if refusal is not None:
            raise refusal
        await super().render_to_pipe(pipe)
