"""A byte stream for firmware processes: TCP, or TLS over it, with time-outs."""

from __future__ import annotations

import ssl

from bench.virtual.firmware.downloads.source import Means
from bench.virtual.process import Signal, Steps
from bench.virtual.radio.modem import Address

SILENCE = 60.0
"""Seconds without a byte after which a connection counts as broken."""


class Broken(Exception):
    """The connection is over, refused, silent, or not to be trusted; the message says which."""


class Stream:
    """Generators of this class raise `Broken`. With a `host` it is TLS, and who answers must be that host."""

    def __init__(self, means: Means, address: Address, host: str | None = None) -> None:
        self._cpu = means.machine.cpu
        self._arrived = bytearray()
        self._over: bool | None = None
        self._news = Signal()
        self._tls: ssl.SSLObject | None = None
        if host is not None:
            self._inward, self._outward = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            for certificate in means.trusted:
                context.load_verify_locations(cadata=certificate)
            self._tls = context.wrap_bio(self._inward, self._outward, server_hostname=host)
        self._connection = means.modem.connect(address, self._heard, self._ended)

    def _heard(self, data: bytes) -> None:
        if self._tls is None:
            self._arrived += data
        else:
            self._inward.write(data)
        self._news.send(True)

    def _ended(self, orderly: bool) -> None:
        self._over = orderly
        if self._tls is not None:
            self._inward.write_eof()
        self._news.send(True)

    def _wait(self) -> Steps:
        """Until something happens."""
        timer = self._cpu.after(SILENCE, lambda: self._news.send(False))
        happened = yield self._news
        timer.cancel()
        if not happened:
            self.close()
            raise Broken(f"silent for {SILENCE:g} s")

    def shake_hands(self) -> Steps:
        """TLS only: until the server has proved who it is."""
        while self._tls is not None:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                yield from self._wait()
                continue
            except ssl.SSLError as error:
                self._flush()
                self.close()
                raise Broken(f"TLS: {error.reason}") from None
            self._flush()
            return

    def send(self, data: bytes) -> None:
        if self._tls is None:
            self._connection.send(data)
        else:
            self._tls.write(data)
            self._flush()

    def _flush(self) -> None:
        data = self._outward.read()
        if data:
            self._connection.send(data)

    def receive(self) -> Steps:
        """Some bytes; b"" at the orderly end."""
        while True:
            data = self._read()
            if data is not None:
                return data
            if self._over is not None:
                if not self._over:
                    raise Broken("connection refused or reset")
                return b""
            yield from self._wait()

    def _read(self) -> bytes | None:
        """What is there; b"" at the end, None when there is nothing yet."""
        if self._tls is None:
            data, self._arrived = bytes(self._arrived), bytearray()
            return data or None
        try:
            return self._tls.read(65536)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError:  # cut off without a goodbye
            raise Broken("TLS connection cut off") from None

    def close(self) -> None:
        self._connection.close()
