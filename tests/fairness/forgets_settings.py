"""A pytest plugin: virtual devices whose written Lifetime lasts until the next restart.

Anjay's demo client keeps its objects only when it is ended in order; no clause of LwM2M says that a value
outlasts a restart.
"""

from __future__ import annotations

from dataclasses import replace

from bench.virtual.firmware.application import Application, Provision, _account
from bench.virtual.process import Steps

provisioned = Application._provision


def provision(self: Application) -> Provision | None:
    found = provisioned(self)
    seconds = getattr(self, "written_lifetime", None)
    return found if found is None or seconds is None else replace(found, lifetime=seconds)


def use_lifetime(self: Application, seconds: int) -> Steps:
    self.written_lifetime = seconds  # type: ignore[attr-defined]
    known = self._provision()
    if known is not None and self._client is not None:
        self._client.renew(_account(known))
    yield 0.0


Application._provision = provision  # type: ignore[method-assign]
Application._use_lifetime = use_lifetime  # type: ignore[method-assign]
