"""A package server that misbehaves: whatever happens, the device ends with a whole image or the old one."""

import pytest

from bench.firmware_update.states import Delivery, Result, State, Transport
from bench.packages.certificates import Shown
from bench.packages.misbehaviour import (
    Cut,
    IgnoreRange,
    OtherPart,
    Redirect,
    Refuse,
    Replace,
    Slow,
    Stall,
    WeakEtag,
    WrongSize,
)

pytestmark = pytest.mark.delivery("pull")

FAILED = (Result.CONNECTION_LOST, Result.INTEGRITY_FAILED)
BY_HTTP = pytest.mark.parametrize("transport", [Transport.HTTP, Transport.HTTPS], ids=str, indirect=True)


@pytest.fixture
def pull(dut, server, images, transport):
    """Runs an update whose package server misbehaves as given."""

    def run(*faults, image=None):
        with server.begin(dut, image or images.update, Delivery.PULL, transport) as update:
            update.publish().misbehave(*faults)
            update.finish()
        assert update.record.violations == []
        return update.record

    return run


def assert_updated(dut, server, images, record):
    assert record.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


def assert_unchanged(dut, server, images, record, *results):
    assert record.ended(*results)
    assert server.version_of(dut) == images.baseline.version
    dut.assert_running(images.baseline)


