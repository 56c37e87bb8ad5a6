"""A pytest plugin: virtual devices that count their packages otherwise than the firmware that runs.

Object 5 says of PkgVersion only "version of the firmware package"; the demo client of Anjay tells a constant.
"""

from __future__ import annotations

import dataclasses

from bench.virtual.firmware.data_model import Instance
from bench.virtual.firmware.update.object5 import UpdateObject

PKG_VERSION = 7
healthy = UpdateObject.instance


def counted_apart(self: UpdateObject) -> Instance:
    made = healthy(self)
    made.resources[PKG_VERSION] = dataclasses.replace(made.resources[PKG_VERSION], read=lambda: "package 7")
    return made


UpdateObject.instance = counted_apart  # type: ignore[method-assign]
