"""Updates to builds that turn out bad only when they run: the old version comes back, and nothing is lost."""

import pytest

from bench.firmware.hostile_kinds import with_raised_counter
from bench.firmware.rebuilt import grown, renamed
from bench.firmware_update.states import Result

BAD_BUILDS = (
    "self-test-fails",
    "crashes-at-boot",
    "hangs",
    "cannot-attach",
    "never-confirms",
    "loses-settings",
)
RUN_FOR_A_WHILE = ("self-test-fails", "never-confirms", "loses-settings")
"""Those of them that come as far as to touch settings."""
REFUSALS = (Result.INTEGRITY_FAILED, Result.UNSUPPORTED_PACKAGE, Result.UPDATE_FAILED)
"""Results of a package that is whole and not wanted: no version of the object names one for it."""
OTHER_LIFETIME = 240
"""Seconds; a setting that no board has from its factory."""
MORE = 0x10000
"""Bytes by which an image is longer than another: more than a page of any flash."""
SWAPPING = 8
"""Seconds after Updating is shown: the middle of an installation by swapping."""


def assert_rolled_back(dut, server, images, update):
    assert update.stuck == ""
    assert update.violations == []
    assert update.ended(Result.UPDATE_FAILED)
    assert server.version_of(dut) == images.baseline.version
    server.restart(dut)
    assert server.version_of(dut) == images.baseline.version, "the old version did not stay"


def try_build(dut, server, image):
    return server.update(dut, image, within=dut.type.timeouts.rollback)


@pytest.mark.requirement("LightweightM2M-1.0-int-779", "FOTA-ROLLBACK", "FOTA-TIME", "BOOT-ERASED")
@pytest.mark.requirement(
    "BOOT-TRIAL", build=("never-confirms", "cannot-attach", "loses-settings", "self-test-fails")
)
@pytest.mark.requirement("BOOT-CRASH", build=("crashes-at-boot", "hangs"))
@pytest.mark.capability("readback")
@pytest.mark.parametrize("build", [pytest.param(b, marks=pytest.mark.image(b)) for b in BAD_BUILDS])
def test_bad_build_gives_way_to_the_old_one(dut, server, images, build):
    """In the board file's time, with result 8; the old image is whole, and nothing is left to be booted."""
    update = try_build(dut, server, images.variant(build))
    assert_rolled_back(dut, server, images, update)
    dut.assert_running(images.baseline)
    dut.assert_settled()


@pytest.mark.requirement("FOTA-ROLLBACK", "FOTA-WHOLE", "BOOT-TRIAL")
@pytest.mark.capability("readback")
@pytest.mark.image("self-test-fails")
def test_bad_build_after_a_good_one(dut, server, images):
    """What comes back is the version before, which was updated to, and not the one before that."""
    assert server.update(dut, images.update).failure == ""
    update = try_build(dut, server, images.self_test_fails)
    assert update.stuck == ""
    assert update.violations == []
    assert update.ended(Result.UPDATE_FAILED)
    dut.assert_running(images.update)
    server.restart(dut)
    assert server.version_of(dut) == images.update.version, "it did not stay"


@pytest.mark.requirement("FOTA-ROLLBACK", "FOTA-WHOLE", "FOTA-UNCHANGED", "BOOT-TRIAL")
@pytest.mark.capability("readback")
@pytest.mark.image("rebuilt", "self-test-fails")
def test_longer_image_comes_back_whole(dut, server, images):
    """What runs came by an update too, and is longer than the bad build that takes its place for a while."""
    longer = grown(images, images.update, images.update.size + MORE)
    assert server.update(dut, longer).failure == ""
    update = try_build(dut, server, images.self_test_fails)
    assert update.violations == []
    assert update.ended(Result.UPDATE_FAILED)
    server.restart(dut)
    dut.assert_running(longer)
    dut.assert_settled()


@pytest.mark.requirement("FOTA-IDENTITY", "FOTA-RECOVERY")
@pytest.mark.parametrize("build", [pytest.param(b, marks=pytest.mark.image(b)) for b in BAD_BUILDS])
def test_identity_survives_a_rollback(dut, server, images, build):
    """It is the same device to its server after a rollback, and after the good update that follows."""
    assert_identity_survives(dut, server, images, build)


