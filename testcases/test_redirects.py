"""A package that has moved to another server: fetched from there, if at all, once that has proved itself."""

import pytest

from bench.errors import NotApplicable
from bench.firmware_update.states import Delivery, Result, Transport
from bench.packages.certificates import Shown
from bench.packages.misbehaviour import Redirect

ALWAYS = 1000
"""Times."""

pytestmark = [
    pytest.mark.delivery("pull"),
    pytest.mark.parametrize("transport", [Transport.HTTPS], ids=str, indirect=True),
]


@pytest.fixture
def moved(dut, server, images, transport):
    """Runs an update from http that is redirected to https, a server of its own; and back, if asked to."""
    if Transport.HTTP.value not in dut.type.profile.transports:
        raise NotApplicable(f"{dut.type.name} does not fetch packages over http")

    def run(*, and_back):
        with server.begin(dut, images.update, Delivery.PULL, Transport.HTTP) as update:
            package = update.publish()
            there, here = (server.package_uri(dut, package.name, t) for t in (transport, Transport.HTTP))
            redirects = [Redirect(there, ALWAYS, door=Transport.HTTP.value)]
            if and_back:
                redirects.append(Redirect(here, ALWAYS, door=transport.value))
            package.misbehave(*redirects)
            update.finish()
        assert update.record.violations == []
        return update.record

    return run


def assert_given_up(dut, server, images, record):
    assert record.ended(Result.CONNECTION_LOST, Result.INVALID_URI)
    assert record.delivered == 0
    assert server.version_of(dut) == images.baseline.version


@pytest.mark.requirement("RFC9110-15.4-follow", "FOTA-SERVER")
def test_moved_to_another_server(dut, server, images, moved, recommended):
    """Fetched from the server that the Location names, as a device may; or a failed download."""
    record = moved(and_back=False)
    with recommended("RFC9110-15.4-follow"):
        assert record.ended(Result.SUCCESS), "a redirection to another server"
    if record.result is Result.SUCCESS:
        dut.assert_running(images.update)
    else:
        assert_given_up(dut, server, images, record)


@pytest.mark.requirement("FOTA-TRUST", "RFC9110-4.3.4-identity")
def test_moved_to_a_server_that_is_another(dut, server, images, moved):
    """The server behind the redirection has a certificate of another host: nothing is fetched from it."""
    with server.showing(Shown.WRONG_HOST):
        record = moved(and_back=False)
    assert_given_up(dut, server, images, record)


@pytest.mark.requirement("RFC9110-15.4-cycle", "FOTA-SERVER")
def test_two_servers_that_redirect_to_each_other(dut, server, images, moved):
    """Noticed, and given up."""
    assert_given_up(dut, server, images, moved(and_back=True))
