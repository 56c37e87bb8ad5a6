"""A pytest plugin: virtual devices that register object 5 without its version, as Anjay does.

It may be left out where the client's version of LwM2M brings that version of the object (LwM2M Core, 7.2.3).
"""

from __future__ import annotations

import re

from bench.virtual.firmware.client import Client

links = Client._links


def without_version(self: Client) -> str:
    return re.sub(r",</5>;ver=[0-9.]+", "", links(self))


Client._links = without_version  # type: ignore[method-assign]