@pytest.mark.requirement("OMA-5-5-4", "FOTA-SERVER", "FOTA-TIME")
def test_server_that_stalls(dut, server, images, pull):
    """Half-way nothing more comes: the device gives up with result 4."""
    record = pull(Stall(after=images.update.size // 2))
    assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST)


@pytest.mark.requirement("FOTA-SERVER")
def test_server_that_stalls_for_a_while(dut, server, images, pull):
    """A pause that is shorter than the device's patience costs only time."""
    record = pull(Stall(after=images.update.size // 2, seconds=20))
    assert_updated_or_given_up(dut, server, images, record)


def assert_updated_or_given_up(dut, server, images, record):
    """Whole, or result 4 and the old image: no clause obliges a device to try again."""
    if record.result is Result.SUCCESS or "outage" in dut.type.profile.resumes_after:
        assert_updated(dut, server, images, record)
    else:
        assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST)


@pytest.mark.requirement("FOTA-SERVER", "FOTA-RESUME")
def test_connection_that_breaks(dut, server, images, pull):
    """Cut once half-way: the device goes on, by its profile without starting over, or gives up."""
    record = pull(Cut(after=images.update.size // 2))
    assert_updated_or_given_up(dut, server, images, record)
    if "outage" in dut.type.profile.resumes_after:
        assert record.sent < 1.3 * images.update.size, "the download started over"


@pytest.mark.requirement("OMA-5-5-4", "FOTA-SERVER")
def test_connection_that_breaks_for_ever(dut, server, images, pull):
    """It never gets further than half-way: result 4."""
    record = pull(Cut(after=images.update.size // 2, times=1000))
    assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST)


@pytest.mark.requirement("FOTA-WHOLE")
@pytest.mark.requirement("RFC7959-2.4-etag", transport=("coap", "coaps", "coap+tcp"))
@pytest.mark.requirement("RFC9110-15.3.7.3-combine", transport=("http", "https"))
def test_package_replaced_half_way(dut, server, images, pull):
    """Another package under the same URI, with another ETag: never a mixture of the two."""
    swap = Replace(after=int(images.update.size * 0.6), data=images.update.data)
    cut = Cut(after=int(images.update.size * 0.6))
    record = pull(swap, cut, image=images.corrupted)
    if record.result is Result.SUCCESS:
        assert_updated(dut, server, images, record)
    else:
        assert_unchanged(dut, server, images, record, *FAILED)


@pytest.mark.requirement("FOTA-SERVER")
@pytest.mark.requirement("RFC7252-5.9.2.5-not-found", transport=("coap", "coaps", "coap+tcp"))
@pytest.mark.requirement("RFC9110-15.5.5-not-found", transport=("http", "https"))
def test_package_that_is_not_there(dut, server, images, pull):
    """4.04 or 404: a failed download, and nothing is asked for without end."""
    record = pull(Refuse("4.04"))
    assert_unchanged(dut, server, images, record, Result.INVALID_URI, Result.CONNECTION_LOST)


@pytest.mark.requirement("FOTA-SERVER")
def test_server_that_is_busy_at_first(dut, server, images, pull):
    """5.03 or 503 twice: the device asks again, or gives up."""
    record = pull(Refuse("5.03", times=2, retry_after=5))
    assert_updated_or_given_up(dut, server, images, record)


@pytest.mark.requirement("OMA-5-5-4", "FOTA-SERVER")
def test_server_that_is_always_busy(dut, server, images, pull):
    """It gives up with result 4."""
    record = pull(Refuse("5.03"))
    assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST)


@pytest.mark.requirement("FOTA-SERVER")
@pytest.mark.parametrize("by", [-4096, 4096], ids=["too-small", "too-large"])
def test_wrong_size_announced(dut, server, images, pull, by):
    """Either the size is not what the device goes by, or the download fails; it never hangs."""
    record = pull(WrongSize(by))
    if record.result is Result.SUCCESS:
        assert_updated(dut, server, images, record)
    else:
        assert_unchanged(dut, server, images, record, *FAILED)


@pytest.mark.requirement("FOTA-SERVER")
def test_slow_server(dut, server, images, pull):
    """1 kB/s, or twice as fast as the board file's time-out asks: it takes its time, and succeeds."""
    rate = max(1000, 2 * images.update.size / dut.type.timeouts.download)
    record = pull(Slow(rate=rate))
    assert record.duration > images.update.size / rate, "it was not slow"
    assert_updated(dut, server, images, record)


def half_of(image):
    """Bytes; a multiple of what any download takes at a time."""
    return image.size // 2


@pytest.mark.requirement("RFC9110-13.1.5-range", "RFC9110-13.1.5-weak")
@pytest.mark.parametrize("faults", [(), (WeakEtag(),)], ids=["strong", "weak"])
@BY_HTTP
def test_what_a_resumed_download_says(dut, server, images, pull, faults):
    """After a break If-Range goes with Range alone, and never with a weak ETag; whatever it then gets."""
    record = pull(Cut(after=half_of(images.update)), *faults)
    assert record.ranges, "nothing was asked for"
    alone = [asked for asked in record.ranges if asked.if_range and not asked.range]
    assert alone == [], "If-Range without Range"
    weak = [asked for asked in record.ranges if asked.if_range.startswith("W/")]
    assert weak == [], "If-Range with a weak ETag"
    assert_put_together_rightly(dut, server, images, record, "what came after the break")


def assert_put_together_rightly(dut, server, images, record, part):
    """Whole, or given up with result 4 and the old image."""
    wrongly = record.result in (Result.INTEGRITY_FAILED, Result.NOT_ENOUGH_FLASH)
    assert not wrongly, f"{part} was put in the wrong place: {record.shows(State.IDLE)}"
    if record.result is Result.SUCCESS:
        assert_updated(dut, server, images, record)
    else:
        assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST)


@pytest.mark.requirement("RFC9110-14.2-ignored", "FOTA-WHOLE")
@BY_HTTP
def test_server_that_ignores_range(dut, server, images, pull):
    """After a break it gives the whole package again, in a 200: taken from its first byte, or given up."""
    record = pull(Cut(after=half_of(images.update)), IgnoreRange())
    assert_put_together_rightly(dut, server, images, record, "a 200, the whole package,")


@pytest.mark.requirement("RFC9110-15.3.7-inspect", "FOTA-WHOLE")
@pytest.mark.parametrize("other", [{"earlier": 8}, {"size": 8}], ids=["begins-earlier", "ends-sooner"])
@BY_HTTP
def test_server_that_gives_another_part(dut, server, images, pull, other):
    """Its Content-Range says which bytes they are: put where they belong, or the download is given up."""
    part = OtherPart(**{key: images.update.size // share for key, share in other.items()})
    record = pull(Cut(after=half_of(images.update)), part)
    assert_put_together_rightly(dut, server, images, record, "a 206 that is not what was asked for")


@pytest.mark.requirement("RFC9110-15.4-follow", "FOTA-SERVER")
@BY_HTTP
def test_redirect(dut, server, images, pull, recommended):
    """307 to the same place: followed, as a device may, or a failed download."""
    record = pull(Redirect(times=2))
    with recommended("RFC9110-15.4-follow"):
        assert record.ended(Result.SUCCESS)
    if record.result is Result.SUCCESS:
        assert_updated(dut, server, images, record)
    else:
        assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST, Result.INVALID_URI)


@pytest.mark.requirement("RFC9110-15.4-cycle", "FOTA-SERVER")
@pytest.mark.parametrize("transport", [Transport.HTTP], ids=str, indirect=True)
def test_redirect_without_end(dut, server, images, pull):
    """Not followed for ever."""
    record = pull(Redirect(times=1000))
    assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST, Result.INVALID_URI)


@pytest.mark.requirement("FOTA-TRUST")
@pytest.mark.requirement("RFC9110-4.3.4-identity", shown="wrong host")
@pytest.mark.requirement("RFC9110-4.3.4-anchors", "RFC5280-6-path", shown="untrusted")
@pytest.mark.requirement("RFC5280-6-validity", shown="expired")
@pytest.mark.parametrize("shown", [Shown.EXPIRED, Shown.WRONG_HOST, Shown.UNTRUSTED], ids=lambda s: s.value)
@pytest.mark.parametrize("transport", [Transport.HTTPS], ids=str, indirect=True)
def test_bad_certificate(dut, server, images, pull, shown):
    """A server that cannot prove who it is gets nothing installed; with a good certificate it does."""
    with server.showing(shown):
        record = pull()
        assert record.delivered == 0, f"fetched from a server that shows: {shown.value}"
        assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST, Result.INVALID_URI)
    server.restart(dut)
    assert_updated(dut, server, images, pull())
