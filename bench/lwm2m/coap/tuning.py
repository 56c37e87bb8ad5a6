"""How long, and how often, one confirmable request is repeated to a device."""

from __future__ import annotations

from aiocoap.numbers.constants import TransportTuning


class RequestTuning(TransportTuning):
    """Retransmission of one request, made for each request anew.

    It is given up after about MAX_TRANSMIT_WAIT, 93 s, as RFC 7252 (section 4.8.2) has it, but with more
    tries in that time: the pause doubles only up to `MAX_ACK_TIMEOUT`.
    """

    ACK_TIMEOUT = 2.0
    MAX_ACK_TIMEOUT = 16.0
    MAX_RETRANSMIT = 7

    def __init__(self) -> None:
        self.repeats = 0
        """How often the request was sent again: above 0, the device may have heard it before."""


class BlockTuning(RequestTuning):
    """Retransmission of one block, made for each anew.

    More tries than the four of RFC 7252, section 4.8, which 20 % loss per direction defeats. The pause
    doubles only up to `MAX_ACK_TIMEOUT`, so that all tries fall within EXCHANGE_LIFETIME: as long as a
    device must take them for one and the same message.
    """

    MAX_RETRANSMIT = 16
    EXCHANGE_LIFETIME = 247.0
