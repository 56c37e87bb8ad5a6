"""A pytest plugin: virtual devices with a second LwM2M server, whose account comes first (/1/0)."""

from __future__ import annotations

from bench.virtual.firmware.application import Application
from bench.virtual.firmware.data_model import Instance, Resource, Tree

tree = Application._tree
OTHER = Instance(
    {
        0: Resource("int", read=lambda: 2),
        1: Resource("int", read=lambda: 86400),
        6: Resource("bool", read=lambda: False),
        7: Resource("str", read=lambda: "U"),
    }
)


def two(self: Application, *objects: object) -> Tree:
    made = tree(self, *objects)  # type: ignore[arg-type]
    made[1] = {0: OTHER, 7: made[1][0]}
    return made


Application._tree = two  # type: ignore[method-assign, assignment]
