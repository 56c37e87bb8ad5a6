"""Package servers that are slow, busy, moved, or not who they should be: what a device makes of them."""

from __future__ import annotations

import re
import ssl
from dataclasses import replace
from typing import Any

from cryptography import x509

from bench.virtual.defects.defect import ESP32, Area, Patch
from bench.virtual.firmware import coap_engine
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.application import Application
from bench.virtual.firmware.downloads import blocks, chunked, http
from bench.virtual.firmware.downloads.blocks import BlockwiseDownload, CoapBlocks
from bench.virtual.firmware.downloads.coap import CoapDownload
from bench.virtual.firmware.downloads.coap_tcp import CoapTcpDownload
from bench.virtual.firmware.downloads.http import HttpDownload
from bench.virtual.firmware.downloads.schemes import SCHEMES
from bench.virtual.firmware.downloads.source import Means
from bench.virtual.firmware.downloads.stream import Broken, Stream

SERVERS = Area("package servers")
NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL."""


# ---- moved and busy


@SERVERS(HttpDownload, "_redirect", source="own", hints=("test_moved_to_another_server",))
def redirect_stays_with_its_host(healthy: Any) -> Any:
    """Of a Location only the path is used: the host that redirects is asked again."""

    def redirect(self: HttpDownload, location: str) -> None:
        before = self._source
        healthy(self, location)
        self._source = replace(self._source, host=before.host, ip=before.ip, port=before.port)

    return redirect


@SERVERS(HttpDownload, "_redirect", source="own", hints=("test_two_servers_that_redirect_to_each_other",))
def redirect_loop_of_two_followed_for_ever(healthy: Any) -> Any:
    """Only a server that redirects to itself is noticed, not two that redirect to each other."""

    def redirect(self: HttpDownload, location: str) -> None:
        before, count = self._source, self._redirects
        healthy(self, location)
        if self._source != before:
            self._redirects = count

    return redirect


@SERVERS(HttpDownload, "_judge", source="own", hints=("test_redirect",))
def newer_redirects_not_known(healthy: Any) -> Any:
    """307 and 308 are failures; 301 and 302 are followed."""
    return lambda self, status, headers: healthy(self, 400 if status in (307, 308) else status, headers)


@SERVERS(BlockwiseDownload, "_try_again", source="own", hints=("test_server_that_is_busy_at_first",))
def retry_after_taken_for_milliseconds(healthy: Any) -> Any:
    """A busy server is asked again after a thousandth of what its Retry-After says."""
    return lambda self, wait=None: healthy(self, wait / 1000 if wait else wait)


@SERVERS(
    blocks, "PAUSE", source="own, after retries without back-off", hints=("test_server_that_is_always_busy",)
)
def no_pause_between_tries(healthy: Any) -> Any:
    """A server that refuses or breaks off is asked again at once, until the tries are used up."""
    return 0.0


@SERVERS(HttpDownload, "_judge", source="own", hints=("test_package_that_is_not_there",))
def page_of_a_404_taken_for_the_package(healthy: Any) -> Any:
    """The status of an HTTP response is not looked at: the text of a 404 is the package."""
    return lambda self, status, headers: healthy(self, 200 if status in (404, 410) else status, headers)


def _no_answer(healthy: Any) -> Any:
    def ask(self: Any) -> Any:
        answer = yield from healthy(self)
        return None if answer is not None and answer.code == coap.NOT_FOUND else answer

    return ask


@SERVERS(
    CoapDownload,
    "_ask",
    source="own",
    hints=("test_invalid_uri",),
    also=(Patch(CoapTcpDownload, "_ask", _no_answer),),
)
def coap_404_taken_for_no_answer(healthy: Any) -> Any:
    """4.04 is asked again like a time-out, and ends as a lost connection."""
    return _no_answer(healthy)


@SERVERS(BlockwiseDownload, "_try_again", source="own", hints=("test_server_that_says_when",))
def max_age_of_a_503_not_read(healthy: Any) -> Any:
    """A CoAP server that is busy is asked again after the device's own pause, whatever its Max-Age says."""
    return lambda self, wait=None: healthy(self, None if isinstance(self, CoapBlocks) else wait)


@SERVERS(BlockwiseDownload, "_try_again", source="own", hints=("test_server_that_says_when",))
def retry_after_not_read(healthy: Any) -> Any:
    """An HTTP server that is busy is asked again after the device's own pause, whatever Retry-After says."""
    return lambda self, wait=None: healthy(self, None if isinstance(self, HttpDownload) else wait)


