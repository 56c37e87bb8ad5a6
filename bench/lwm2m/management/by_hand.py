"""Single CoAP messages to a device, by hand: what a client library never sends, or never shows.

They leave from the server's own port and session, past its message layer, which neither repeats them nor
knows of them. What the device sends in answer is found in the capture: by its message ID, which an
acknowledgement and a reset repeat (RFC 7252 section 4.4), or by its token, which a response carries (5.3.1).
"""

from __future__ import annotations

import contextlib
import random

from aiocoap import CON, GET, Message
from aiocoap.numbers.codes import EMPTY, Code
from aiocoap.numbers.types import Type

from bench.clock import Clock
from bench.errors import WaitTimeout
from bench.lwm2m.coap import wire
from bench.lwm2m.coap.capture import Capture
from bench.lwm2m.coap.layers import TOKEN_LENGTH
from bench.lwm2m.coap.trace import describe
from bench.lwm2m.interfaces.registration import Registration
from bench.lwm2m.management.malformed import Malformed

SPACING = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds after which a confirmable message is sent again (RFC 7252 section 4.2), and then given up."""
SEPARATE_LIMIT = 150.0
"""Seconds for the response after an empty acknowledgement, as for any request of the bench."""


class ByHand:
    """To the device behind one registration; for the test thread."""

    def __init__(
        self, clock: Clock, capture: Capture, registration: Registration, rng: random.Random
    ) -> None:
        self._clock = clock
        self._capture = capture
        self._registration = registration
        self._rng = rng

    def message(
        self,
        code: Code = EMPTY,
        path: str = "",
        payload: bytes = b"",
        *,
        kind: Type = CON,
        token: bytes | None = None,
    ) -> Message:
        """A message with an ID and (unless it is empty) a token of its own, for `ask` or `send`."""
        message = Message(code=code, payload=payload)
        message.mtype, message.mid = kind, self._rng.randrange(0x10000)
        message.remote = self._registration.remote
        if code is not EMPTY:
            message.token = self._rng.randbytes(TOKEN_LENGTH) if token is None else token
            message.opt.uri_path = tuple(p for p in f"{self._registration.root}/{path}".split("/") if p)
        return message

    def malformed(self, flaw: str, path: str, *, kind: Type = CON) -> Message:
        """A GET with a format error, by its name in `malformed.FLAWS`."""
        return Malformed.of(self.message(GET, path, kind=kind), flaw)

    def send(self, message: Message) -> None:
        """Send it once."""

        async def send() -> None:
            message.remote.interface.send(message)

        self._clock.run(send(), timeout=10, reason="send a message by hand")

    def send_in_the_clear(self, message: Message) -> None:
        """Send it once as it is, past the session of a device that is talked to over DTLS."""

        async def send() -> None:
            message.remote.interface.send_bare(message.encode(), message.remote.address)

        self._clock.run(send(), timeout=10, reason="send a message in the clear")

    def ask(self, message: Message, answers: int = 1) -> list[Message]:
        """Send a confirmable message, again until it is answered, and return what answers it: [] for nothing.

        An empty acknowledgement of a request is followed by its response, in a message of its own (RFC 7252
        section 5.2.2), which is waited for. That a device is silent is for the caller to judge, who has heard
        it a moment before.
        """
        since = self._clock.now()
        earlier = len(self.answers_to(message, since))  # of a copy before, at this very moment
        for seconds in SPACING:
            self.send(message)
            found = self.heard(message, earlier + answers, seconds, since)[earlier:]
            if message.code is not EMPTY and found and all(one.code is EMPTY for one in found):
                return self._heard_apart(message, earlier, answers, since)
            if len(found) >= answers:
                break
        return found

    def _heard_apart(self, message: Message, earlier: int, answers: int, since: float) -> list[Message]:
        """The acknowledgement that is here, and the responses that come apart from it; none after a reset."""
        found = self.answers_to(message, since)[earlier:]
        if any(one.mtype.name == "RST" for one in found):
            return found
        return self.heard(message, earlier + answers + 1, SEPARATE_LIMIT, since)[earlier:]

    def heard(self, message: Message, answers: int, seconds: float, since: float) -> list[Message]:
        """What has answered it since then (bench seconds), once there are so many or `seconds` are over."""
        with contextlib.suppress(WaitTimeout):
            self._clock.wait_for(
                lambda: len(self.answers_to(message, since)) >= answers,
                timeout=seconds,
                reason=f"{self._registration.endpoint} answers {describe(message)}, sent by hand",
            )
        return self.answers_to(message, since)

    def answers_to(self, message: Message, since: float) -> list[Message]:
        """Acknowledgements, resets and responses that belong to it, in order."""
        found = []
        for frame in self._capture.frames:
            if not frame.from_device or frame.time < since or frame.device != message.remote.address:
                continue
            one = wire.decode(frame.data, message.remote)
            by_id = one.mid == message.mid and one.mtype.name in ("ACK", "RST")
            apart = one.mtype.name in ("CON", "NON") or message.token  # who else has the token of no byte?
            by_token = message.code is not EMPTY and one.token == message.token and one.code.is_response()
            if by_id or (by_token and apart):
                found.append(one)
        return found
