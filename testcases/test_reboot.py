"""Reboot (/3/0/4) is a restart and no more: it installs nothing, and loses nothing that was downloaded."""

import pytest
from aiocoap import DELETE

from bench.firmware_update.states import Result, State
from bench.lwm2m.client import CoapError

REBOOT = "/3/0/4"


@pytest.fixture
def reboot(dut, server, clock):
    """Executes Reboot, and waits for the registration after it; returns the moment before."""

    def run():
        since = clock.now()
        try:
            server.client(dut).execute(REBOOT)
        except CoapError as refused:
            pytest.fail(f"{REBOOT}: Reboot was answered {refused.dotted}")
        within = dut.type.timeouts.boot + dut.type.timeouts.registration
        back = clock.now() + within
        while not registered_after(since) and clock.now() < back:
            clock.sleep(1, f"{dut.endpoint} restarts")
        assert registered_after(since), f"{REBOOT}: no Register, which follows a restart, within {within:g} s"
        return since

    def registered_after(since):
        registration = server.lwm2m.registration(dut.endpoint)
        return registration is not None and registration.registered_at > since

    return run


@pytest.mark.requirement("OMA-3-4-reboot", "LwM2M-T-6.4.3-update")
def test_reboot_in_idle(dut, server, images, reboot):
    """The same firmware runs, Idle; where it de-registers before, it does so where it was registered."""
    registration = server.client(dut).registration
    since = reboot()
    assert server.version_of(dut) == images.baseline.version
    assert server.state_of(dut) == (State.IDLE, Result.INITIAL)
    asked = server.lwm2m.asked_by(registration, since)
    left = {"/".join(m.opt.uri_path) for _, m in asked if m.code is DELETE}
    assert left <= {f"rd/{registration.location}"}, f"it was /rd/{registration.location}, and left {left}"


@pytest.mark.requirement("OMA-3-4-reboot", "FOTA-RESTART")
def test_reboot_while_downloading(dut, server, images, delivery, reboot):
    """The old version runs, and nothing was installed; the next update succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver_and_linger(0.3)
        assert update.await_restart(after=reboot())
        assert server.version_of(dut) == images.baseline.version
        assert update.go_on().violations == []
    server.make_idle(dut)
    assert server.update(dut, images.update, delivery).failure == ""


@pytest.mark.requirement("OMA-3-4-reboot", "OMA-5-2-installs", "OMA-5-3-downloaded", "FOTA-STAYS")
def test_reboot_when_downloaded(dut, server, images, reboot):
    """Nobody asked for it: the old version runs. Where it is still Downloaded, Update installs."""
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.await_restart(after=reboot())
        assert server.version_of(dut) == images.baseline.version, "a restart has installed the package"
        if update.record.state is State.DOWNLOADED:
            assert update.execute()
            update.await_finish()
            assert update.record.failure == ""
        assert update.record.violations == []
