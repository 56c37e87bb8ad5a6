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
- requests to a device that has restarted are repeated to it, and hold up those that come after;
- a request whose acknowledgement was lost is repeated although its separate response is here;
- a repeated separate response is answered with a reset;
- messages are remembered for 247 s whoever sends them, however many there are;
- a request to a device in queue mode is sent, repeated and given up while the device sleeps;
- a request that nobody waits for any more is repeated all the same;
- a message that the transport will not carry leaves its request without an end;
- a response with an option that must be understood, and is not, is taken (RFC 7252, section 5.4.1);
- tokens are short and count up, so that whoever knows one knows the next.
"""

from __future__ import annotations

import enum
import functools
import random
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any

from aiocoap import ACK, CON, GET, NON, RST, Context, Message, error
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.codes import EMPTY
from aiocoap.tokenmanager import TokenManager

from bench.lwm2m.coap.duplicates import PEERS, RecentMessages
from bench.lwm2m.coap.queue_mode import Sleepers
from bench.lwm2m.coap.tuning import RequestTuning

LATE = 0.5
"""Seconds after its response at which an acknowledgement comes that it has overtaken."""


class Separate(enum.Enum):
    """How a request is answered otherwise than in its acknowledgement (RFC 7252 sections 5.2.2 and 5.2.3)."""

    CONFIRMABLE = "confirmable"
    NON_CONFIRMABLE = "non-confirmable"
    OVERTAKING = "before-its-acknowledgement"
    """Datagrams need not arrive in order."""


Unsent = tuple[Message, Callable[[], None]]
"""A message, and who hears that the peer reset it."""


class RegistrationEnded(error.NetworkError):
    """The registration under which a request was asked is no more; the text says why."""

    def __str__(self) -> str:
        return str(self.args[0])


class DeviceRestarted(RegistrationEnded):
    """The device registered anew while the request was under way: it will not answer it."""


class DeviceGone(RegistrationEnded):
    """The registration expired, or the device de-registered, while the request was under way."""


class UnreadableResponse(error.Error):
    """The response has an option that must be understood, and is not; the text says which."""

    def __str__(self) -> str:
        return str(self.args[0])


TOKEN_LENGTH = 8
"""Bytes; what a peer without a session is told from others by (RFC 7252, section 5.3.1 and 11.4)."""


class PeerTokenManager(TokenManager):
    """Follows an observation whose device now speaks from another address.

    A request that already has a token keeps it: cancelling an observation needs that of its request.
    Whoever is spoken to in the clear and does not see the messages can guess no token out of `rng`.
    """

    def __init__(self, context: Context, rng: random.Random) -> None:
        super().__init__(context)
        self._rng = rng
        self._wanted_token = b""
        self.moved: Callable[[Any, Any], None] = lambda old, new: None
        """Hears that an observed device speaks from another address."""

    def request(self, request: Any) -> None:
        message = request.request
        self._wanted_token = message.token
        super().request(request)
        request.on_interest_end(lambda: self.token_interface.give_up(message))

    def next_token(self) -> bytes:
        token, self._wanted_token = self._wanted_token, b""
        used = {used for used, _ in self.outgoing_requests} if not token else set()
        while not token or token in used:
            token = self._rng.randbytes(TOKEN_LENGTH)
        return token

    def abandon(self, remote: Any, why: RegistrationEnded, keep: Collection[bytes] = ()) -> None:
        """End every request and observation of this peer, but those whose tokens are to be kept."""
        for request in [
            r for (token, at), r in self.outgoing_requests.items() if at == remote and token not in keep
        ]:
            request.add_exception(why)

    def process_response(self, response: Message) -> bool:
        key = (response.token, response.remote)
        notification = response.opt.observe is not None and response.code.is_successful()
        if response.token and notification and key not in self.outgoing_requests:
            # no two exchanges have one token, so it is the same exchange under another address
            for (token, remote), request in list(self.outgoing_requests.items()):
                observed = token == response.token and request.request.opt.observe == 0
                if observed and remote.may_move_to(response.remote):
                    self.moved(remote, response.remote)
                    self.rebind(remote, response.remote)
                    break
        return bool(super().process_response(response))

    def fail(self, token: bytes, remote: Any, why: error.Error) -> bool:
        """End one request; False where there is none."""
        request = self.outgoing_requests.pop((token, remote), None)
        if request is not None:
            request.add_exception(why)
        return request is not None

    def fail_all(self, remote: Any, why: error.Error) -> None:
        """End the requests of this peer that await their one response; observations go on."""
        for token in [
            token
            for (token, at), r in self.outgoing_requests.items()
            if at == remote and r.request.opt.observe != 0
        ]:
            self.fail(token, remote, why)

    def rebind(self, old: Any, new: Any) -> None:
        """Expect at `new` the responses that were expected at `old`."""
        for key in [k for k in self.outgoing_requests if k[1] == old and old != new]:
            request = self.outgoing_requests.pop(key)
            moved = (key[0], new)
            self.outgoing_requests[moved] = request
            request.on_interest_end(functools.partial(self.outgoing_requests.pop, moved, None))


class PeerMessageManager(MessageManager):
    """One message-ID counter a peer, duplicates told by token too, time-outs that hit one request only.

    What is for a device that sleeps waits here for its next message, in order.
    """

    def __init__(
        self, token_manager: PeerTokenManager, rng: random.Random, sleepers: Sleepers | None = None
    ) -> None:
        super().__init__(token_manager)
        self._rng = rng
        self._counters: OrderedDict[Any, int] = OrderedDict()
        self._requests = RecentMessages(self.loop.time)
        self._responses = RecentMessages(self.loop.time)
        self._sent: dict[tuple[Any, int], Message] = {}
        self._held: dict[Any, list[Unsent]] = {}
        self._sending_to: Any = None
        self.deaf = False
        """Whether everything that comes in is as good as lost."""
        self.separate: Separate | None = None
        """How requests are answered; None: in the acknowledgement, where that can be."""
        self._sleepers = sleepers or Sleepers(self.loop)
        self._sleepers.listen(self._fell_asleep, self._woke)

    # ---- in

    def dispatch_message(self, message: Message) -> None:
        if self.deaf:
            return
        refusal = getattr(message, "refusal", None)
        if refusal is not None and message.code.is_response():
            self._refuse(message, UnreadableResponse(f"the response cannot be taken: {refusal}"))
        else:
            super().dispatch_message(message)
        # after the answer to what woke it
        self.loop.call_soon(self._sleepers.heard, message.remote)

    def _refuse(self, response: Message, why: UnreadableResponse) -> None:
        """A confirmable one is reset, another ignored (RFC 7252, 4.2 and 4.3); its request has ended."""
        if response.mtype is CON:
            self.reject(response.remote, response.mid)
        elif response.mtype is ACK and (response.remote, response.mid) not in self._active_exchanges:
            return
        if self.token_manager.fail(response.token, response.remote, why):
            self._acknowledged_by(response)

    def reject(self, remote: Any, mid: int) -> None:
        """Reset a confirmable message."""
        reset = Message(_mtype=RST, _mid=mid, code=EMPTY, payload=b"")
        reset.remote = remote
        self._send_via_transport(reset)

    def _deduplicate_message(self, message: Message) -> bool:
        recent = self._requests.find(message.remote, message.mid)
        if recent is None or recent.token != message.token:  # another token: the peer has restarted
            self._requests.add(message.remote, message.mid, message.token)
            return False
        if message.mtype is CON and recent.answer is not None:
            self._send_initially(recent.answer)
        return True

    def _process_request(self, request: Message) -> None:
        super()._process_request(request)
        if self.separate is None:
            return
        opportunity = self._piggyback_opportunities.pop((request.remote, request.token), None)
        if opportunity is not None:
            mid, handle = opportunity
            handle.cancel()
            acknowledge = functools.partial(self._send_empty_ack, request.remote, mid, "answered separately")
            if self.separate is Separate.OVERTAKING:
                self.loop.call_later(LATE, acknowledge)
            else:
                acknowledge()

    def unheard(self, request: Message) -> None:
        """As if the request had been lost on its way: no acknowledgement; its repetition is no duplicate."""
        acknowledgement = self._piggyback_opportunities.pop((request.remote, request.token), None)
        if acknowledgement is not None:
            acknowledgement[1].cancel()
        self._requests.drop(request.remote, request.mid)

    def _store_response_for_duplicates(self, message: Message) -> None:
        if message.mtype not in (ACK, RST):
            return  # a message ID of our own
        if message.request is not None and message.request.code is GET:
            self._requests.drop(message.remote, message.mid)  # answered anew, at no harm
            return
        recent = self._requests.find(message.remote, message.mid)
        if recent is not None:
            message.request = None  # it has been answered, and is not to be kept with its answer
            recent.answer = message

    def _process_response(self, response: Message) -> bool:
        separate = response.mtype in (CON, NON)
        if separate:
            recent = self._responses.find(response.remote, response.mid)
            if recent is not None and recent.token == response.token:
                return True  # its acknowledgement was lost
            self._acknowledged_by(response)
        success = bool(super()._process_response(response))
        if success and separate:
            self._responses.add(response.remote, response.mid, response.token)
        return success

    def _acknowledged_by(self, response: Message) -> None:
        """A response acknowledges its request (RFC 7252, 5.2.2)."""
        for key in [k for k in self._active_exchanges if k[0] == response.remote]:
            sent = self._sent.get(key)
            if sent is not None and sent.code.is_request() and sent.token == response.token:
                self._end_exchange(key)
                self._continue_backlog(response.remote)

    # ---- out

    def send_message(self, message: Message, messageerror_monitor: Callable[[], None]) -> Any:
        if message.code.is_request() and self._sleepers.asleep_since(message.remote) is not None:
            self._held.setdefault(message.remote, []).append((message, messageerror_monitor))
            return None
        if self.separate is Separate.NON_CONFIRMABLE and message.code.is_response():
            message.mtype = NON
        self._sending_to = message.remote
        return super().send_message(message, messageerror_monitor)

    def _send_via_transport(self, message: Message) -> None:
        try:
            super()._send_via_transport(message)
        except error.NetworkError as why:
            # once whoever sends has put down that it was sent
            self.loop.call_soon(self._undeliverable, message, why)

    def _undeliverable(self, message: Message, why: error.NetworkError) -> None:
        """The transport does not carry it, now or later."""
        key = (message.remote, message.mid)
        if self._active_exchanges is None or key not in self._active_exchanges:
            return
        monitor = self._end_exchange(key)
        if not (message.code.is_request() and self.token_manager.fail(message.token, message.remote, why)):
            monitor()
        self._continue_backlog(message.remote)

    def _next_message_id(self) -> int:
        last = self._counters.pop(self._sending_to, None)
        mid = self._rng.randrange(0x10000) if last is None else (last + 1) & 0xFFFF
        self._counters[self._sending_to] = mid
        if len(self._counters) > PEERS:
            self._counters.popitem(last=False)
        return mid

    def _add_exchange(self, message: Message, messageerror_monitor: Callable[[], None]) -> None:
        tuning = message.transport_tuning
        wait = self._rng.uniform(tuning.ACK_TIMEOUT, tuning.ACK_TIMEOUT * tuning.ACK_RANDOM_FACTOR)
        key = (message.remote, message.mid)
        self._backlogs.setdefault(message.remote, [])
        self._active_exchanges[key] = (messageerror_monitor, self._schedule_retransmit(message, wait, 0))
        self._sent[key] = message

    def _end_exchange(self, key: tuple[Any, int]) -> Callable[[], None]:
        """Stop repeating a message; returns who hears of a reset."""
        monitor, handle = self._active_exchanges.pop(key)
        handle.cancel()
        self._sent.pop(key, None)
        heard: Callable[[], None] = monitor
        return heard

    def _remove_exchange(self, message: Message) -> None:
        self._sent.pop((message.remote, message.mid), None)
        super()._remove_exchange(message)

    def _retransmit(self, message: Message, timeout: float, retransmission_counter: int) -> None:
        tuning = message.transport_tuning
        if retransmission_counter < tuning.MAX_RETRANSMIT:
            if isinstance(tuning, RequestTuning):
                tuning.repeats += 1
                timeout = min(timeout, tuning.MAX_ACK_TIMEOUT / 2)  # it is doubled below
            super()._retransmit(message, timeout, retransmission_counter)
            return
        monitor = self._end_exchange((message.remote, message.mid))
        request = self.token_manager.outgoing_requests.get((message.token, message.remote))
        if message.code.is_request() and request is not None:
            request.add_exception(error.ConRetransmitsExceeded("Retransmissions exceeded"))
        else:
            monitor()
        self._continue_backlog(message.remote)

    # ---- devices that restart, move, sleep

    def forget(self, remote: Any) -> list[Unsent]:
        """The device behind this address has restarted: nothing under way is repeated to it.

        Returns what was never sent to it, for `adopt`.
        """
        begun = self._withdraw(remote)
        waiting = begun + self._held.pop(remote, [])
        return [(message, monitor) for message, monitor in waiting if message.mid is None]

    def hung_up(self, remote: Any, why: error.NetworkError) -> None:
        """The peer's session has ended: what is under way will not be answered in it.

        A device in queue mode hears it when it wakes, in its next session.
        """
        if self._active_exchanges is None or self._sleepers.doze(remote):
            return
        for message, monitor in self._withdraw(remote):
            if not (message.code.is_request() and self.token_manager.fail(message.token, remote, why)):
                monitor()
        self.token_manager.fail_all(remote, why)

    def give_up(self, request: Message) -> None:
        """Nobody waits for its response any more: it is neither repeated nor sent."""
        if self._active_exchanges is None:
            return
        key = (request.remote, request.mid)
        sent = self._sent.get(key)
        if sent is not None and sent is request:
            self._end_exchange(key)
            self._continue_backlog(request.remote)
            return
        for waiting in (self._backlogs.get(request.remote), self._held.get(request.remote)):
            if waiting is not None:
                waiting[:] = [(message, monitor) for message, monitor in waiting if message is not request]

    def restarted(self, remote: Any) -> None:
        """The device has lost its supply or was reset: its messages are new ones, whatever their IDs.

        One that restarts with the same port, message ID and token would else be answered what its Register
        was answered before, for EXCHANGE_LIFETIME (RFC 7252 section 4.5).
        """
        self._requests.forget(remote)
        self._responses.forget(remote)

    def adopt(self, remote: Any, messages: list[Unsent]) -> None:
        """Send to `remote` what was meant for the address that the device had before."""
        for message, monitor in messages:
            message.remote = remote
            self._send_again(message, monitor)

    def move(self, old: Any, new: Any) -> None:
        """The device speaks from another address now; what is under way goes on there."""
        if old in self._counters:
            self._counters[new] = self._counters.pop(old)
        self.token_manager.rebind(old, new)
        self._sleepers.move(old, new)
        waiting = self._withdraw(old) + self._held.pop(old, [])
        self.adopt(new, waiting)

    def _withdraw(self, remote: Any) -> list[Unsent]:
        """Take back all that is under way to this address, in order."""
        messages = []
        for key in [k for k in self._active_exchanges if k[0] == remote]:
            message = self._sent[key]
            messages.append((message, self._end_exchange(key)))
        for message, monitor in self._backlogs.pop(remote, ()):
            message.mid = None  # never sent
            messages.append((message, monitor))
        return messages

    def _fell_asleep(self, remote: Any) -> None:
        waiting = self._withdraw(remote)
        if waiting:
            self._held[remote] = waiting

    def _woke(self, remote: Any) -> None:
        self.adopt(remote, self._held.pop(remote, []))

    def _send_again(self, message: Message, monitor: Callable[[], None]) -> None:
        """Under the same message ID where it had one: the device may know it."""
        waits = self.token_manager.outgoing_requests
        if message.code.is_request() and (message.token, message.remote) not in waits:
            return  # given up meanwhile
        if message.mid is None or self._sleepers.asleep_since(message.remote) is not None:
            self.send_message(message, monitor)
        elif message.remote in self._backlogs:
            self._backlogs[message.remote].append((message, monitor))
        else:
            if isinstance(message.transport_tuning, RequestTuning):
                message.transport_tuning.repeats += 1
            self._send_initially(message, monitor)

    async def shutdown(self) -> None:
        self._held.clear()
        await super().shutdown()
