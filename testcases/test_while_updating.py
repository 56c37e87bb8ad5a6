"""While the device installs, nothing that a server asks changes what it installs, or how that ends."""

import pytest

from bench.firmware_update.object5 import gone_for_a_moment
from bench.firmware_update.states import Result, State

AT_ONCE = 10
"""Seconds that an answer and a look may take, on a slow link."""
GARBAGE = b"no firmware" * 30
"""A package that fits one message."""
WAYS = {
    "update": lambda object5: object5.execute(),
    "package-uri": lambda object5: object5.write_uri("coap://192.0.2.1/fw/another.bin"),
    "package": lambda object5: object5.write_package(GARBAGE),
}
NEEDS = {"package-uri": "pull", "package": "push"}


@pytest.fixture(
    params=[
        pytest.param(ask, id=name, marks=[pytest.mark.writes(NEEDS[name])] if name in NEEDS else [])
        for name, ask in WAYS.items()
    ]
)
def ask(request, object5):
    """What the server asks for, ready to be called."""
    return lambda: request.param(object5)


@pytest.mark.requirement("OMA-5-3-updating")
def test_updating_begins_with_the_answer(dut, server, images):
    """Update was taken, and it is no longer Downloaded: it shows Updating, or is beyond."""
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.execute()
        hidden = State.UPDATING in update.record.rules.hidden
        begun = hidden or update.await_begun(AT_ONCE)
        assert begun, f"{AT_ONCE} s after Update was taken"
        update.await_finish()
        assert update.record.violations == []
        assert update.record.ended(Result.SUCCESS)


@pytest.mark.requirement("LwM2M-1.0-E.6.1", "LwM2M-1.1-E.6-rejected", "OMA-5-3-updating", "FOTA-WHOLE")
def test_asked_while_updating(dut, server, images, ask, clock, recommended):
    """Another Update, URI or package should be refused; the installation under way succeeds all the same."""
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.execute()
        if update.await_updating():  # else it was too quick, or never shows it
            asked = clock.now()
            with gone_for_a_moment():  # it may restart before it answers
                answer = ask()
                if "registered" not in server.registrations(dut, since=asked):  # else it was over meanwhile
                    with recommended("LwM2M-1.1-E.6-rejected"):
                        assert answer.refused
        update.await_finish()
        assert update.record.violations == []
        assert update.record.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)
