"""A package server that misbehaves: whatever happens, the device ends with a whole image or the old one."""

import pytest

from bench.firmware_update.states import Delivery, Result, State, Transport
from bench.lwm2m.coap.layers import Separate
from bench.packages.certificates import Shown
from bench.packages.coap import WITH_OPTION
from bench.packages.coap_tcp import BEGUN
from bench.packages.misbehaviour import (
    Chunked,
    Cut,
    Forge,
    Forgery,
    IgnoreRange,
    OtherPart,
    Ping,
    Redirect,
    Refuse,
    Replace,
    Slow,
    SmallBlocks,
    Stall,
    UnknownOption,
    WeakEtag,
    WrongSize,
)

pytestmark = pytest.mark.delivery("pull")

WHEN = {False: "RFC7252-5.9.3.4-max-age", True: "RFC9110-10.2.3-retry-after"}
"""What says when to ask a busy server again, by whether it is asked over HTTP."""
FAILED = (Result.CONNECTION_LOST, Result.INTEGRITY_FAILED)
BY_HTTP = pytest.mark.parametrize("transport", [Transport.HTTP, Transport.HTTPS], ids=str, indirect=True)
SMALL, BLOCKS = 64, 40
"""Bytes of a block smaller than any device asks for, and how many of them are waited for."""
UDP = (Transport.COAP, Transport.COAPS)
over_udp = pytest.mark.parametrize("transport", UDP, ids=str, indirect=True)
over_coap = pytest.mark.parametrize("transport", [*UDP, Transport.COAP_TCP], ids=str, indirect=True)
over_tcp = pytest.mark.parametrize("transport", [Transport.COAP_TCP], ids=str, indirect=True)
over_dtls = pytest.mark.parametrize("transport", [Transport.COAPS], ids=str, indirect=True)
RETRY_AFTER = 45
"""Seconds: longer than any first pause of a device's own, and shorter than CoAP's default Max-Age."""
PAUSE = 2
"""Seconds between two tries: the least that CoAP waits before it repeats anything (RFC 7252, 4.8)."""
LONG_AFTER = 200
"""Seconds after a download was given up."""


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


@pytest.mark.requirement("FOTA-SERVER")
@pytest.mark.requirement("RFC7252-5.9.3.4-max-age", transport=("coap", "coaps", "coap+tcp"))
@pytest.mark.requirement("RFC9110-10.2.3-retry-after", transport=("http", "https"))
def test_server_that_says_when(dut, server, images, transport, recommended):
    """Max-Age of a 5.03, Retry-After of a 503: not before that the device should ask again."""
    with server.begin(dut, images.update, Delivery.PULL, transport) as update:
        package = update.publish()
        package.misbehave(Refuse("5.03", times=1, retry_after=RETRY_AFTER))
        record = update.finish()
    refused, *after = package.log
    row = WHEN[transport.value.startswith("http")]
    with recommended(row):
        assert after, "it is not asked again"
        waited = after[0].time - refused.time
        assert waited >= RETRY_AFTER - 1, f"asked again after {waited:.1f} s, not {RETRY_AFTER} s"
    assert record.violations == []
    assert_updated_or_given_up(dut, server, images, record)


@pytest.mark.requirement("OMA-5-5-4", "FOTA-SERVER", "FOTA-PACE")
def test_server_that_is_always_busy(dut, server, images, transport, clock, recommended):
    """Asked again after a pause, if at all; it gives up with result 4, and then asks no more."""
    with server.begin(dut, images.update, Delivery.PULL, transport) as update:
        package = update.publish()
        package.misbehave(Refuse("5.03"))
        update.finish()
        asked = package.answers
        clock.sleep(LONG_AFTER, "nothing may be asked for")
        assert package.answers == asked, "it asks on after it has given up"
    record = update.record
    assert record.violations == []
    with recommended("FOTA-PACE"):
        waited = record.transitions[-1].time - record.transitions[1].time
        assert waited >= PAUSE * (asked - 1), f"asked {asked} times in {waited:.1f} s"
    assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST)


@pytest.mark.requirement("FOTA-SERVER")
@pytest.mark.requirement("RFC7959-4-size", transport=("coap", "coaps", "coap+tcp"))
@pytest.mark.parametrize("by", [-4096, 4096], ids=["too-small", "too-large"])
def test_wrong_size_announced(dut, server, images, pull, transport, by):
    """Over CoAP the size is an estimate, and changes nothing; over HTTP the download fails, or goes by it."""
    record = pull(WrongSize(by))
    estimate = transport.value.startswith("coap")
    fits = by < 0 or images.update.size + by <= images.limit  # what is too large may be refused at once
    if record.result is Result.SUCCESS:
        assert_updated(dut, server, images, record)
    elif estimate and fits:
        pytest.fail(f"it goes by the size that was announced, {by:+} bytes off: {record.result.name}")
    elif estimate:
        assert_unchanged(dut, server, images, record, *FAILED, Result.NOT_ENOUGH_FLASH)
    else:
        assert_unchanged(dut, server, images, record, *FAILED)


