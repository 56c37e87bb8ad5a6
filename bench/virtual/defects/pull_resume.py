"""PULL: how the device fetches a package, goes on after an interruption, and gives up."""

from __future__ import annotations

import math
import ssl
from typing import Any

from bench.virtual.defects.defect import ESP32, Area, Patch, always
from bench.virtual.firmware.downloads import blocks, stream
from bench.virtual.firmware.downloads import http as over_http
from bench.virtual.firmware.downloads.blocks import BlockwiseDownload, CoapBlocks
from bench.virtual.firmware.downloads.http import HttpDownload
from bench.virtual.firmware.update.machine import Progress
from bench.virtual.firmware.update.reception import Reception
from bench.virtual.firmware.update.store import SECTOR

PULL = Area("pull and resume")
POWER_CUT = ("test_power_cut_during_download",)


@PULL(
    BlockwiseDownload,
    "resume",
    source="zephyr#85000",
    boards=ESP32,
    hints=POWER_CUT,
)
def resumed_a_block_too_late(healthy: Any) -> Any:
    """After a restart the download goes on one block behind what was kept."""
    return lambda self, offset, etag: healthy(self, offset + 512 if offset else 0, etag)


@PULL(
    BlockwiseDownload,
    "resume",
    source="sdk-nrf#3658",
    boards=ESP32,
    hints=POWER_CUT,
)
def resumed_a_block_too_early(healthy: Any) -> Any:
    """After a restart the last block that was written is fetched and written once more."""
    return lambda self, offset, etag: healthy(self, max(0, offset - 512), etag)


@PULL(Reception, "_keep_progress", source="own", boards=ESP32, hints=POWER_CUT)
def progress_counted_before_the_write(healthy: Any) -> Any:
    """What is kept for a resume is ahead of what the flash has."""

    def keep_progress(self: Reception, etag: bytes) -> Any:
        if self._store.received % SECTOR == 0:
            self._fota.progress = Progress(self.uri, etag, self._store.received + SECTOR)
            yield from self._fota.keep()

    return keep_progress


@PULL(Reception, "resume", source="zephyr#42584", boards=ESP32, hints=POWER_CUT)
def download_forgotten_over_a_restart(healthy: Any) -> Any:
    """After a restart the device says Downloading, and fetches nothing."""
    return lambda self: None


@PULL(CoapBlocks, "_is_another", source="own", hints=("test_package_replaced_during_pull",))
def etag_ignored_over_coap(healthy: Any) -> Any:
    """A download goes on although the ETag says that it is another package."""
    return lambda self, etag: False


@PULL(
    HttpDownload,
    "_range",
    source="own",
    hints=("test_server_that_gives_another_part",),
    also=(Patch(HttpDownload, "_continues", always(lambda self, headers: True)),),
)
def etag_ignored_over_http(healthy: Any) -> Any:
    """The rest of a package is asked for, and taken, whatever its ETag says it is."""
    return lambda self: [line for line in healthy(self) if not line.startswith("If-Range")]


@PULL(
    blocks,
    "ATTEMPTS",
    source="own",
    hints=("test_server_that_is_busy_at_first",),
)
def gives_up_on_first_failure(healthy: Any) -> Any:
    """The first time-out, refusal or break ends the download."""
    return 1


@PULL(
    blocks,
    "ATTEMPTS",
    source="Anjay changelog",
    hints=("test_server_that_is_always_busy", "test_server_that_stalls"),
)
def retries_for_ever(healthy: Any) -> Any:
    """A server that never has the package is asked without end."""
    return 10**9


@PULL(HttpDownload, "_chunk", source="Anjay changelog", hints=("test_connection_that_breaks[",))
def short_body_taken_as_whole(healthy: Any) -> Any:
    """An HTTP body that ends early is taken for the whole package."""

    def chunk(self: HttpDownload) -> Any:
        announced, self._left = self._left, None
        block = yield from healthy(self)
        if self._left is None and announced is not None:
            self._left = announced - len(block)
            if self._left <= 0:
                self.complete = True
                self._drop()
        return block

    return chunk


@PULL(stream, "SILENCE", source="Anjay changelog", hints=("test_server_that_stalls[",))
def no_time_out_on_streams(healthy: Any) -> Any:
    """A TCP connection on which nothing more comes is waited for without end."""
    return math.inf


@PULL(over_http, "MAX_REDIRECTS", source="own", hints=("test_redirect_without_end",))
def redirects_without_end(healthy: Any) -> Any:
    """Redirects are followed for ever."""
    return 10**9


