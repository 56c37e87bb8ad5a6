"""A server that shows another certificate than it should, over DTLS: the device does not register with it."""

import pytest

from bench.errors import Inconclusive
from bench.lwm2m.dtls.impostors import Impostor

OF_NO_PATH = (Impostor.FOREIGN_CA, Impostor.FORGED, Impostor.ISSUED_BY_A_SERVER)


def registers_with(dut, server, clock, kind):
    """What happens to its registration while the server shows such a certificate, and then its own again."""
    timeouts = dut.type.timeouts
    within = timeouts.boot + timeouts.registration
    clock.sleep(1, "the registration is a thing of the past")
    with server.impersonated(dut, kind) as handshakes:
        off = dut.power_cycle()
        clock.sleep(within, "it would have registered")
        events = [
            event for event in server.registrations(dut, since=off) if event in ("registered", "updated")
        ]
        if not handshakes():
            raise Inconclusive(f"{dut.name} began no handshake within {within:g} s, so it was shown nothing")
    server.restart(dut)
    return events


@pytest.mark.requirement("RFC7252-9.1.3.3-name", "LwM2M-T-identity", kind="wrong name")
@pytest.mark.requirement("RFC7252-9.1.3.3-path", kind=tuple(kind.value for kind in OF_NO_PATH))
@pytest.mark.parametrize("kind", [Impostor.WRONG_NAME, *OF_NO_PATH], ids=lambda kind: kind.value)
def test_impostor(dut, server, clock, kind):
    """A certificate of somebody else, of a CA it does not know, or of no CA: the device does not register."""
    events = registers_with(dut, server, clock, kind)
    assert events == [], f"with a server that shows: {kind.value}"


@pytest.mark.requirement("RFC7252-9.1.3.3-validity", "LwM2M-T-expired")
def test_expired_server_certificate(dut, server, clock, recommended):
    """A device that knows the time should not register with a server whose certificate is out of date."""
    server.optional(dut, "/3/0/13", "Current Time")
    events = registers_with(dut, server, clock, Impostor.EXPIRED)
    with recommended("RFC7252-9.1.3.3-validity"):
        assert events == [], "with a server whose certificate has expired"