@pytest.mark.requirement("FOTA-SETTINGS", "OMA-1-1-lifetime", "LwM2M-1.0-5.3.2-changes")
@pytest.mark.capability("keeps-settings")
@pytest.mark.parametrize("build", [pytest.param(b, marks=pytest.mark.image(b)) for b in RUN_FOR_A_WHILE])
def test_settings_survive_a_rollback(dut, server, images, build):
    """What was set since the device left its factory is as it was set, where the board file promises that."""
    server.keep_registered_for(dut, OTHER_LIFETIME)
    assert_identity_survives(dut, server, images, build)


def assert_identity_survives(dut, server, images, build):
    before = server.identity_of(dut)
    update = try_build(dut, server, images.variant(build))
    assert_rolled_back(dut, server, images, update)
    assert server.identity_of(dut) == before

    server.make_idle(dut)
    assert server.update(dut, images.update).failure == ""
    assert server.version_of(dut) == images.update.version
    assert server.identity_of(dut) == before


@pytest.mark.requirement("FOTA-NO-DOWNGRADE", "BOOT-COUNTER-CONFIRMED")
@pytest.mark.capability("anti-rollback")
@pytest.mark.image("never-confirms", "raised-counter")
def test_counter_rises_only_with_a_confirmed_image(dut, server, images):
    """A build that is not confirmed must not lock the old one out."""
    newer = with_raised_counter(images, images.variant("never-confirms"))
    assert_rolled_back(dut, server, images, try_build(dut, server, newer))


@pytest.mark.requirement("FOTA-NO-DOWNGRADE", "BOOT-COUNTER-CONFIRMED", "BOOT-INTERRUPTED")
@pytest.mark.capability("anti-rollback")
@pytest.mark.image("self-test-fails", "raised-counter")
def test_counter_does_not_rise_with_an_installation_that_was_cut(dut, server, images, clock):
    """Nor does one that is finished after a cut: the bad build still gives way to the old one."""
    newer = with_raised_counter(images, images.self_test_fails)
    with server.begin(dut, newer, within=dut.type.timeouts.rollback) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.execute()
        clock.sleep(SWAPPING, "installing")
        off = dut.power_cycle()
        assert update.await_restart(after=off)
        update.await_finish()
    assert_rolled_back(dut, server, images, update.record)


@pytest.mark.requirement("FOTA-NO-DOWNGRADE", "BOOT-COUNTER")
@pytest.mark.capability("anti-rollback", "readback")
@pytest.mark.image("raised-counter")
def test_counter_of_a_confirmed_image_keeps_older_ones_out(dut, server, images):
    """Once a build with a higher counter is confirmed, one with the old counter does not come back."""
    newer = with_raised_counter(images, images.update)
    assert server.update(dut, newer).failure == ""
    server.restart(dut)
    refused = server.update(dut, images.update)
    assert refused.violations == []
    assert refused.ended(*REFUSALS)
    server.restart(dut)
    dut.assert_running(newer)
    dut.assert_settled()


@pytest.mark.requirement("FOTA-NO-DOWNGRADE", "BOOT-VERSION")
@pytest.mark.capability("downgrade-prevention", "readback")
def test_no_way_back_to_a_lower_version(dut, server, images):
    """After a successful update the version before is refused, though well signed."""
    assert server.update(dut, images.update).failure == ""
    refused = server.update(dut, images.baseline)
    assert refused.violations == []
    assert refused.ended(*REFUSALS)
    server.restart(dut)
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


@pytest.mark.requirement("FOTA-NO-DOWNGRADE", "BOOT-VERSION", "OMA-5-2-installs")
@pytest.mark.capability("downgrade-prevention", "readback")
@pytest.mark.image("rebuilt")
def test_last_number_of_a_version_counts(dut, server, images):
    """One that is higher in it is installed, whatever its build number; then the lower one is refused."""
    major = int(images.update.version.partition(".")[0]) + 1
    lower = renamed(images, images.update, f"{major}.0.1", build=9)
    higher = renamed(images, images.update, f"{major}.0.2", build=1)
    for image in (lower, higher):
        assert server.update(dut, image).failure == "", f"to {image.version}"
    refused = server.update(dut, lower)
    assert refused.violations == []
    assert refused.ended(*REFUSALS), f"from {higher.version} to {lower.version}"
    server.restart(dut)
    dut.assert_running(higher)
