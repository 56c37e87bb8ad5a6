"""A device that knows a bootstrap server alone: it learns its server there, and asks again when it must."""

import pytest

from bench.errors import NotApplicable
from bench.firmware_update.object5 import gone_for_a_moment

pytestmark = pytest.mark.capability("bootstrap")

FACTORY_RESET = "/3/0/5"


@pytest.fixture
def bootstrapped(dut, server, clock):
    """Factory state, told a bootstrap server, and registered by what that gave it: its account."""
    # another lifetime than the board's own, so that it can be told whose it is
    account = server.plan_bootstrap(dut, lifetime=2 * dut.type.lifetime)
    timeouts = dut.type.timeouts
    dut.power_off()
    dut.install(dut.images.baseline)
    begun = clock.now()
    dut.commission_by_bootstrap(server.uri_for(dut))
    within = timeouts.boot + timeouts.registration
    assert server.await_bootstrapped(dut, after=begun, within=within)
    assert server.await_registration(dut, "registered", after=begun, within=within)
    return account


@pytest.mark.requirement("LwM2M-1.0-5.2.2-account", "LwM2M-1.0-5.3.1")
def test_account_is_learned(dut, server, bootstrapped):
    """After Bootstrap-Finish it has the account that it was given, registers by it, and keeps it."""
    held = f"/1/{server.account_of(dut)}"

    def account():
        client = server.client(dut)
        told = {"lifetime it registers with": client.registration.lifetime}
        return told | {name: client.read(f"{held}/{number}") for number, name in ((0, "ID"), (1, "lifetime"))}

    wanted = {
        "lifetime it registers with": bootstrapped.lifetime,
        "ID": bootstrapped.short_id,
        "lifetime": bootstrapped.lifetime,
    }
    assert account() == wanted, f"the account at {held}"
    server.restart(dut)
    assert account() == wanted, f"the account at {held}, after a power cycle"


@pytest.mark.requirement("LwM2M-1.0-5.2.2-account", "FOTA-IDENTITY")
def test_account_outlasts_an_update(dut, server, images, object5, bootstrapped, clock):
    """The new version registers by the account that was learned, and does not ask for another one."""
    number, instance = map(int, object5.instance.strip("/").split("/"))
    if instance not in server.client(dut).registration.objects.get(number, ()):
        # a Delete of "/" spares the bootstrap account and the Device object alone (LwM2M core 1.1, 6.1.7.6)
        raise NotApplicable(f"the bootstrap's Delete has taken {object5.instance} from the device")
    clock.sleep(1, "the bootstrap is a thing of the past")
    since = clock.now()
    assert server.update(dut, images.update).failure == ""
    again = server.bootstraps(dut, since)
    assert again == [], f"after the update it asked its bootstrap server again: {', '.join(again)}"
    assert server.client(dut).registration.lifetime == bootstrapped.lifetime


@pytest.mark.requirement("LwM2M-1.0-5.2.4-falls-back")
def test_server_that_refuses_it(dut, server, bootstrapped, clock):
    """It can register with no server it knows: it asks its bootstrap server, and registers when it may."""
    with server.lwm2m.shutting_out(dut.endpoint):
        off = dut.power_cycle()
        assert server.await_bootstrapped(dut, after=off, within=dut.type.timeouts.bootstrap)
        back = clock.now()
    within = dut.type.timeouts.bootstrap
    assert server.await_registration(dut, "registered", after=back, within=within)


@pytest.mark.requirement("OMA-3-5-factory-reset", "LwM2M-1.0-5.3.3")
def test_factory_reset(dut, server, bootstrapped, clock, recommended):
    """Where it has one: it still knows its bootstrap server, and is its server's again by what that gives."""
    client = server.client(dut)
    server.optional(dut, FACTORY_RESET, "Factory Reset")
    account = server.plan_bootstrap(dut, lifetime=3 * dut.type.lifetime)
    since, timeouts = clock.now(), dut.type.timeouts
    with gone_for_a_moment():  # its answer may come after it has de-registered
        client.execute(FACTORY_RESET)
    within = 2 * timeouts.boot + timeouts.registration
    assert server.await_bootstrapped(dut, after=since, within=within)
    assert server.await_registration(dut, "registered", after=since, within=within)
    with recommended("LwM2M-1.0-5.3.3"):
        assert "gone" in server.registrations(dut, since), "it did not de-register before the reset"
    assert server.client(dut).registration.lifetime == account.lifetime, "it kept the account of before"
