"""The HTTP door (RFC 9110): GET and HEAD with Range, If-Range and ETag, on the bench's own loop."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl

from aiohttp import web

from bench.packages.shelf import Package, Shelf

CHUNK = 4096
SEND_BUFFER = 32768
"""Bytes the operating system may hold for a client: what counts as sent has nearly left."""
STATUS = {"4.04": 404, "5.03": 503}


class HttpDoor:
    """`start` opens it; `port` is the one that was taken."""

    def __init__(self, shelf: Shelf, name: str = "http") -> None:
        self._shelf = shelf
        self._name = name
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Raises `OSError` when the port is in use."""
        app = web.Application()
        app.router.add_get("/fw/{name}", self._serve)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port, ssl_context=tls, reuse_address=None)
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = int(runner.addresses[0][1])

    async def close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        package = self._shelf.packages.get(request.match_info["name"])
        if package is None:
            return web.Response(status=404)
        refusal = package.refusal()
        if refusal is not None:
            headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
            package.note(self._name, 0, 0, refusal.code)
            return web.Response(status=STATUS[refusal.code], headers=headers)
        redirect = package.redirect()
        if redirect is not None:
            package.note(self._name, 0, 0, "redirect")
            return web.Response(status=redirect.status, headers={"Location": redirect.to or str(request.url)})
        etag = f'"{package.etag.hex()}"'
        start, end = self._range(request, package, etag)
        if start is None:
            size = {"Content-Range": f"bytes */{len(package.data)}", "ETag": etag}
            return web.Response(status=416, headers=size)
        partial = (start, end) != (0, len(package.data)) or ("Range" in request.headers and start == 0)
        response = web.StreamResponse(
            status=206 if partial and self._wants_range(request, etag) else 200,
            headers={
                "ETag": etag,
                "Accept-Ranges": "bytes",
                "Content-Type": "application/octet-stream",
                "Content-Length": str(end - start + package.announced - len(package.data)),
            },
        )
        if response.status == 206:
            response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{package.announced}"
        if request.transport is not None:
            with contextlib.suppress(OSError):
                request.transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER
                )
        await response.prepare(request)
        if request.method == "GET":
            await self._send(package, request, response, start, end)
        return response

    @staticmethod
    def _wants_range(request: web.Request, etag: str) -> bool:
        return "Range" in request.headers and request.headers.get("If-Range", etag) == etag

    def _range(self, request: web.Request, package: Package, etag: str) -> tuple[int | None, int]:
        """First byte and end of what is wanted; the first None for what cannot be given (416)."""
        length = len(package.data)
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
        if match is None or not self._wants_range(request, etag) or match[1] + match[2] == "":
            return 0, length  # also several ranges: a server may ignore them (RFC 9110, 14.2)
        if match[1] == "":
            wanted = int(match[2])
            return (max(0, length - wanted), length) if wanted else (None, length)
        start = int(match[1])
        end = min(length, int(match[2]) + 1) if match[2] else length
        return (start, end) if start < min(end, length) else (None, length)

    async def _send(
        self, package: Package, request: web.Request, response: web.StreamResponse, start: int, end: int
    ) -> None:
        data = package.data  # what was begun is what is sent, also when the package is replaced
        offset = start
        while offset < end:
            room = package.room(offset)
            size = min(CHUNK, end - offset) if room is None else min(CHUNK, end - offset, room or CHUNK)
            if room == 0 and package.cuts_at(offset):
                package.note(self._name, offset, 0, "cut")
                if request.transport is not None:
                    request.transport.abort()
                return
            await package.pause(offset, size)
            try:
                await response.write(data[offset : offset + size])
            except (ConnectionResetError, ConnectionError):
                return  # the client has gone
            package.note(self._name, offset, size)
            offset += size
            package.pass_on(offset)
        if package.announced > len(package.data) and request.transport is not None:
            request.transport.close()  # there is no more, whatever was announced
