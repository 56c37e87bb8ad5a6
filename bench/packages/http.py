"""The HTTP door (RFC 9110): GET and HEAD with Range, If-Range, If-Match and ETag, on the bench's own loop."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Sequence

from aiohttp import HttpVersion11, web

from bench.packages.address import ROOT, PackageAddress
from bench.packages.admission import Admission
from bench.packages.shelf import Package, RangeAsked, Shelf

END_OF_HEAD = b"\r\n\r\n"
KEEP_ALIVE = 75.0
"""Seconds that a connection may wait for its next request."""
CHUNK = 4096
IN_CHUNKS = 4090
"""Bytes of a chunk of the chunked coding: FFA, whose digits are letters too."""
SEND_BUFFER = 32768
"""Bytes the operating system may hold for a client: what counts as sent has nearly left. Over TLS asyncio
holds up to 64 KiB more."""
STATUS = {"4.04": 404, "5.03": 503}


class HttpDoor:
    """`start` opens it; `port` is the one that was taken."""

    def __init__(self, shelf: Shelf, name: str = "http") -> None:
        self._shelf = shelf
        self._name = name
        self._runner: web.AppRunner | None = None
        self._admission: Admission | None = None
        self.port = 0

    async def start(self, hosts: Sequence[str], port: int, tls: ssl.SSLContext | None = None) -> None:
        """At each of these addresses of this PC. Raises `OSError` when the port is in use."""
        app = web.Application()
        app.router.add_get(f"/{ROOT}/{{package:.*}}", self._serve)
        runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=KEEP_ALIVE,
            shutdown_timeout=0.1,
            handler_cancellation=True,  # a stall ends with its client
        )
        await runner.setup()
        serve = runner.server
        assert serve is not None
        admission = Admission(serve, lambda first: END_OF_HEAD in first)
        try:
            await admission.start(hosts, port, tls)
        except OSError:
            await runner.cleanup()
            raise
        self._runner, self._admission = runner, admission
        self.port = admission.port

    async def close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None and self._admission is not None:
            self._admission.close()
            await runner.cleanup()
            await self._admission.wait_closed()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        package = self._shelf.find(
            self._name,
            PackageAddress.of_target(f"{request.rel_url.raw_path}?{request.rel_url.raw_query_string}"),
        )
        if package is None:
            return web.Response(status=404)
        refusal = package.refusal()
        if refusal is not None:
            headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
            package.note(self._name, 0, 0, refusal.code)
            return web.Response(status=STATUS[refusal.code], headers=headers)
        redirect = package.redirect(self._name)
        if redirect is not None:
            package.note(self._name, 0, 0, "redirect")
            return web.Response(status=redirect.status, headers={"Location": redirect.to or str(request.url)})
        etag = package.http_etag
        if not _matches(request.headers.get("If-Match", "*"), etag):
            package.note(self._name, 0, 0, "412")
            return web.Response(status=412, headers={"ETag": etag})
        # a range is for GET alone (RFC 9110, 14.2)
        wanted = request.headers.get("Range", "") if request.method == "GET" else ""
        if_range = request.headers.get("If-Range", "")
        package.ranges.append(RangeAsked(request.headers.get("Range", ""), if_range))
        # only a strong ETag proves anything (RFC 9110, 13.1.5)
        if (if_range and (if_range != etag or etag.startswith("W/"))) or not package.gives_parts:
            wanted = ""
        try:
            part = _part(wanted, len(package.data))
        except ValueError:
            size = {"Content-Range": f"bytes */{len(package.data)}", "ETag": etag}
            return web.Response(status=416, headers=size)
        if part is not None:
            part = package.other_part(*part)
        start, end = part or (0, len(package.data))
        response = web.StreamResponse(
            status=200 if part is None else 206,
            headers={
                "ETag": etag,
                "Accept-Ranges": "bytes",
                "Content-Type": "application/octet-stream",
            },
        )
        if package.comes_in_chunks and request.version >= HttpVersion11:
            response.enable_chunked_encoding()
        else:
            response.content_length = end - start + package.announced - len(package.data)
        if response.status == 206:
            response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{package.announced}"
        if request.transport is not None:
            with contextlib.suppress(OSError):
                request.transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER
                )
            # not 64 KiB; with 0 a TLS transport would never go on
            request.transport.set_write_buffer_limits(high=1, low=0)
        await response.prepare(request)
        if request.method == "GET":
            await self._send(package, request, response, start, end)
        return response

    async def _send(
        self, package: Package, request: web.Request, response: web.StreamResponse, start: int, end: int
    ) -> None:
        data = package.data  # what was begun is what is sent, also when the package is replaced
        offset = start
        chunk = IN_CHUNKS if package.comes_in_chunks else CHUNK
        while offset < end:
            room = package.room(offset)
            size = min(chunk, end - offset) if room is None else min(chunk, end - offset, room or chunk)
            if room == 0 and package.cuts_at(offset):
                package.note(self._name, offset, 0, "cut")
                if request.transport is not None:
                    end_it = request.transport.close if package.comes_in_chunks else request.transport.abort
                    end_it()
                return
            await package.pause(offset, size)
            try:
                await response.write(data[offset : offset + size])
                await request.writer.drain()
            except (ConnectionResetError, ConnectionError):
                return  # the client has gone
            package.note(self._name, offset, size)
            offset += size
            package.pass_on(offset)
        if package.announced > len(package.data) and request.transport is not None:
            request.transport.close()  # there is no more, whatever was announced


def _matches(wanted: str, etag: str) -> bool:
    """If-Match, by strong comparison (RFC 9110, 13.1.1)."""
    return wanted.strip() == "*" or (
        not etag.startswith("W/") and etag in [item.strip() for item in wanted.split(",")]
    )


def _part(wanted: str, length: int) -> tuple[int, int] | None:
    """First byte and end of the one range in a Range header (RFC 9110, 14.2).

    None for what a server may ignore: another unit, several ranges, nonsense. Raises `ValueError` for
    what cannot be given.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
    if match is None or not match[1] + match[2]:
        return None
    if not match[1]:
        start, end = max(0, length - int(match[2])), length
    else:
        start, end = int(match[1]), min(length, int(match[2]) + 1) if match[2] else length
    if start >= end:
        raise ValueError(wanted)
    return start, end
