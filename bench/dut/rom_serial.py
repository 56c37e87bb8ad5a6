"""Flash access through the chip's serial bootloader, by esptool as a library.

The port is the console's, which lends it: opened once, it resets the chip by no pulse of its own. The chip
is reset on the way in and on the way out, once each.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import esp_pylib.serial_reset
import esptool.loader
import esptool.reset
import serial
from esp_pylib.logger import EspLog
from esptool import cmds
from esptool.logger import EsptoolLogger, TemplateLogger
from esptool.targets import CHIP_DEFS, ROM_LIST
from esptool.util import FatalError, flash_size_bytes

from bench.dut.esp32_security import DOWNLOAD_DISABLED, Security, read_security
from bench.dut.flasher import Flasher
from bench.dut.pauses import Pause, pausing_by
from bench.errors import BenchError, ConfigError, ConsoleError, FlashError, LockedError, ProbeError
from bench.timeline import Timeline

CONNECT_BAUD = 115200
SECTOR = 4096

URL_RESET_SEQUENCE = "D0|R1|W0.1|D1|R0|W0.05|D0"
"""Reset into the bootloader for ports that are URLs: esptool's own default needs a file descriptor.

EN low (RTS), then GPIO0 low (DTR) while EN rises, then both released.
"""

_WALL_FIGURES = re.compile(r" in [\d.]+ ?s(econds)?( \([\d.]+ kbit/s\))?")
_WALL_LINE = re.compile(r"^Took [\d.]+s to ")

_NO_FLASH = {"ffffff", "000000"}
"""JEDEC ids that no flash chip has: nothing drives the line."""

_ESPTOOL = threading.RLock()
"""esptool keeps its logger and its configuration in globals: one board at a time."""
_CHIPS = {sys.modules[chip.__module__] for chip in ROM_LIST}
_PAUSING = (esp_pylib.serial_reset, esptool.loader, esptool.reset, cmds, *_CHIPS)


class Lender(Protocol):
    """Who holds the serial port, and reads it while it is not lent."""

    def lend(self) -> Any:
        """The open pyserial port, for the borrower alone."""
        ...

    def take_back(self) -> None:
        """The borrower is done with it, and may have closed it."""
        ...


class RomSerialFlasher(Flasher):
    """The flash of one Espressif board on serial port `port` (a device name or a pyserial URL).

    With a `lender` the port is borrowed from it, else opened and closed here.
    `chip` is esptool's chip name, `baud` the rate once the flasher stub runs, `mac` the base MAC
    the board must have ("aa:bb:cc:dd:ee:ff"; None: any). Bootloader and partition table end at
    `boot_end`. esptool's pauses are `pause`. What it says goes to the timeline, source "<name>.rom",
    less its wall-clock figures; so does `security`, what the chip's eFuses say, when it has changed.

    Raises `ConsoleError` when the port is missing, in use or lost, `ProbeError` when no chip, the
    wrong chip or the wrong board answers, `LockedError` when the chip's security forbids what is asked,
    `FlashError` when an operation fails.
    """

    def __init__(
        self,
        name: str,
        port: str,
        timeline: Timeline,
        *,
        lender: Lender | None = None,
        chip: str = "esp32",
        baud: int = 460800,
        mac: str | None = None,
        boot_end: int = 0x9000,
        pause: Pause = time.sleep,
    ) -> None:
        if chip not in CHIP_DEFS:
            raise ConfigError(
                f"{name}: esptool knows no chip {chip!r}", help=f"one of {', '.join(CHIP_DEFS)}"
            )
        self.name, self.port, self.chip, self.baud = name, port, chip, baud
        self.mac = mac.lower() if mac else None
        self.security: Security | None = None
        self._boot_end = boot_end
        self._timeline = timeline
        self._lender = lender
        self._pause = pause
        self._opened = False
        self._loader: Any = None
        self._failed = False

    # ---- the port

    def open(self) -> None:
        if self._opened:
            return
        self._connect()
        self._opened = True

    def close(self) -> None:
        """Release the port; a chip still in its bootloader is reset so that its application runs."""
        self._opened = False
        if self._loader is None:
            return
        with contextlib.suppress(BenchError):  # a port that is gone cannot be left tidier
            self._hard_reset(self._loader)
        self._release()

    def reset(self) -> None:
        """Hard reset by EN; the port goes back to the console, which hears the chip start."""
        self._hard_reset(self._loader_for("reset"))
        self._release()

    def _hard_reset(self, loader: Any) -> None:
        with self._session("reset", FlashError):
            loader._port.baudrate = CONNECT_BAUD  # the ROM's, or its first lines are garbage
            loader.hard_reset()

    # ---- the chip

    def identity(self) -> dict[str, str]:
        """Keys: part, revision (of the chip), mac, flash_id (JEDEC manufacturer and device), flash_size;

        security, secure_version (anti-rollback's) and trusted_key (Secure Boot v2: SHA-256 of the public
        key; empty without), as the eFuses say.
        """
        loader = self._loader_for("identity")
        with self._session("read the identity", FlashError):
            revision = loader.get_chip_revision()
            return {
                "part": loader.get_chip_description(),
                "revision": f"v{revision // 100}.{revision % 100}",
                "mac": _mac_text(loader),
                "flash_id": _flash_id(loader),
                "flash_size": str(cmds.detect_flash_size(loader)),
                "security": str(self.security or ""),
                "secure_version": str(self.security.secure_version if self.security else 0),
                "trusted_key": self.security.trusted_key.hex() if self.security else "",
            }

    def why_unreadable(self) -> str | None:
        reason = self.security.why_unreadable() if self.security is not None else None
        return reason and reason[0]

    def check_writable(self, address: int, length: int) -> None:
        security = self._security("write")
        self._refuse(security.why_locked(_sectors(address, length)[0], self._boot_end))

    def _security(self, action: str) -> Security:
        """Of the chip that is connected now."""
        self._loader_for(action)
        assert self.security is not None, "it is read as the chip is connected"
        return self.security

    def _check_readable(self, action: str) -> None:
        self._refuse(self._security(action).why_unreadable())

    def _refuse(self, reason: tuple[str, str] | None) -> None:
        if reason is not None:
            raise LockedError(
                f"{self.name}: the board on {self.port} cannot be used so: {reason[0]}", help=reason[1]
            )

    def program(self, address: int, data: bytes) -> None:
        """Write whole sectors, keeping what the first and the last held beside `data`; checked by MD5.

        What the flash already holds is not written again: that spares the flash, and the time.
        """
        if not data:
            return
        if self._security("program").why_unreadable() is not None:
            self.check_writable(address, len(data))
        if self.holds(address, data):
            return
        self.check_writable(address, len(data))
        start, end = _sectors(address, len(data))
        head = self.read(start, address - start) if start < address else b""
        tail = self.read(address + len(data), end - address - len(data)) if address + len(data) < end else b""
        with self._operation("program", address, len(data)) as loader:
            cmds.write_flash(loader, [(start, head + data + tail)], compress=True, no_progress=True)

    def holds(self, address: int, data: bytes) -> bool:
        """By MD5, which the chip computes itself: far quicker than the range over the wire."""
        if not data:
            return True
        self._check_readable("compare")
        with self._operation("compare", address, len(data)) as loader:
            size = flash_size_bytes(cmds.detect_flash_size(loader))
            if size is not None and address + len(data) > size:
                return False
            digest: str = loader.flash_md5sum(address, len(data))
        return digest == hashlib.md5(data).hexdigest()

    def digest(self, address: int, length: int) -> str:
        self._check_readable("hash")
        with self._operation("hash", address, length) as loader:
            digest: str = loader.flash_md5sum(address, length)
        return digest

    def read(self, address: int, length: int) -> bytes:
        if length == 0:
            return b""
        self._check_readable("read")
        with self._operation("read", address, length) as loader:
            data: bytes = cmds.read_flash(loader, address, length, no_progress=True)
        return data

    def verify(self, address: int, data: bytes) -> None:
        """Compare by MD5; only when that differs is the range read back to find where."""
        if self.holds(address, data):
            return
        found = self.read(address, len(data))
        first = next((i for i, (a, b) in enumerate(zip(found, data, strict=True)) if a != b), None)
        if first is None:
            raise FlashError(
                f"{self.name}: {len(data)} bytes at {address:#x} read back right, but the chip's MD5 differs",
                help="the serial line or the flash is unreliable: check cable and supply",
            )
        raise FlashError(
            f"{self.name}: flash differs first at {address + first:#x}: "
            f"{found[first]:#04x} instead of {data[first]:#04x}",
            help="program the board again; if it persists, the flash is worn",
        )

    def erase(self, address: int, length: int) -> None:
        if length == 0:
            return
        start, end = _sectors(address, length)
        self.check_writable(start, end - start)
        secured = bool(self._security("erase").secure_boot)
        with self._operation("erase", start, end - start) as loader:
            # esptool refuses whatever it is with Secure Boot on; what must stay was refused above
            cmds.erase_region(loader, start, end - start, force=secured)

    def erase_chip(self) -> None:
        self.check_writable(0, self._boot_end)
        with self._operation("erase chip", 0, 0) as loader:
            cmds.erase_flash(loader)

    # ---- esptool

    def _connect(self) -> None:
        loader = None
        try:
            with self._session("connect", ProbeError):
                loader = self._open_port()
                with _reset_sequence(self.port), self._listening(loader._port):
                    loader.connect(detecting=True)
                self._check_secure_download(loader)
                self._check_chip(loader)
                self._check_mac(loader)
                self._note_security(read_security(loader))
                loader = self._run_stub(loader)
                cmds.attach_flash(loader)
                self._check_flash(loader)
                if self.baud != CONNECT_BAUD:
                    loader.change_baud(self.baud)
        except BenchError:
            if loader is not None:
                with contextlib.suppress(Exception):  # give the board back as it was; the cause is known
                    if loader._port.is_open:
                        loader._port.baudrate = CONNECT_BAUD
                        loader.hard_reset()
                    self._give_back(loader)
            raise
        self._loader, self._failed = loader, False

    def _open_port(self) -> Any:
        port = self.port if self._lender is None else self._lender.lend()
        try:
            loader = CHIP_DEFS[self.chip](port, CONNECT_BAUD)
        except (FatalError, ValueError, OSError) as fault:
            if self._lender is not None:
                self._lender.take_back()
            raise ConsoleError(
                f"{self.name}: cannot open serial port {self.port}: {_reason(fault)}",
                help="check the port's name in the bench file, that the board is plugged in, "
                "and that no other program (a terminal, a second bench) has it open",
            ) from fault
        loader._port.timeout = (
            esptool.loader.DEFAULT_TIMEOUT
        )  # the stub's greeting is read with the port's own
        loader.USES_RFC2217 = self.port.startswith("rfc2217:")
        return loader

    @contextlib.contextmanager
    def _listening(self, port: Any) -> Iterator[None]:
        """While esptool connects: a ROM that refuses says so, and esptool drops it unread."""
        heard, read = bytearray(), port.read

        def heard_too(size: int = 1) -> bytes:
            data: bytes = read(size)
            heard.extend(data)
            return data

        port.read = heard_too
        try:
            yield
        except FatalError as fault:
            if DOWNLOAD_DISABLED not in heard:
                raise
            raise LockedError(
                f"{self.name}: the chip on {self.port} refuses download mode (eFuse UART_DOWNLOAD_DIS is "
                f"burned): its ROM says {DOWNLOAD_DISABLED.decode()!r}, and its flash cannot be reached",
                help="use a development board whose download mode is open; the eFuse cannot be undone",
            ) from fault
        finally:
            del port.read

    def _check_secure_download(self, loader: Any) -> None:
        """First of all: in this mode nothing else is answered. esptool asks only as it looks for a chip."""
        if not loader.SECURITY_INFO_SUPPORTED:
            return
        with contextlib.suppress(FatalError):  # another chip, which is told next
            security = read_security(loader)
            loader.secure_download_mode = security.secure_download
            self._note_security(security)
            self._refuse(security.why_unusable())

    def _note_security(self, security: Security) -> None:
        if security != self.security:
            self._line(f"Security: {security}")
        self.security = security

    def _run_stub(self, loader: Any) -> Any:
        try:
            stub = cmds.run_stub(loader)
        except FatalError as fault:
            reason = _reason(fault)
        else:
            if stub.IS_STUB:
                return stub
            reason = "esptool does not start it on this chip"
        raise ProbeError(
            f"{self.name}: the flasher stub does not run on the {loader.CHIP_NAME} on {self.port} "
            f"({self.security}): {reason}",
            help="check the supply of the board and the serial line; a chip whose security refuses code from "
            "outside cannot be used: use a development board",
        )

    def _check_flash(self, loader: Any) -> None:
        found = _flash_id(loader)
        if found in _NO_FLASH:
            raise ProbeError(
                f"{self.name}: the flash of the board on {self.port} does not answer: its JEDEC id reads "
                f"{found}",
                help="check the flash's supply (VDD_SDIO, GPIO12 at reset) and its pins",
            )

    def _check_chip(self, loader: Any) -> None:
        """esptool's magic word at a fixed ROM address; newer chips tell their id instead."""
        if not loader.USES_MAGIC_VALUE:
            chip_id = loader.get_chip_id()
            if chip_id == loader.IMAGE_CHIP_ID:
                return
            names = [c.CHIP_NAME for c in ROM_LIST if chip_id == c.IMAGE_CHIP_ID]
            found = names[0] if names else f"a chip with id {chip_id}"
        else:
            magic = loader.read_reg(loader.CHIP_DETECT_MAGIC_REG_ADDR)
            if magic == loader.MAGIC_VALUE:
                return
            names = [c.CHIP_NAME for c in ROM_LIST if c.USES_MAGIC_VALUE and magic == c.MAGIC_VALUE]
            found = names[0] if names else f"a chip with magic word {magic:#010x}"
        raise ProbeError(
            f"{self.name}: {self.port} has {found}, not {loader.CHIP_NAME}",
            help="the bench file names the port of another board, or the wrong board type",
        )

    def _check_mac(self, loader: Any) -> None:
        found = _mac_text(loader)
        if self.mac is not None and found != self.mac:
            raise ProbeError(
                f"{self.name}: the board on {self.port} has MAC {found}, not {self.mac}",
                help="the bench file names the port of another board, or the serial of this one is wrong",
            )

    def _loader_for(self, action: str) -> Any:
        if not self._opened:
            raise FlashError(f"{self.name}: {action} before open", help="open the flasher first")
        if self._failed:
            self._release()
        if self._loader is None:
            self._connect()
        return self._loader

    def _release(self) -> None:
        loader, self._loader, self._failed = self._loader, None, False
        if loader is not None:
            self._give_back(loader)

    def _give_back(self, loader: Any) -> None:
        if self._lender is not None:
            self._lender.take_back()
            return
        with contextlib.suppress(OSError):
            loader._port.close()

    @contextlib.contextmanager
    def _operation(self, action: str, address: int, length: int) -> Iterator[Any]:
        loader = self._loader_for(action)
        what = f"{action} {length} bytes at {address:#x}" if length else action
        try:
            with self._session(what, FlashError):
                yield loader
        except BenchError:
            self._failed = True  # the loader may be in the middle of anything: connect anew
            raise

    @contextlib.contextmanager
    def _session(self, action: str, error: type[BenchError]) -> Iterator[None]:
        """esptool at work: its output goes to the timeline, its ways to fail become the bench's."""
        with _ESPTOOL, _captured(self._line), pausing_by(self._pause, _PAUSING):
            try:
                yield
            except serial.SerialException as fault:
                raise ConsoleError(
                    f"{self.name}: serial port {self.port} was lost during {action}: {_reason(fault)}",
                    help="check the USB cable and the adapter",
                ) from fault
            except BenchError:
                raise
            # esptool's own errors are RuntimeErrors; its command line's habit is SystemExit
            except (RuntimeError, SystemExit) as fault:
                raise error(
                    f"{self.name}: {action} on {self.port} failed: {_reason(fault)}",
                    help="check that the board is powered and that DTR and RTS reach GPIO0 and EN; "
                    f"esptool's output is on the timeline under {self.name}.rom",
                ) from fault

    def _line(self, text: str) -> None:
        if text and not _WALL_LINE.match(text):
            self._timeline.record(f"{self.name}.rom", "flash", _WALL_FIGURES.sub("", text))


