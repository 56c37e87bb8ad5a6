"""A firmware update that must succeed, by both ways of delivery and over every transport.

OMA LightweightM2M-1.0-int-770 (package delivered over CoAP), -771 (by the alternative mechanism:
the device fetches it from the Package URI).
"""

import pytest

from bench.firmware_update.states import Delivery, Result, State, in_words

WHOLE_CYCLE = (State.DOWNLOADING, State.DOWNLOADED, State.UPDATING, State.IDLE)


@pytest.mark.requirement(
    "LightweightM2M-1.0-int-770",
    "LwM2M-1.0-E.6.1",
    "OMA-5-3-downloading",
    "OMA-5-3-downloaded",
    "OMA-5-3-updating",
    "OMA-5-3-success",
    "OMA-5-5-initial",
    "OMA-5-5-1",
    "OMA-5-2-installs",
    "OMA-3-3-version",
    "FOTA-STAYS",
    "FOTA-UNCHANGED",
    "BOOT-CONFIRMED",
    "OMA-5-0-write",
    "OMA-5-blockwise",
    "RFC7959-2.5-atomic",
)
@pytest.mark.delivery("push")
def test_push_succeeds(dut, server, images, delivery):
    """Downloading, Downloaded, Updating, Idle in that order; result 1; the new version runs and stays."""
    update = server.update(dut, images.update, delivery)

    assert update.violations == []
    assert update.went(*WHOLE_CYCLE)
    assert update.ended(Result.SUCCESS)
    assert update.push.complete, f"{update.push.outcome.value}: {update.push.reason}"
    assert_runs_and_stays(dut, server, images.update)


@pytest.mark.requirement(
    "LightweightM2M-1.0-int-771",
    "LwM2M-1.0-E.6.1",
    "OMA-5-3-downloading",
    "OMA-5-3-downloaded",
    "OMA-5-3-updating",
    "OMA-5-3-success",
    "OMA-5-5-initial",
    "OMA-5-5-1",
    "OMA-5-2-installs",
    "OMA-3-3-version",
    "FOTA-STAYS",
    "FOTA-UNCHANGED",
    "BOOT-CONFIRMED",
    "OMA-5-1-fetches",
    "OMA-5-1-scheme",
)
@pytest.mark.requirement("OMA-5-http", transport=("http", "https"))
@pytest.mark.requirement("LwM2M-T-package-credentials", "LwM2M-T-psk", transport="coaps")
@pytest.mark.requirement("RFC8323-8-scheme", transport="coap+tcp")
@pytest.mark.delivery("pull")
def test_pull_succeeds(dut, server, images, transport):
    """The same when the device fetches the package itself, whatever the scheme of its URI."""
    update = server.update(dut, images.update, Delivery.PULL, transport)

    assert update.violations == []
    assert update.went(*WHOLE_CYCLE)
    assert update.ended(Result.SUCCESS)
    assert update.delivered == images.update.size, "bytes of the package that were fetched"
    assert_runs_and_stays(dut, server, images.update)


@pytest.mark.requirement("FOTA-FACTORY", "OMA-5-3-idle-at-first")
@pytest.mark.delivery("push")
def test_baseline_is_what_was_installed(dut, server, images):
    """Before any update: Idle, result 0, and the flash holds exactly the baseline that was installed."""
    assert server.object5(dut).shows(State.IDLE, Result.INITIAL), "a fresh device"
    assert server.version_of(dut) == images.baseline.version
    dut.assert_running(images.baseline)


def assert_runs_and_stays(dut, server, image):
    assert server.version_of(dut) == image.version
    server.restart(dut)
    assert server.version_of(dut) == image.version, "the new version did not survive a power cycle"
    stands = server.state_of(dut)
    kept = {(State.IDLE, Result.SUCCESS), (State.IDLE, Result.INITIAL)}
    assert stands in kept, f"after a power cycle the update that succeeded reads {in_words(*stands)}"
    dut.assert_running(image)