@pytest.mark.requirement("RFC7959-2.3-szx-down", "RFC7959-2.4-size")
@over_coap
def test_smaller_blocks_than_asked_for(dut, server, images, transport):
    """The first answer has 64 bytes: so many are asked for from then on."""
    with server.begin(dut, images.update, Delivery.PULL, transport) as update:
        package = update.publish()
        package.misbehave(SmallBlocks(SMALL))
        update.deliver(BLOCKS * SMALL / images.update.size)
        first = next((n for n, one in enumerate(package.asked) if one.block is not None), len(package.asked))
        later = {one.block for one in package.asked[first + 1 :]}
        assert later <= {SMALL}, f"the answers have {SMALL} bytes, asked for are blocks of {later}"
        assert package.served >= BLOCKS * SMALL, f"in blocks of {SMALL} bytes it fetched {package.served}"
    server.make_idle(dut)


@pytest.mark.requirement("RFC7252-5.2.1-either")
@pytest.mark.parametrize("how", Separate, ids=lambda how: how.value)
@over_udp
def test_separate_responses(dut, server, images, transport, how):
    """At first the answers come in messages of their own, in whichever way: block after block is fetched."""
    with server.begin(dut, images.update, Delivery.PULL, transport) as update:
        package = update.publish()
        with server.lwm2m.answering_separately(how):
            update.deliver(2048 / images.update.size)
        taken = {one.offset for one in package.log}
        assert taken > {0}, (
            f"responses that are {how.value} are not taken: asked for is the first block alone"
        )
        record = update.finish()
    assert record.violations == []
    assert_updated_or_given_up(dut, server, images, record)


@pytest.mark.requirement("RFC7252-5.3.2-match")
@pytest.mark.parametrize(
    "how",
    [Forgery.OTHER_TOKEN, Forgery.OTHER_TOKEN_SEPARATE, Forgery.OTHER_ENDPOINT],
    ids=["piggybacked", "separate", "from-elsewhere"],
)
@over_udp
def test_response_to_nobody(dut, server, images, pull, how):
    """Other bytes under another token, or from another endpoint, are not the package's."""
    assert_not_believed(dut, server, images, pull(*forged(images, how)), how)


@pytest.mark.requirement("RFC7252-9.1.2-secured")
@over_dtls
def test_unsecured_response(dut, server, images, pull):
    """Other bytes in the clear, from the server's own address, are not the package's."""
    how = Forgery.UNSECURED
    assert_not_believed(dut, server, images, pull(*forged(images, how)), how)


def forged(images, how):
    """At a few places, as one datagram may be lost."""
    return [Forge(int(images.update.size * share), how) for share in (0.3, 0.5, 0.7)]


def assert_not_believed(dut, server, images, record, how):
    assert record.result is not Result.INTEGRITY_FAILED, f"it took a response {how.value}"
    assert_updated_or_given_up(dut, server, images, record)


