"""Who the device is does not change with its firmware, and it stays registered by the rules."""

import pytest


@pytest.mark.requirement("FOTA-IDENTITY", "LwM2M-1.0-6.3-stable", "OMA-3-0-identity")
def test_identity_survives_an_update(dut, server, images):
    """Manufacturer, model, serial number, endpoint and lifetime are the same before and after."""
    before = server.identity_of(dut)
    assert server.update(dut, images.update).failure == ""
    assert server.identity_of(dut) == before


@pytest.mark.requirement("LwM2M-1.0-5.3.1", "FOTA-ONE-REGISTRATION")
def test_registers_once(dut, server, clock, recommended):
    """A start makes it register; no clause forbids to do so again, but it should not."""
    server.restart(dut)
    restarted = server.client(dut).registration.registered_at
    clock.sleep(30, "time for a second registration")
    events = server.registrations(dut, since=restarted)
    assert "registered" in events
    with recommended("FOTA-ONE-REGISTRATION"):
        assert events.count("registered") == 1, f"registered {events.count('registered')} times"


@pytest.mark.requirement("LwM2M-1.0-5.3.2", "LwM2M-T-6.4.3-update")
def test_registration_is_kept(dut, server, clock):
    """Over two lifetimes it is renewed in time, by Update or by another Register: it never expires."""
    begun, lifetime = clock.now(), server.client(dut).registration.lifetime or dut.type.lifetime
    clock.sleep(2 * lifetime, "two lifetimes")
    events = server.registrations(dut, since=begun)
    assert "expired" not in events, "the registration was not renewed in time"
    assert {"updated", "registered"} & set(events), "not renewed in two lifetimes"
