"""A device that answers 5.03 is asked again, as long as it may be busy by the standards, and no longer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from coap_peer import Answer, Device, Packet, uint

from bench.firmware_update.object5 import Object5
from bench.firmware_update.states import State
from bench.lwm2m.client import Client, CoapError
from bench.lwm2m.management.busy import LIMIT, LONGEST_WAIT, WAIT, pause
from bench.lwm2m.server import LwM2mServer

MAX_AGE = 14
STATE, CANCEL, URI = "/5/0/3", "/5/0/10", "/5/0/1"

Connect = Callable[..., Device]


@pytest.fixture
def device(connect: Connect) -> Device:
    """Registered for longer than it is busy."""
    made = connect(register=False)
    made.register("&lwm2m=1.0&lt=86400")
    return made


def busy_until(
    device: Device, server: LwM2mServer, path: str, free: float, max_age: int | None = None
) -> None:
    """It answers 5.03 for that long, and 2.05 or 2.04 afterwards."""
    begun = server.clock.now()
    options = [] if max_age is None else [(MAX_AGE, uint(max_age))]

    def answer(request: Packet) -> Answer:
        if server.clock.now() - begun < free:
            return Answer("5.03", options=options)
        return Answer("2.05", b"1") if path == STATE else Answer("2.04")

    device.on[path] = answer


@pytest.mark.parametrize(
    ("max_age", "seconds"), [(None, WAIT), (0, WAIT), (1, 1), (7, 7), (2**32 - 1, LONGEST_WAIT)]
)
def test_it_is_asked_again_when_it_says(max_age: int | None, seconds: float) -> None:
    assert pause(max_age) == seconds


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        (STATE, lambda client: client.read(STATE)),
        (CANCEL, lambda client: client.patient.execute(CANCEL)),
        (URI, lambda client: client.patient.write(URI, "")),
    ],
    ids=["read", "execute", "write"],
)
def test_a_device_is_given_the_time_of_a_push_that_was_given_up(
    device: Device, server: LwM2mServer, path: str, ask: Callable[[Client], object]
) -> None:
    begun = server.clock.now()
    busy_until(device, server, path, free=300)
    ask(server.client("dev"))
    assert 300 <= server.clock.now() - begun < 300 + 2 * WAIT


def test_its_max_age_is_waited_for(device: Device, server: LwM2mServer) -> None:
    busy_until(device, server, STATE, free=100, max_age=40)
    assert server.client("dev").read(STATE) is not None
    assert device.count(lambda p: p.path == STATE) == 4


def test_one_that_is_never_free_has_answered_so(device: Device, server: LwM2mServer) -> None:
    begun = server.clock.now()
    busy_until(device, server, STATE, free=1e9, max_age=60)
    with pytest.raises(CoapError, match=r"5\.03"):
        server.client("dev").read(STATE)
    assert LIMIT <= server.clock.now() - begun < LIMIT + LONGEST_WAIT


def test_any_other_refusal_is_an_answer_at_once(device: Device, server: LwM2mServer) -> None:
    device.on[CANCEL] = lambda request: Answer("4.05")
    begun = server.clock.now()
    with pytest.raises(CoapError, match=r"4\.05"):
        server.client("dev").patient.execute(CANCEL)
    assert server.clock.now() - begun < WAIT


def test_without_patience_being_busy_is_an_answer(device: Device, server: LwM2mServer) -> None:
    busy_until(device, server, CANCEL, free=300)
    assert Object5(server, "dev").cancel() == "5.03"
    assert device.count(lambda p: p.path == CANCEL) == 1


def test_object_5_waits_where_it_is_asked_to(device: Device, server: LwM2mServer) -> None:
    busy_until(device, server, CANCEL, free=100)
    object5 = Object5(server, "dev")
    assert object5.patient.cancel() == "2.04"
    busy_until(device, server, STATE, free=100)
    assert object5.state is State.DOWNLOADING
