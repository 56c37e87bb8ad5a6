"""A pytest plugin: virtual devices that take a Cancel in Idle, with the result that belongs to it.

Resource 10 of object 5: "can be executed if the device has not initiated the Update process", and never once
the installation is complete. That a request which is no trigger in its state is rejected is only recommended.
"""

from __future__ import annotations

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.update.machine import CANCELLED, IDLE, SUCCESS
from bench.virtual.firmware.update.reception import Reception

healthy = Reception.cancel


def cancel(self: Reception, arguments: bytes) -> int:
    if self._fota.state != IDLE or self._fota.result == SUCCESS:
        return healthy(self, arguments)
    self._machine.cpu.after(0.0, lambda: self._fota.become(IDLE, CANCELLED))
    return coap.CHANGED


Reception.cancel = cancel  # type: ignore[method-assign]