@SERVERS(HttpDownload, "_redirect", source="own", hints=("test_redirect_to_a_relative_location",))
def relative_location_not_resolved(healthy: Any) -> Any:
    """A Location without a scheme and a host is no URI, and ends the download."""
    return lambda self, location: healthy(self, location if "://" in location else "")


@SERVERS(HttpDownload, "_redirect", source="own", hints=("test_redirect_to_a_relative_location",))
def relative_location_put_below_the_root(healthy: Any) -> Any:
    """A Location that is a name alone is taken for one in the root of the server, not beside the package."""

    def redirect(self: HttpDownload, location: str) -> None:
        healthy(self, location if "/" in location else f"/{location}")

    return redirect


@SERVERS(http, "Dechunker", source="own, after clients of HTTP/1.0", hints=("test_package_in_chunks",))
def chunk_sizes_taken_for_the_package(healthy: Any) -> Any:
    """A body in chunks is stored as it came, with the sizes of its chunks between them."""

    class AsItCame:
        complete = False

        def take(self, data: bytes) -> bytes:
            self.complete = self.complete or data.endswith(b"0\r\n\r\n")
            return data

    return AsItCame


@SERVERS(chunked, "_SIZE", source="own", hints=("test_package_in_chunks",))
def chunk_sizes_of_decimal_digits_alone(healthy: Any) -> Any:
    """The size of a chunk is read as far as it has digits from 0 to 9: 1f0 is no size."""
    return re.compile(rb"([0-9]{1,8})[ \t]*(?:;.*)?")


@SERVERS(HttpDownload, "_chunk", source="own", hints=("test_chunks_that_break_off",))
def end_of_the_connection_ends_the_chunks(healthy: Any) -> Any:
    """A connection that ends before the last chunk is taken for the end of the package."""

    def chunk(self: HttpDownload) -> Any:
        try:
            return (yield from healthy(self))
        except Broken as error:
            if self._chunks is None or not str(error).startswith("the body"):
                raise
        self._left, self._chunks = len(self._arrived), None
        return (yield from healthy(self))

    return chunk


# ---- parts and versions


@SERVERS(HttpDownload, "_continues", source="own", hints=("test_connection_that_breaks",))
def content_range_not_read(healthy: Any) -> Any:
    """Any part that the server sends is put behind what is there."""
    return lambda self, headers: headers.get("etag", "").encode() == self.etag


@SERVERS(HttpDownload, "_judge", source="own", hints=("test_package_replaced_half_way",))
def whole_package_put_behind_its_part(healthy: Any) -> Any:
    """A server that ignores Range sends everything, and that is put behind what is there."""

    def judge(self: HttpDownload, status: int, headers: dict[str, str]) -> Any:
        if status == 200 and self._offset:
            length = headers.get("content-length", "")
            self._left, self._more = int(length) if length.isdigit() else None, False
        else:
            yield from healthy(self, status, headers)

    return judge


@SERVERS(HttpDownload, "_range", source="own", hints=("test_connection_that_breaks",))
def weak_etag_sent_with_if_range(healthy: Any) -> Any:
    """A weak ETag is good enough to ask for the rest of a package by."""

    def ranged(self: HttpDownload) -> list[str]:
        if not self._offset or not self.etag:
            return []
        return [f"Range: bytes={self._offset}-", f"If-Range: {self.etag.decode()}"]

    return ranged


def _blind_range(healthy: Any) -> Any:
    def ranged(self: HttpDownload) -> list[str]:
        return [f"Range: bytes={self._offset}-"] if self._offset and not self.etag else list(healthy(self))

    return ranged


@SERVERS(
    BlockwiseDownload,
    "resume",
    source="own",
    boards=ESP32,
    hints=("test_package_replaced_during_pull",),
    also=(
        Patch(
            CoapBlocks,
            "_is_another",
            lambda healthy: lambda self, etag: bool(self.etag) and healthy(self, etag),
        ),
        Patch(HttpDownload, "_range", _blind_range),
        Patch(
            HttpDownload,
            "_continues",
            lambda healthy: (
                lambda self, headers: healthy(self, headers if self.etag else {**headers, "etag": ""})
            ),
        ),
    ),
)
def etag_not_kept_over_a_restart(healthy: Any) -> Any:
    """After a restart the download goes on whatever package is there now: its ETag was not kept."""
    return lambda self, offset, etag: healthy(self, offset, b"")


