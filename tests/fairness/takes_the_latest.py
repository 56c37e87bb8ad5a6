"""A pytest plugin: virtual devices that drop a download for another one that is begun meanwhile.

Resource 1 of object 5: a device performs the download "as soon as it has received the Package URI". That a
Write which is no trigger in its state is rejected is only recommended. What waits to be installed they keep,
and answer a package that comes then without taking it.
"""

from __future__ import annotations

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_engine import Request
from bench.virtual.firmware.coap_message import Block
from bench.virtual.firmware.update.machine import DOWNLOADED, DOWNLOADING, IDLE
from bench.virtual.firmware.update.push import PushReceiver
from bench.virtual.firmware.update.reception import Reception

first, written = PushReceiver._first_block, Reception._write_uri


def first_block(self: PushReceiver, request: Request, block: Block, skip: int) -> None:
    if self._fota.state == DOWNLOADED:
        self._answer(request, coap.CONTINUE if block.more else coap.CHANGED)
        return
    self.source = request.source  # not that of a PULL
    first(self, request, block, skip)


def write_uri(self: Reception, uri: str) -> int:
    if uri and self._fota.state == DOWNLOADING:
        self._receiver.forget()
        self._fota.state = IDLE
    return written(self, uri)


PushReceiver._first_block = first_block  # type: ignore[method-assign]
Reception._write_uri = write_uri  # type: ignore[method-assign]
