"""A pytest plugin: virtual devices that renew their registration by Register, and register twice at first.

So do clients that keep no location, or that begin a new DTLS session: whose session is new registers (LwM2M
Transport 6.4.3). No clause forbids another Register.
"""

from __future__ import annotations

from bench.virtual.firmware.client import UPDATE_SHARE, Account, Client
from bench.virtual.process import Steps

SOON = 5.0


def renew(self: Client, account: Account) -> Steps:
    """Return, and so register, when an Update is due."""
    first = not getattr(self, "has_renewed", False)
    self.has_renewed = True  # type: ignore[attr-defined]
    yield from self._pause(SOON if first else account.lifetime * UPDATE_SHARE)


Client._renew = renew  # type: ignore[method-assign]