# ---- messages


@SERVERS(coap_engine, "RESPONSE_LIMIT", source="own", hints=("test_pull_succeeds",))
def separate_response_not_waited_for(healthy: Any) -> Any:
    """A request that is acknowledged first, and answered later, counts as not answered."""
    return 0.0


@SERVERS(SCHEMES, "coap+tcp", source="own", hints=("test_pull_succeeds",))
def coap_over_tcp_fetched_over_udp(healthy: Any) -> Any:
    """A coap+tcp URI is asked for over UDP."""
    return replace(healthy, make=CoapDownload)


# ---- who the server is


@SERVERS(HttpDownload, "_ask", source="own", hints=("test_bad_certificate",))
def falls_back_to_http(healthy: Any) -> Any:
    """When the TLS handshake fails, the package is fetched from the same host over http."""

    def ask(self: HttpDownload) -> Any:
        try:
            yield from healthy(self)
        except Broken as error:
            if str(error).startswith("TLS: "):
                self._source = replace(self._source, scheme="http", port=80)
            raise

    return ask


def _with(verify: Any) -> Any:
    """`Stream` whose TLS is made by a context that `verify(context, means)` has changed."""

    def make(healthy: Any) -> Any:
        def init(self: Stream, means: Means, address: Any, host: str | None = None) -> None:
            healthy(self, means, address, host)
            if host is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                for certificate in means.trusted:
                    context.load_verify_locations(cadata=certificate)
                verify(context, means)
                self._tls = context.wrap_bio(self._inward, self._outward, server_hostname=host)

        return init

    return make


def _any_time(context: ssl.SSLContext, means: Means) -> None:
    context.verify_flags |= NO_CHECK_TIME


@SERVERS(Stream, "__init__", source="own", hints=("test_bad_certificate",))
def expired_certificate_taken(healthy: Any) -> Any:
    """The time of a certificate is not looked at."""
    return _with(_any_time)(healthy)


def _anybody(context: ssl.SSLContext, means: Means) -> None:
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


def _issuer_is_known(stream: Stream, means: Means) -> bool:
    assert stream._tls is not None
    shown = x509.load_der_x509_certificate(stream._tls.getpeercert(binary_form=True) or b"")
    known = [x509.load_pem_x509_certificate(text.encode()).subject for text in means.trusted]
    return shown.issuer in known


def _shakes_hands_by_name(healthy: Any) -> Any:
    def shake_hands(self: Stream) -> Any:
        yield from healthy(self)
        if self._tls is not None and not _issuer_is_known(self, self._means):  # type: ignore[attr-defined]
            self.close()
            raise Broken("TLS: issuer not known")

    return shake_hands


def _init_by_name(healthy: Any) -> Any:
    made = _with(_anybody)(healthy)

    def init(self: Any, means: Means, address: Any, host: str | None = None) -> None:
        made(self, means, address, host)
        self._means = means

    return init


@SERVERS(
    Stream,
    "__init__",
    source="own",
    hints=("test_bad_certificate",),
    also=(Patch(Stream, "shake_hands", _shakes_hands_by_name),),
)
def issuer_compared_by_its_name_alone(healthy: Any) -> Any:
    """A certificate is good when its issuer is called like a trust anchor, whoever has signed it."""
    return _init_by_name(healthy)


@SERVERS(
    HttpDownload,
    "_redirect",
    source="own",
    hints=("test_moved_to_a_server_that_is_another",),
    also=(
        Patch(
            Stream,
            "__init__",
            _with(lambda context, means: _anybody(context, means) if hasattr(means, "moved") else None),
        ),
    ),
)
def server_behind_a_redirect_not_verified(healthy: Any) -> Any:
    """The certificate of the first server counts, that of the one it redirects to does not."""

    def redirect(self: HttpDownload, location: str) -> None:
        healthy(self, location)
        self._means = replace(self._means)
        self._means.moved = True  # type: ignore[attr-defined]

    return redirect


@SERVERS(Application, "_trust", source="own", hints=("test_bad_certificate",))
def trust_anchor_lost_over_a_restart(healthy: Any) -> Any:
    """A trust anchor that was told to the device lasts until the next restart."""

    def trust(self: Application, arguments: list[str]) -> Any:
        yield from healthy(self, arguments)
        yield from self._settings.put("trusted", None)

    return trust