class _LineLogger(TemplateLogger):
    """esptool's messages as whole lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._partial = ""

    def print(self, *args: Any, **kwargs: Any) -> None:
        text = kwargs.get("sep", " ").join(str(arg) for arg in args) + str(kwargs.get("end", "\n"))
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._on_line(line.strip())

    def note(self, message: str) -> None:
        self.print(f"Note: {message}")

    def warning(self, message: str) -> None:
        self.print(f"Warning: {message}")

    def error(self, message: str) -> None:
        self.print(f"Error: {message}")

    def stage(self, finish: bool = False) -> None:
        pass

    def progress_bar(self, *args: Any, **kwargs: Any) -> None:
        pass

    def set_verbosity(self, verbosity: str) -> None:
        pass

    def flush(self) -> None:
        if self._partial:
            self.print("")


class _Hex:
    """Stands in for esptool's `HexFormatter`: it is made into text for every packet, traced or not.

    esptool lays out each byte of it in Python, which takes as long as all the rest of a read.
    """

    def __init__(self, binary_string: bytes, auto_split: bool = True) -> None:
        self._bytes = binary_string

    def __str__(self) -> str:
        return self._bytes.hex(" ", 4)


@contextlib.contextmanager
def _captured(on_line: Callable[[str], None]) -> Iterator[None]:
    before = EspLog.instance, esptool.loader.HexFormatter
    logger = _LineLogger(on_line)
    EsptoolLogger().set_logger(logger)  # installs it for the whole of esptool
    esptool.loader.HexFormatter = _Hex
    try:
        yield
    finally:
        logger.flush()
        EspLog.instance, esptool.loader.HexFormatter = before


@contextlib.contextmanager
def _reset_sequence(port: str) -> Iterator[None]:
    """esptool's setting `custom_reset_sequence`, for ports without a file descriptor.

    Left alone where the user's own esptool configuration has one, and for the two URL kinds that
    esptool treats by itself.
    """
    settings = esptool.loader.cfg
    key = "custom_reset_sequence"
    if "://" not in port or port.startswith(("rfc2217:", "socket:")) or settings.get(key) is not None:
        yield
        return
    settings[key] = URL_RESET_SEQUENCE
    try:
        yield
    finally:
        del settings[key]


def _sectors(address: int, length: int) -> tuple[int, int]:
    """First address and end of the sectors that cover the range."""
    return address - address % SECTOR, -(-(address + length) // SECTOR) * SECTOR


def _flash_id(loader: Any) -> str:
    """Manufacturer, type and capacity, in the order in which the flash chip sends them."""
    return str(loader.flash_id().to_bytes(3, "little").hex())


def _mac_text(loader: Any) -> str:
    return ":".join(f"{byte:02x}" for byte in loader.read_mac("BASE_MAC"))


def _reason(fault: BaseException) -> str:
    """The fault on one line."""
    return " ".join(str(fault).split()) or type(fault).__name__
