"""A path that loses, repeats and reorders datagrams: the update takes longer, and succeeds."""

import pytest

from bench.firmware_update.states import Result

PATHS = {
    "loss": {"loss": 0.05},
    "duplicates": {"duplicate": 0.3},
    "reordered": {"reorder": 0.1, "hold": 0.5},
}


@pytest.mark.requirement("FOTA-LINK", "FOTA-WHOLE")
@pytest.mark.requirement("RFC7252-4.2-backoff", delivery="pull")
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
def test_bad_path(dut, server, images, delivery, path):
    """Not a byte of the package is lost, doubled or misplaced."""
    with dut.impaired(**path):
        update = server.update(dut, images.update, delivery)

    assert update.violations == []
    assert update.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)
