"""A pytest plugin: virtual devices that an empty URI or the NULL package stops even while they are Updating.

Resource 3 of object 5 names no state in which these do not reset. They answer 2.04, show Idle with result 0,
and neither restart nor install.
"""

from __future__ import annotations

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_engine import Request
from bench.virtual.firmware.update.machine import IDLE, INITIAL, UPDATING, UpdateMachine
from bench.virtual.firmware.update.object5 import RESTART_DELAY, UpdateObject
from bench.virtual.firmware.update.push import PushReceiver
from bench.virtual.firmware.update.reception import Reception
from bench.virtual.process import Steps

PREPARING = 20.0
"""Seconds in which the restart can still be called off."""
written, pushed = Reception._write_uri, PushReceiver._reset


def install(self: UpdateObject) -> Steps:
    self.fota.tried = False
    yield from self.fota.keep()
    yield PREPARING
    if self.fota.state != UPDATING:
        return
    yield from self._slots.request_upgrade()
    yield RESTART_DELAY
    self._machine.reset("soft")
    yield 0.0


def stop(fota: UpdateMachine) -> Steps:
    fota.become(IDLE, INITIAL)
    yield from fota.keep()


def write_uri(self: Reception, uri: str) -> int:
    if uri or self._fota.state != UPDATING:
        return written(self, uri)
    self._machine.cpu.spawn(stop(self._fota))
    return coap.CHANGED


def reset(self: PushReceiver, request: Request) -> None:
    if self._fota.state != UPDATING:
        pushed(self, request)
        return
    self._answer(request, coap.CHANGED)
    self._machine.cpu.spawn(stop(self._fota))


UpdateObject._install = install  # type: ignore[method-assign]
Reception._write_uri = write_uri  # type: ignore[method-assign]
PushReceiver._reset = reset  # type: ignore[method-assign]
