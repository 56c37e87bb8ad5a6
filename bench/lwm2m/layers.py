"""aiocoap's message and token layers, with what a LwM2M server needs of them.

Pinned to one aiocoap release, because they override private methods; each cure has a regression
test. What is cured:

- one message-ID counter for all peers, which stalls all of them after 65,536 messages in 247 s;
- a device that restarts on its old port with its old message IDs is sent the answer to another
  request (a duplicate has the same token, a restarted device another one);
- one request that times out ends every observation of that device, although a sleeping device is
  not a dead one;
- a notification from a new port (NAT rebinding, restarted modem) is answered with a reset;
- an observation cannot be cancelled at the device, because each request gets a new token;
- requests to a device that has restarted are repeated to it, and hold up those that come after.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

from aiocoap import Context, Message, error
from aiocoap.messagemanager import MessageManager
from aiocoap.tokenmanager import TokenManager


class DeviceRestarted(error.NetworkError):
    """The device registered anew while the request was under way: it will not answer it."""


class PeerTokenManager(TokenManager):
    """Follows an observation whose device now speaks from another address.

    A request that already has a token keeps it: cancelling an observation needs that of its request.
    """

    def __init__(self, context: Context, rng: random.Random) -> None:
        super().__init__(context)
        self._token = rng.randrange(0x10000)
        self._wanted_token = b""

    def request(self, request: Any) -> None:
        self._wanted_token = request.request.token
        super().request(request)

    def next_token(self) -> bytes:
        wanted, self._wanted_token = self._wanted_token, b""
        return wanted or bytes(super().next_token())

    def abandon(self, remote: Any) -> None:
        """End every request and observation of this peer with `DeviceRestarted`."""
        for request in [r for k, r in self.outgoing_requests.items() if k[1] == remote]:
            request.add_exception(DeviceRestarted("the device registered anew"))

    def process_response(self, response: Message) -> bool:
        key = (response.token, response.remote)
        if response.token and key not in self.outgoing_requests:
            # tokens come from one counter, so a token under another address is the same exchange
            for (token, remote), request in list(self.outgoing_requests.items()):
                if token == response.token and request.request.opt.observe == 0:
                    self._rebind(remote, response.remote)
                    break
        return bool(super().process_response(response))

    def _rebind(self, old: Any, new: Any) -> None:
        for key in [k for k in self.outgoing_requests if k[1] == old]:
            request = self.outgoing_requests.pop(key)
            moved = (key[0], new)
            self.outgoing_requests[moved] = request
            request.on_interest_end(functools.partial(self.outgoing_requests.pop, moved, None))


class PeerMessageManager(MessageManager):
    """One message-ID counter a peer, duplicates told by token too, time-outs that hit one request only."""

    def __init__(self, token_manager: PeerTokenManager, rng: random.Random) -> None:
        super().__init__(token_manager)
        self._rng = rng
        self._counters: dict[Any, int] = {}
        self._tokens: dict[tuple[Any, int], bytes] = {}
        self._sending_to: Any = None

    def send_message(self, message: Message, messageerror_monitor: Callable[[], None]) -> Any:
        self._sending_to = message.remote
        return super().send_message(message, messageerror_monitor)

    def _next_message_id(self) -> int:
        last = self._counters.get(self._sending_to)
        mid = self._rng.randrange(0x10000) if last is None else (last + 1) & 0xFFFF
        self._counters[self._sending_to] = mid
        return mid

    def _deduplicate_message(self, message: Message) -> bool:
        key = (message.remote, message.mid)
        if key in self._recent_messages and self._tokens.get(key) != message.token:
            # another request under a known ID: the peer has restarted
            self._tokens[key] = message.token
            self._recent_messages[key] = None
            return False
        self._tokens[key] = message.token
        duplicate = bool(super()._deduplicate_message(message))
        if not duplicate:
            self.loop.call_later(message.transport_tuning.EXCHANGE_LIFETIME, self._tokens.pop, key, None)
        return duplicate

    def _retransmit(self, message: Message, timeout: float, retransmission_counter: int) -> None:
        if retransmission_counter < message.transport_tuning.MAX_RETRANSMIT:
            super()._retransmit(message, timeout, retransmission_counter)
            return
        monitor, handle = self._active_exchanges.pop((message.remote, message.mid))
        handle.cancel()
        request = self.token_manager.outgoing_requests.get((message.token, message.remote))
        if message.code.is_request() and request is not None:
            request.add_exception(error.ConRetransmitsExceeded("Retransmissions exceeded"))
        else:
            monitor()
        self._continue_backlog(message.remote)

    def forget(self, remote: Any) -> None:
        """The device behind this address has restarted: nothing under way is repeated to it."""
        for key in [k for k in self._active_exchanges if k[0] == remote]:
            _, handle = self._active_exchanges.pop(key)
            handle.cancel()
        self._backlogs.pop(remote, None)