@pytest.mark.requirement("RFC7252-5.4.1-response")
@over_udp
def test_response_with_a_critical_option(dut, server, images, transport):
    """A response with a critical option that nobody knows is rejected: no block follows it at once."""
    with server.begin(dut, images.update, Delivery.PULL, transport) as update:
        package = update.publish()
        package.misbehave(UnknownOption(images.update.size // 2))
        record = update.finish()
    marked = next((n for n, one in enumerate(package.log) if one.note == WITH_OPTION), None)
    assert marked is not None, "it never asked for the block half-way"
    after = package.log[marked + 1 : marked + 2]
    assert all(one.offset <= package.log[marked].offset for one in after), (
        f"it took a response {WITH_OPTION}, and asked for the bytes at {after[0].offset}"
    )
    assert record.violations == []
    if record.result is Result.SUCCESS:
        assert_updated(dut, server, images, record)
    else:
        assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST, Result.INVALID_URI)


OPTIONS = {
    "encoded": ("a%20b%C3%A9.bin?c=%64&e", ("a bé.bin", ("c=d", "e"))),
    "delimiters": ("a%2Fb%3Fc%25d.bin?e=f%26g&h", ("a/b?c%d.bin", ("e=f&g", "h"))),
}
"""What stands in a URI, and the path segment and the arguments that it means."""


@pytest.mark.requirement("RFC7252-6.4-options")
@pytest.mark.parametrize("form", OPTIONS)
@over_coap
def test_uri_becomes_options(dut, server, images, object5, transport, form):
    """Path and query are taken apart, and then percent-encoding is resolved: that is what is asked for."""
    tail, (name, query) = OPTIONS[form]
    written = server.package_uri(dut, tail, transport)
    with server.begin(dut, images.update, Delivery.PULL, transport) as update:
        package = server.lwm2m.publish(name, images.update.data)
        answer = object5.write_uri(written)
        assert answer.taken, f"Package URI {written!r} was answered {answer}"
        update.await_downloaded()
    server.make_idle(dut)
    assert package.asked, f"Package URI {written!r}: {name!r} was never asked for"
    asked = {(one.path, one.query) for one in package.asked}
    assert asked == {((name,), query)}, f"Package URI {written!r} became {asked}"


@pytest.mark.requirement("RFC8323-3.3-csm")
@over_tcp
def test_connection_begins_with_a_csm(dut, server, images, transport):
    """Before anything else the device says what it can do (7.01)."""
    with server.begin(dut, images.update, Delivery.PULL, transport) as update:
        package = update.publish()
        update.deliver(0.1)
        begun = {one.note.removeprefix(BEGUN) for one in package.log if one.note.startswith(BEGUN)}
    server.make_idle(dut)
    assert begun == {"7.01"}, f"the first message of its connection was {begun}"


@pytest.mark.requirement("RFC8323-5.4-pong")
@over_tcp
def test_ping_over_tcp(dut, server, images, transport):
    """Answered with a Pong that has its token; the download goes on."""
    with server.begin(dut, images.update, Delivery.PULL, transport) as update:
        package = update.publish()
        package.misbehave(Ping(images.update.size // 2))
        record = update.finish()
    said = [one.note for one in package.log if one.note.startswith("p")]
    assert said == ["ping", "pong"], f"the Ping got {said[1:] or 'no answer'}"
    assert record.violations == []
    assert_updated_or_given_up(dut, server, images, record)


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


@pytest.mark.requirement("RFC9110-15.3.7.3-combine", "RFC9110-14.2-ignored", "FOTA-WHOLE")
@pytest.mark.parametrize("faults", [(), (IgnoreRange(),)], ids=["part", "whole"])
@BY_HTTP
def test_rest_of_another_package(dut, server, images, pull, faults):
    """After a break the package is another, by its ETag: fetched from its first byte, or given up."""
    swap = Replace(after=half_of(images.update), data=images.update.data)
    record = pull(swap, Cut(after=half_of(images.update)), *faults, image=images.corrupted)
    assert_put_together_rightly(dut, server, images, record, "the rest of another package")


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


@pytest.mark.requirement("RFC9110-10.2.2-relative", "RFC9110-15.4-follow", "FOTA-SERVER")
@pytest.mark.parametrize("to", ["/fw/{}", "{}", "//{server}/fw/{}"], ids=["path", "name", "authority"])
@BY_HTTP
def test_redirect_to_a_relative_location(dut, server, images, transport, recommended, to):
    """Resolved against the URI that was asked for, if it is followed at all: nothing else is asked for."""
    with server.begin(dut, images.update, Delivery.PULL, transport) as update:
        package = update.publish()
        authority = update.uri.partition("://")[2].partition("/")[0]
        package.misbehave(Redirect(to.format(package.name, server=authority)))
        record = update.finish()
        asked = server.lwm2m.shelf.missed
    assert asked == [], f"a Location {to!r} became {asked[0]}"
    with recommended("RFC9110-15.4-follow"):
        assert record.ended(Result.SUCCESS)
    assert record.violations == []
    if record.result is Result.SUCCESS:
        assert_updated(dut, server, images, record)
    else:
        assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST, Result.INVALID_URI)


@pytest.mark.requirement("RFC9112-7.1-chunked", "FOTA-SERVER")
@BY_HTTP
def test_package_in_chunks(dut, server, images, pull):
    """A server need not tell a length beforehand: a body in chunks is a package like any other."""
    record = pull(Chunked())
    assert_updated(dut, server, images, record)


@pytest.mark.requirement("RFC9112-8-incomplete", "OMA-5-5-4", "FOTA-WHOLE")
@BY_HTTP
def test_chunks_that_break_off(dut, server, images, pull):
    """Without the chunk of size 0 it is not all of the package: result 4, not 5."""
    record = pull(Chunked(), Cut(after=half_of(images.update), times=1000))
    assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST)


@pytest.mark.requirement("RFC9110-15.4-cycle", "FOTA-SERVER")
@pytest.mark.parametrize("transport", [Transport.HTTP], ids=str, indirect=True)
def test_redirect_without_end(dut, server, images, pull):
    """Not followed for ever."""
    record = pull(Redirect(times=1000))
    assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST, Result.INVALID_URI)


@pytest.mark.requirement("FOTA-TRUST")
@pytest.mark.requirement(
    "RFC9110-4.3.4-identity", shown=("wrong host", "right host in the common name alone")
)
@pytest.mark.requirement("RFC9110-4.3.4-anchors", "RFC5280-6-path", shown="untrusted")
@pytest.mark.requirement("RFC5280-6-validity", shown="expired")
@pytest.mark.parametrize("shown", list(Shown)[1:], ids=lambda s: s.value)
@pytest.mark.parametrize("transport", [Transport.HTTPS], ids=str, indirect=True)
def test_bad_certificate(dut, server, images, pull, shown):
    """A server that cannot prove who it is gets nothing installed; with a good certificate it does."""
    with server.showing(shown):
        record = pull()
        assert record.delivered == 0, f"fetched from a server that shows: {shown.value}"
        assert_unchanged(dut, server, images, record, Result.CONNECTION_LOST, Result.INVALID_URI)
    server.restart(dut)
    assert_updated(dut, server, images, pull())
