"""One ESP32 with its SPI flash, its serial port and the usual auto-reset circuit."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from enum import Enum

from bench.virtual.esp32.efuses import Efuses
from bench.virtual.esp32.link import LoaderLink
from bench.virtual.esp32.loader import Exit, Jump, Reboot, RunApplication
from bench.virtual.esp32.memory import Memory
from bench.virtual.esp32.rom import RomLoader
from bench.virtual.esp32.rom_image import BOOT_OFFSET, BootImage, read_boot_image
from bench.virtual.esp32.secured_flash import CHECK_FAILED, bootloader_is_trusted, reader
from bench.virtual.esp32.spi_flash_chip import SECTOR, TIMING, SpiFlashChip
from bench.virtual.esp32.stub import StubLoader
from bench.virtual.flash import Flash
from bench.virtual.process import Cpu, Steps
from bench.virtual.scheduler import Handle, Scheduler
from bench.virtual.uart import VirtualUart

ROM_BAUD = 115200

EN_RISE = 1.4e-3
"""Seconds from the release of EN until the chip leaves reset: 10 kOhm and 100 nF up to 0.75 VDD."""

ROM_WATCHDOG = 0.3
"""Seconds until the RTC watchdog ends a failed boot; an estimate."""

POWER_ON = "POWERON_RESET"
WATCHDOG = "RTCWDT_RTC_RESET"
SOFTWARE = "SW_CPU_RESET"

RESET_CODES = {
    POWER_ON: 0x01,
    "SW_RESET": 0x03,
    "DEEPSLEEP_RESET": 0x05,
    "TG0WDT_SYS_RESET": 0x07,
    "TG1WDT_SYS_RESET": 0x08,
    "RTCWDT_SYS_RESET": 0x09,
    SOFTWARE: 0x0C,
    "RTCWDT_BROWN_OUT_RESET": 0x0F,
    WATCHDOG: 0x10,
}
"""Reset causes as the ROM prints them (ESP-IDF, rom/rtc.h)."""

_BUILT = "ets Jun  8 2016 00:22:57"
_BUILT_V3 = "ets Jul 29 2019 12:21:46"
"""First line of the mask ROM, by chip revision."""

_DOWNLOAD_DISABLED = "Download mode is disabled. Restart with GPIO0 high."
"""Seen in esp-idf#6106."""

_NOTHING_TO_RUN = b"flash read err, 631\r\nFalling back to built-in command interpreter.\r\nOK\r\n>"
"""Recorded when FLASH_END leaves for an erased flash. That other flash it cannot boot says the same, and what
the interpreter does then, is not confirmed."""

_STRAP_FLASH = 0x13, "SPI_FAST_FLASH_BOOT"
_STRAP_DOWNLOAD = 0x03, "DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2)"


class _Mode(Enum):
    OFF = "off"
    HELD = "held in reset"
    LOADER = "loader"
    APPLICATION = "application"


