"""Who the device is does not change with its firmware, and it stays registered by the rules."""

import pytest

MANUFACTURER, MODEL, SERIAL = "/3/0/0", "/3/0/1", "/3/0/2"


def identity(dut, server):
    """What the server knows the device by, of what it has: all three are optional (OMA object 3)."""
    client = server.client(dut)
    has = {link.target for link in client.discover("/3/0")}
    told = {path: client.read(path) for path in (MANUFACTURER, MODEL, SERIAL) if path in has}
    return told | {"endpoint": client.endpoint, "lifetime": client.registration.lifetime}


@pytest.mark.requirement("FOTA-IDENTITY", "LwM2M-1.0-6.3-stable", "OMA-3-0-identity")
def test_identity_survives_an_update(dut, server, images):
    """Manufacturer, model, serial number, endpoint and lifetime are the same before and after."""
    before = identity(dut, server)
    assert server.update(dut, images.update).failure == ""
    assert identity(dut, server) == before


@pytest.mark.requirement("LwM2M-1.0-5.3.1")
def test_registers_once(dut, server, clock):
    """One registration for one start."""
    server.restart(dut)
    restarted = server.client(dut).registration.registered_at
    clock.sleep(30, "time for a second registration")
    events = server.registrations(dut, since=restarted)
    assert events.count("registered") == 1, f"registered {events.count('registered')} times"


@pytest.mark.requirement("LwM2M-1.0-5.3.2", "LwM2M-T-6.4.3-update")
def test_registration_is_kept(dut, server, clock):
    """Over two lifetimes it is renewed in time: it never expires."""
    begun = clock.now()
    clock.sleep(2 * dut.type.lifetime, "two lifetimes")
    events = server.registrations(dut, since=begun)
    assert "expired" not in events, "the registration was not renewed in time"
    renewed = [event for event in events if event in ("updated", "replaced", "registered")]
    assert len(renewed) >= 2, f"renewed {len(renewed)} times in two lifetimes"