@PULL(HttpDownload, "_redirect", source="own", hints=("test_redirect[",))
def redirects_not_followed(healthy: Any) -> Any:
    """A redirect is a failure."""
    return lambda self, location: self._fail(over_http.LOST)


@PULL(HttpDownload, "_ask", source="own", hints=("test_connection_that_breaks[",))
def http_download_starts_over(healthy: Any) -> Any:
    """After a break the package is fetched from its first byte again."""

    def ask(self: HttpDownload) -> Any:
        self.etag = b""
        yield from healthy(self)

    return ask


@PULL(HttpDownload, "_range", source="own", hints=("test_what_a_resumed_download_says",))
def if_range_with_every_request(healthy: Any) -> Any:
    """If-Range is sent as soon as an ETag is known, also where the whole package is asked for."""

    def range_(self: HttpDownload) -> list[str]:
        if not self._offset:
            return ['If-Range: "0"']
        return healthy(self)

    return range_


@PULL(HttpDownload, "_range", source="own", hints=("test_what_a_resumed_download_says[",))
def weak_etag_taken_for_proof(healthy: Any) -> Any:
    """The rest of a package is asked for by an ETag that is weak."""

    def range_(self: HttpDownload) -> list[str]:
        if self._offset and self.etag.startswith(b"W/"):
            return [f"Range: bytes={self._offset}-", f"If-Range: {self.etag.decode()}"]
        return healthy(self)

    return range_


@PULL(HttpDownload, "_judge", source="own", hints=("test_server_that_ignores_range",))
def whole_package_taken_for_the_rest(healthy: Any) -> Any:
    """A 200 in answer to Range is put behind what is there already, where its ETag is the same."""

    def judge(self: HttpDownload, status: int, headers: dict[str, str]) -> Any:
        if status == 200 and self._offset and headers.get("etag", "").encode() == self.etag:
            status, headers = (
                206,
                {
                    **headers,
                    "content-range": f"bytes {self._offset}-{10**9 - 1}/{10**9}",
                },
            )
            yield from healthy(self, status, headers)
            self._more = False
        else:
            yield from healthy(self, status, headers)

    return judge


@PULL(HttpDownload, "_continues", source="own", hints=("test_server_that_gives_another_part[",))
def content_range_not_looked_at(healthy: Any) -> Any:
    """What comes in a 206 is taken for what was asked for."""
    return lambda self, headers: headers.get("etag", "").encode() == self.etag


@PULL(over_http, "_part_of", source="own", hints=("test_server_that_gives_another_part[",))
def end_of_a_part_taken_for_the_end(healthy: Any) -> Any:
    """A 206 that ends before the package does is taken for the rest of it."""
    return lambda headers: (*healthy(headers)[:2], 0)


class _Unverified(ssl.SSLContext):
    """Believes every certificate."""

    def wrap_bio(self, *arguments: Any, **named: Any) -> Any:
        self.check_hostname = False
        self.verify_mode = ssl.CERT_NONE
        return super().wrap_bio(*arguments, **named)


class _AnyHost(ssl.SSLContext):
    """Believes a good certificate of any host."""

    def wrap_bio(self, *arguments: Any, **named: Any) -> Any:
        self.check_hostname = False
        return super().wrap_bio(*arguments, **named)


class _Ssl:
    """The module `ssl` with another context."""

    def __init__(self, context: type[ssl.SSLContext]) -> None:
        self.SSLContext = context

    def __getattr__(self, name: str) -> Any:
        return getattr(ssl, name)


@PULL(stream, "ssl", source="Anjay changelog", hints=("test_bad_certificate",))
def certificate_not_verified(healthy: Any) -> Any:
    """A package is fetched over https from anybody."""
    return _Ssl(_Unverified)


@PULL(stream, "ssl", source="Anjay 3.5.0", hints=("test_bad_certificate",))
def host_name_not_verified(healthy: Any) -> Any:
    """A certificate of another host is good enough."""
    return _Ssl(_AnyHost)


@PULL(CoapBlocks, "_taken", source="own", hints=("test_pull_succeeds",))
def block_left_out_of_a_pull(healthy: Any) -> Any:
    """One block is dropped, and the next one put in its place."""

    def taken(self: CoapBlocks, answer: Any) -> Any:
        if self._offset == 4096:
            self._offset += 512
            return b""
        return healthy(self, answer)

    return taken
