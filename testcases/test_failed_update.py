"""Updates that fail after the download: result 8, and the old version runs.

OMA LightweightM2M-1.0-int-779 (unsuccessful firmware update).
"""

import pytest

from bench.firmware_update.states import Result, State, in_words


def assert_rolled_back(dut, server, images, update):
    assert update.violations == []
    assert update.ended(Result.UPDATE_FAILED)
    assert update.went(State.DOWNLOADING, State.DOWNLOADED, State.UPDATING, update.state)
    assert_old_version_stays(dut, server, images)


def assert_old_version_stays(dut, server, images):
    assert server.version_of(dut) == images.baseline.version
    server.restart(dut)
    assert server.version_of(dut) == images.baseline.version, "the old version did not stay"
    stands = server.state_of(dut)
    assert stands[1] is not Result.SUCCESS, (
        f"after a power cycle it reads {in_words(*stands)}: nothing succeeded"
    )
    dut.assert_running(images.baseline)


@pytest.mark.requirement("LightweightM2M-1.0-int-779", "OMA-5-5-8", "OMA-5-3-failure", "FOTA-STAYS")
@pytest.mark.capability("board-check")
@pytest.mark.image("wrong-board")
def test_image_for_another_board(dut, server, images, delivery):
    """A correctly built and signed image for another board is refused, by Update at the latest."""
    update = server.update(dut, images.wrong_board, delivery)
    assert update.violations == []
    assert update.ended(Result.UPDATE_FAILED, Result.UNSUPPORTED_PACKAGE, Result.INTEGRITY_FAILED)
    assert_old_version_stays(dut, server, images)


@pytest.mark.requirement("LightweightM2M-1.0-int-779", "FOTA-ROLLBACK", "OMA-5-5-8", "LwM2M-1.0-E.6.1")
@pytest.mark.image("self-test-fails")
def test_new_image_fails_its_self_test(dut, server, images, delivery):
    """The new image starts, finds itself broken, and makes way for the old one."""
    update = server.update(dut, images.self_test_fails, delivery)
    assert_rolled_back(dut, server, images, update)


@pytest.mark.requirement("LightweightM2M-1.0-int-779", "FOTA-RECOVERY")
@pytest.mark.image("self-test-fails")
def test_good_update_after_a_failed_one(dut, server, images):
    """After a roll-back the device takes a good package as if nothing had been."""
    server.update(dut, images.self_test_fails)
    server.make_idle(dut)
    again = server.update(dut, images.update)
    assert again.violations == []
    assert again.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
