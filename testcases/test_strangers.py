"""Requests that are not the server's: from another port, and in the clear to a device that talks DTLS."""

import contextlib

import pytest
from aiocoap import GET, POST, PUT
from aiocoap.numbers.contentformat import ContentFormat

from bench.errors import NotApplicable
from bench.firmware_update.states import Result, State

QUIET = 10
"""Seconds in which an answer would have come."""
VERSION = "/3/0/3"


def served(by_hand, clock, message):
    """The answers to a message of a stranger that are more than a refusal."""
    since = clock.now()
    by_hand.send(message)
    clock.sleep(QUIET, "an answer would have come")
    answers = by_hand.answers_to(message, since)
    return [one.code.dotted for one in answers if one.code.is_successful()]


def first_block(by_hand, object5, data):
    message = by_hand.message(PUT, object5.package, data)
    message.opt.content_format = ContentFormat.OCTETSTREAM
    message.opt.block1 = (0, True, 2)
    return message


@pytest.mark.requirement("FOTA-STRANGERS", "LwM2M-T-secured")
def test_stranger(dut, server, images, object5, clock, recommended):
    """Who is not its server learns nothing, and delivers nothing (where no NAT keeps strangers away)."""
    address = None if dut.network is None else dut.network.device
    judged = contextlib.nullcontext() if dut.is_secured else recommended("FOTA-STRANGERS")
    with judged, server.lwm2m.stranger(dut.endpoint, address) as stranger:
        answer = served(stranger, clock, stranger.message(GET, VERSION))
        assert answer == [], f"{VERSION} is told to a stranger: {answer}"
        block = first_block(stranger, object5, images.update.data[:64])
        answer = served(stranger, clock, block)
        assert answer == [], f"{object5.package} takes a block of a stranger: {answer}"
        assert object5.pair == (State.IDLE, Result.INITIAL), "a stranger has begun a download"


@pytest.mark.requirement("LwM2M-T-secured", "LwM2M-T-psk")
def test_server_in_the_clear(dut, server, images, object5, clock):
    """What comes from the server's own address, and not in its session, is not the server's."""
    if not dut.is_secured:
        raise NotApplicable("the board talks to its server in the clear")
    by_hand, since = server.lwm2m.by_hand(dut.endpoint), clock.now()
    message = by_hand.message(POST, f"/1/{server.account_of(dut)}/8")
    block = first_block(by_hand, object5, images.update.data[:64])
    for one in (message, block):
        by_hand.send_in_the_clear(one)
    clock.sleep(QUIET, "what was asked for would have been done")
    assert "updated" not in server.registrations(dut, since=since), "a trigger in the clear was followed"
    assert object5.pair == (State.IDLE, Result.INITIAL), "a block in the clear has begun a download"
