"""A user may put off an update (object version 1.1): result 11, until accepted or the period is over."""

import pytest

from bench.errors import NotApplicable
from bench.firmware_update.states import Result, State

pytestmark = [pytest.mark.object5("1.1", "1.2"), pytest.mark.capability("defer")]

WHILE = 30
"""Seconds in which a user may not answer."""


@pytest.mark.requirement("OMA-5-3-deferred", "OMA-5-3-deferred-normal", "OMA-5-5-11")
def test_deferred_until_accepted(dut, server, images, clock):
    """Downloaded with result 11, nothing restarts; when the user agrees, the update succeeds."""
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        with dut.using("defer"):
            assert update.execute()
            assert update.await_pair(State.DOWNLOADED, Result.DEFERRED, timeout=dut.type.timeouts.boot)
            assert server.version_of(dut) == images.baseline.version
            clock.sleep(WHILE, "it is deferred")
            update.look()
            assert update.record.shows(State.DOWNLOADED, Result.DEFERRED), f"{WHILE} s later"
        update.await_finish()
        assert update.record.violations == []
        assert update.record.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version


@pytest.mark.requirement("OMA-5-13-installs")
def test_deferred_until_the_period_is_over(dut, server, images, object5, clock):
    """After Maximum Defer Period the device installs without asking, and not before."""
    period = 120
    assert object5.write(13, period).taken
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        with dut.using("defer"):
            start = clock.now()
            assert update.execute()
            assert update.await_begun(period + dut.type.timeouts.boot)
            waited = clock.now() - start
            assert waited >= period - 1, f"installed after {waited:.0f} s of {period} s"
        update.await_finish()
        assert update.record.violations == []
        assert update.record.ended(Result.SUCCESS)


@pytest.mark.requirement("OMA-5-13-zero")
def test_deferral_forbidden(dut, server, images, object5):
    """With a period of 0 the user is not asked."""
    assert object5.write(13, 0).taken
    with dut.using("defer"):
        update = server.update(dut, images.update)
    assert update.violations == []
    assert update.ended(Result.SUCCESS)


@pytest.mark.requirement("OMA-5-13-zero")
def test_deferral_forbidden_at_last(dut, server, images, object5):
    """The period that counts is the one that stands when Update is executed."""
    assert object5.write(13, 600).taken
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        assert object5.write(13, 0).taken
        with dut.using("defer"):
            assert update.execute()
            update.await_finish()
        assert update.record.violations == []
        assert update.record.ended(Result.SUCCESS)


@pytest.mark.requirement("OMA-5-13-installs", "OMA-5-10-cancels", "OMA-5-2-only-when-downloaded")
def test_deferral_ends_with_its_package(dut, server, images, object5, clock):
    """Cancelled while it is deferred: the period of that one does not install the next one."""
    period = 60
    if "downloaded" not in dut.type.profile.cancels_in:
        raise NotApplicable("by its board file the device does not cancel what is Downloaded")
    assert object5.write(13, period).taken
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        with dut.using("defer"):
            assert update.execute()
            assert update.await_pair(State.DOWNLOADED, Result.DEFERRED, timeout=dut.type.timeouts.boot)
            assert object5.cancel().taken
            assert update.await_pair(State.IDLE, Result.CANCELLED, timeout=dut.type.timeouts.boot)
            begun = clock.now()
            with server.begin(dut, images.update) as another:
                another.deliver()
                assert another.await_downloaded()
                clock.sleep(max(0, begun + 2 * period - clock.now()), "the period is long over")
                another.look()
                assert another.record.shows(State.DOWNLOADED, Result.INITIAL), (
                    "nobody has asked for its installation"
                )
