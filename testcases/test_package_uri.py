"""Package URIs as RFC 3986 lets them be written: whatever the form, the device fetches what it names."""

import pytest

from bench.firmware_update.states import Delivery, Result, State, Transport
from bench.packages import uri as forms

pytestmark = pytest.mark.delivery("pull")

LENGTH = 255
"""Characters of the longest Package URI (OMA object 5, resource 1: range 0..255)."""
ELSEWHERE = "192.0.2.9:80"
"""An address of nobody (RFC 5737) and a port, in the form of a user and a password."""
BY_HTTP = [Transport.HTTP, Transport.HTTPS]
ANYWHERE = [t for t in Transport if t is not Transport.COAPS]
"""Not the one whose credentials a device may look up by the host of the URI (LwM2M Security object)."""


@pytest.fixture
def fetch(dut, server, images, transport):
    """Has the device fetch the update from a URI of the given form, whole; returns the update."""

    def run(form):
        with server.begin(dut, images.update, Delivery.PULL, transport, form=form) as update:
            update.publish()
            update.deliver()
            downloaded = update.await_downloaded()
            assert downloaded, f"Package URI {update.uri!r}: {downloaded}"
        assert update.record.violations == []

    return run


@pytest.mark.requirement("RFC3986-3.4-query")
def test_query(fetch):
    """What follows the question mark reaches the server, with every request of the download."""
    fetch(forms.with_query("board=J", "build=7", "signed"))


@pytest.mark.requirement("OMA-5-1-fetches")
def test_fetched_without_being_asked_for_more(dut, server, images, object5, transport, clock):
    """The Write of a Package URI is all it takes: nothing else is said to the device meanwhile."""
    with server.begin(dut, images.update, Delivery.PULL, transport) as update:
        package = update.publish()
        answer = object5.write_uri(update.uri)
        assert answer.taken, f"Package URI {update.uri!r} was answered {answer}"
        clock.sleep(dut.type.timeouts.registration, "the download begins")
        assert package.log, f"{dut.type.timeouts.registration:g} s after the Write nothing was asked for"
    server.make_idle(dut)


@pytest.mark.requirement("RFC3986-2.1-percent")
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(forms.in_folder("%4A%2Dlink", "%4a%2dlink", "a%20b"), id="letters"),
        pytest.param(forms.in_folder("a%2Fb"), id="slash"),
        pytest.param(forms.in_folder("a%2541"), id="percent"),
        pytest.param(forms.with_query("note=a%26b", "c"), id="ampersand"),
    ],
)
def test_percent_encoding(fetch, form):
    """An escape stands for its character, which is then no delimiter."""
    fetch(form)


@pytest.mark.requirement("RFC3986-3.2.2-host")
@pytest.mark.capability("host-names")
@pytest.mark.parametrize("transport", ANYWHERE, ids=str, indirect=True)
@pytest.mark.parametrize("written", [str.lower, str.upper], ids=["small", "capitals"])
def test_host_name(fetch, server, written):
    """A name in the place of an address is resolved; capitals and small letters are the same."""
    fetch(forms.at_host(written(server.host_name)))


@pytest.mark.requirement("RFC3986-3.2.2-host")
@pytest.mark.capability("ipv6")
@pytest.mark.parametrize("transport", ANYWHERE, ids=str, indirect=True)
def test_ipv6_address(fetch, server):
    """An IPv6 address stands in brackets."""
    fetch(forms.at_host(server.ipv6))


@pytest.mark.requirement("RFC3986-3.2.3-port")
@pytest.mark.parametrize(
    "form",
    [forms.with_port, forms.with_zeros_before_port, forms.without_port, forms.with_empty_port],
    ids=lambda f: f.__name__,
)
def test_port(fetch, form):
    """Given in digits, or left out where it is the scheme's own."""
    fetch(form)


@pytest.mark.requirement("RFC3986-3.3-empty")
@pytest.mark.parametrize("transport", ANYWHERE, ids=str, indirect=True)
def test_empty_segment(fetch):
    """a//b is another path than a/b."""
    fetch(forms.in_folder("a", "", "b"))


@pytest.mark.requirement("RFC3986-3.2.1-userinfo", "FOTA-RECOVERY")
@pytest.mark.parametrize("transport", ANYWHERE, ids=str, indirect=True)
def test_userinfo(dut, server, images, object5, transport):
    """What stands before @ is nobody's address: the host behind it is asked, or it is no URI."""
    form = forms.with_userinfo(ELSEWHERE)
    with server.begin(dut, images.update, Delivery.PULL, transport, form=form) as update:
        update.publish()
        answer = object5.write_uri(update.uri)
        if answer.taken:
            update.await_download_over()
        update.look()
        record = update.record
        refused = record.ended(Result.INVALID_URI, Result.UNSUPPORTED_PROTOCOL) or not answer.taken
        fetched = record.state is State.DOWNLOADED
        assert refused or fetched, f"Package URI {update.uri!r}: {record.shows(State.DOWNLOADED)}"
    assert record.violations == []
    server.make_idle(dut)


@pytest.mark.requirement("RFC3986-3.1-scheme")
def test_scheme_in_capitals(dut, server, images, transport, recommended):
    """It should be the same to the device; else it is refused like any that it does not know."""
    with server.begin(dut, images.update, Delivery.PULL, transport, form=forms.in_capitals) as update:
        update.publish()
        update.deliver()
        with recommended("RFC3986-3.1-scheme"):
            downloaded = update.await_downloaded()
            assert downloaded, f"Package URI {update.uri!r}: {downloaded}"
    assert update.record.violations == []


@pytest.mark.requirement("RFC3986-3.5-fragment")
@pytest.mark.parametrize("transport", BY_HTTP, ids=str, indirect=True)
def test_fragment(fetch):
    """What follows the number sign is not sent: the package is that of the URI before it."""
    fetch(forms.with_fragment("part"))


@pytest.mark.requirement("OMA-5-1-length", "OMA-5-1-read-write")
def test_longest_uri(dut, server, images, object5, transport):
    """255 characters are taken, read back as they were written, and fetched from."""
    form = forms.of_length(LENGTH)
    with server.begin(dut, images.update, Delivery.PULL, transport, form=form) as update:
        update.deliver(0.1)
        refused = update.record.refused
        assert not refused, f"a Package URI of {len(update.uri)} characters: {refused}"
        if update.record.state is State.DOWNLOADING:
            assert object5.read()[1] == update.uri, f"{object5.instance}/1 while it is fetched from"
        update.deliver()
        downloaded = update.await_downloaded()
        assert downloaded, f"a Package URI of {len(update.uri)} characters: {downloaded}"
    assert update.record.violations == []


@pytest.mark.requirement("OMA-5-1-length", "FOTA-RECOVERY")
@pytest.mark.parametrize("transport", ANYWHERE, ids=str, indirect=True)
def test_uri_that_is_too_long(dut, server, images, object5, transport):
    """One character more is refused, or taken as it is: never fetched from with its end cut off."""
    form = forms.of_length(LENGTH + 1)
    with server.begin(dut, images.update, Delivery.PULL, transport, form=form) as update:
        update.publish()
        answer = object5.write_uri(update.uri)
        if answer.taken:
            update.await_download_over()
        asked = server.lwm2m.shelf.missed
        assert asked == [], f"of a Package URI of {len(update.uri)} characters {asked[0]} was fetched"
        if answer.taken and object5.state is not State.IDLE:
            assert object5.read()[1] == update.uri, f"{object5.instance}/1 after 2.04"
    server.make_idle(dut)
    assert server.update(dut, images.update).failure == "", "a package after it"
