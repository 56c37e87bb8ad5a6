"""A pytest plugin: virtual devices that register objects 3 and 5 without their only instance.

The specification's own example does so: ",</5>" (LwM2M Core, Register).
"""

from __future__ import annotations

import re

from bench.virtual.firmware.client import Client

links = Client._links


def without_instances(self: Client) -> str:
    told = links(self)
    told = re.sub(r",</(3)/0>", r",</\1>", told)
    return told.replace(",</5/0>", "") if "</5>" in told else told.replace("</5/0>", "</5>")


Client._links = without_instances  # type: ignore[method-assign]