class Esp32Chip:
    """An ESP32 (D0WDQ6, from revision v3.0 on D0WD-V3) with `flash_mb` MiB of flash, on `uart`.

    `revision` 100 is v1.0; what else the chip is, its `efuses` say.

    `boot(reason)` gives the process that runs after the ROM when the flash holds a second-stage
    bootloader; the board sets it. `on_receive_app(data)` gets serial bytes while that process runs.
    `mac` is "aa:bb:cc:dd:ee:ff".
    """

    def __init__(
        self,
        scheduler: Scheduler,
        rng: random.Random,
        uart: VirtualUart,
        *,
        mac: str,
        flash_mb: int = 4,
        revision: int = 100,
    ) -> None:
        self.scheduler = scheduler
        self.uart = uart
        self.mac = mac.lower()
        self.cpu = Cpu(scheduler)
        self.flash = Flash(flash_mb << 20, SECTOR, TIMING, rng)
        self.boot: Callable[[str], Steps] | None = None
        self.on_receive_app: Callable[[bytes], None] = lambda data: None
        self.flash_chip = SpiFlashChip(flash_mb << 20)
        self.efuses = Efuses(bytes.fromhex(self.mac.replace(":", "")), revision)
        self._memory = Memory(self.efuses, self.flash_chip)
        self._mode = _Mode.OFF
        self._powered = False
        self._download_strap = False
        self._rising: Handle | None = None
        self._link = LoaderLink(self.cpu, uart)
        uart.on_receive = self._receive
        uart.on_lines = self._lines

    # ---- supply, EN and strapping

    def power(self, on: bool) -> None:
        """The supply came up, or failed: everything stops where it stands."""
        if on == self._powered:
            return
        self._powered = on
        if on:
            self._mode = _Mode.HELD
            self.flash_chip.power_up()
            self._lines(self.uart.dtr, self.uart.rts)
        else:
            self._stop(_Mode.OFF)
            self.flash.interrupt(self.scheduler.now)

    def reset(self, reason: str) -> None:
        """Reset by software or a watchdog; the boot mode latched last stays.

        `reason` is one of `RESET_CODES`; any other text is shown by the ROM as a software reset.
        """
        if not self._powered:
            return
        self._stop(_Mode.HELD)
        self._finish_flash_operation()
        self._start(reason)

    def _lines(self, dtr: bool, rts: bool) -> None:
        """Two transistors: RTS alone pulls EN low, DTR alone pulls GPIO0 low, both do nothing.

        Source: table "Auto program" (levels, so 0 is on) in Espressif's schematic SCH_ESP32-PROG_V2.1 and in
        those of the DevKits: DTR RTS -> EN IO0: 1 1 -> 1 1, 0 0 -> 1 1, 1 0 -> 0 1, 0 1 -> 1 0.
        """
        if not self._powered:
            return
        enable = not (rts and not dtr)
        if not enable:
            if self._mode is not _Mode.HELD or self._rising is not None:
                self._stop(_Mode.HELD)
                self._finish_flash_operation()
        elif self._mode is _Mode.HELD and self._rising is None:
            self._rising = self.scheduler.after(EN_RISE, self._released)

    def _released(self) -> None:
        self._rising = None
        self._download_strap = self.uart.dtr and not self.uart.rts
        self._start(POWER_ON)

    def _stop(self, mode: _Mode) -> None:
        if self._rising is not None:
            self._rising.cancel()
            self._rising = None
        self._mode = mode
        self.cpu.kill()

    def _finish_flash_operation(self) -> None:
        """The flash keeps its supply through a reset of the chip and ends what it was doing."""
        self.flash.interrupt(math.inf)

    # ---- the ROM

    def _start(self, reason: str) -> None:
        self._memory.power_up()
        self._set_baud(ROM_BAUD)
        self._link = LoaderLink(self.cpu, self.uart)
        self._memory.set_strapping((_STRAP_DOWNLOAD if self._download_strap else _STRAP_FLASH)[0])
        self._mode = _Mode.LOADER if self._download_strap else _Mode.APPLICATION
        self.cpu.spawn(self._download() if self._download_strap else self._boot_from_flash(reason))

    def _print(self, *lines: str) -> None:
        self.uart.transmit("".join(line + "\r\n" for line in lines).encode("ascii"))

    def _print_banner(self, reason: str, strap: tuple[int, str]) -> None:
        name = reason if reason in RESET_CODES else SOFTWARE
        self._print(
            _BUILT_V3 if self.efuses.revision >= 300 else _BUILT,
            "",
            f"rst:0x{RESET_CODES[name]:x} ({name}),boot:0x{strap[0]:x} ({strap[1]})",
        )

    def _boot_image(self) -> BootImage | str:
        """The second-stage bootloader, or why the ROM does not run it."""
        read = reader(self.flash, self.efuses)
        image = read_boot_image(read, self.flash.size)
        if isinstance(image, BootImage) and not bootloader_is_trusted(
            read, self.efuses, BOOT_OFFSET, image.length
        ):
            return CHECK_FAILED
        return image

    def _boot_from_flash(self, reason: str) -> Steps:
        self._print_banner(reason, _STRAP_FLASH)
        image = self._boot_image()
        if not isinstance(image, BootImage):
            self._print(image)
            yield ROM_WATCHDOG
            self.reset(WATCHDOG)
            return
        self._print(
            "configsip: 0, SPIWP:0xee",
            "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00",
            f"mode:{image.flash_mode}, clock div:{image.clock_divider}",
            *(f"load:0x{address:08x},len:{length}" for address, length in image.segments),
        )
        yield image.load_time
        self._print(f"entry 0x{image.entry:08x}")
        if self.boot is not None:
            yield from self.boot(reason)

    def _download(self) -> Steps:
        if self.efuses.download_disabled:
            self._print(_DOWNLOAD_DISABLED)
            return
        self._print_banner(POWER_ON, _STRAP_DOWNLOAD)
        self._print("waiting for download")
        loader = self._loader(RomLoader)
        while True:
            leaving: Exit = yield from loader.run()
            if not isinstance(leaving, Jump):
                break
            if not self._memory.holds(leaving.entry):
                self._print("Fatal exception (0): IllegalInstruction")
                yield ROM_WATCHDOG
                break
            loader = self._loader(StubLoader)
        if isinstance(leaving, RunApplication) and isinstance(self._boot_image(), str):
            self.uart.transmit(_NOTHING_TO_RUN)
            return
        # leaving for the application does not look at the straps again; a reboot keeps them
        self._download_strap = isinstance(leaving, (Reboot, Jump))
        self.reset(WATCHDOG if isinstance(leaving, Jump) else SOFTWARE)

    def _loader(self, kind: type[RomLoader] | type[StubLoader]) -> RomLoader | StubLoader:
        return kind(self._link, self._memory, self.flash, lambda: self.scheduler.now, self._set_baud)

    def _set_baud(self, baud: int) -> None:
        self.uart.board_baud = baud
        self._memory.set_uart_baud(baud)

    def _receive(self, data: bytes) -> None:
        if self._mode is _Mode.LOADER:
            self._link.feed(data)
        elif self._mode is _Mode.APPLICATION:
            self.on_receive_app(data)
