"""What an Espressif chip's security eFuses allow a bench to do over its serial bootloader.

Bits and their meaning: ESP32 Technical Reference Manual, chapter "eFuse Controller", and espefuse's
definitions (esp32.yaml); the mode of flash encryption as ESP-IDF's `esp_get_flash_encryption_mode` tells it
(components/bootloader_support/src/flash_encrypt.c). Newer chips answer GET_SECURITY_INFO (esptool
documentation, "Serial Protocol"), which the ESP32 does not know.

What may be written, from ESP-IDF's programming guide: with flash encryption, plain bytes in the bootloader's
place make the chip restart for ever ("Flash Encryption", "Possible failures"); with Secure Boot a
bootloader that is not signed as the eFuses ask does not start, and v1 signs the partition table too
("Secure Boot", "Secure Boot v2"); applications can be put there again as long as download mode is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

DOWNLOAD_DISABLED = b"Download mode is disabled"
"""The ROM of an ESP32 v3 with UART_DOWNLOAD_DIS burned, when GPIO0 is low (seen in esp-idf#6106)."""

SECURE_BOOT_V2_REVISION = 300
"""From chip v3.0 on ABS_DONE_1 and UART_DOWNLOAD_DIS have an effect."""

CRYPT_CNT_BITS = 7

WORD0 = {
    "WR_DIS": (0, 16),
    "RD_DIS": (16, 4),
    "FLASH_CRYPT_CNT": (20, CRYPT_CNT_BITS),
    "UART_DOWNLOAD_DIS": (27, 1),
}
WORD6 = {
    "CODING_SCHEME": (0, 2), "ABS_DONE_0": (4, 1), "ABS_DONE_1": (5, 1), "JTAG_DISABLE": (6, 1),
    "DISABLE_DL_ENCRYPT": (7, 1), "DISABLE_DL_DECRYPT": (8, 1), "DISABLE_DL_CACHE": (9, 1),
}  # fmt: skip
"""Fields of the ESP32's eFuse words BLK0_RDATA0 and BLK0_RDATA6: first bit, number of bits."""

WRITE_PROTECTION = {
    "FLASH_CRYPT_CNT and UART_DOWNLOAD_DIS": 2, "BLOCK1": 7, "BLOCK2": 8, "ABS_DONE_0": 12, "ABS_DONE_1": 13,
    "JTAG_DISABLE": 14, "DISABLE_DL_*": 15,
}  # fmt: skip
"""Bits of WR_DIS."""
READ_PROTECTION = {"BLOCK1": 0, "BLOCK2": 1, "BLOCK3": 2}
"""Bits of RD_DIS."""

_CODING = {0: "none", 1: "3/4", 2: "repeat", 3: "none"}
_KEY_DIGEST_WORDS = range(14 + 8, 14 + 2 * 8)
"""Secure Boot v2: SHA-256 of the public key, in BLOCK2."""
_SECURE_VERSION_WORD = 14 + 2 * 8 + 4
"""Anti-rollback's version: BLOCK3, word 4."""


class Encryption(Enum):
    """Flash encryption, as ESP-IDF tells its modes apart."""

    OFF = "no flash encryption"
    DEVELOPMENT = "flash encryption in development mode"
    RELEASE = "flash encryption in release mode"


@dataclass(frozen=True, slots=True)
class Security:
    """What is burned. `details` are further words for people; `secure_version` is anti-rollback's.

    `trusted_key` is the SHA-256 of the public key that Secure Boot v2 asks for, where it can be read.

    `secure_boot` is 0 (off), 1 or 2; `can_be_opened` says that encryption in development mode could still
    be switched off, by the eFuse `counter`.
    """

    secure_boot: int = 0
    encryption: Encryption = Encryption.OFF
    secure_download: bool = False
    can_be_opened: bool = False
    counter: str = "FLASH_CRYPT_CNT"
    secure_version: int = 0
    trusted_key: bytes = b""
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        boot = f"Secure Boot v{self.secure_boot}" if self.secure_boot else "no Secure Boot"
        download = ("secure download mode",) if self.secure_download else ()
        return ", ".join((boot, self.encryption.value, *download, *self.details))

    def why_unusable(self) -> tuple[str, str] | None:
        """Why nothing can be done over the serial bootloader, and the cure; None when something can."""
        if self.secure_download:
            return (
                "it is in secure download mode: its flash can be neither read nor compared, and the flasher "
                "stub is refused",
                "use a development board without secure download mode; it cannot be switched off",
            )
        return None

    def why_unreadable(self) -> tuple[str, str] | None:
        """Why what is read back says nothing about images, and the cure."""
        if self.encryption is Encryption.OFF:
            return None
        return (
            f"it has {self.encryption.value}: what is read back is encrypted, and differs from every image",
            self._open_board(),
        )

    def why_locked(self, start: int, boot_end: int) -> tuple[str, str] | None:
        """Why nothing may be erased or written from `start` on, and the cure.

        Bootloader and partition table end at `boot_end`.
        """
        if self.encryption is not Encryption.OFF:
            return (
                f"it has {self.encryption.value}: plain bytes would be taken, and the board would not start "
                "again",
                self._open_board(),
            )
        if self.secure_boot and start < boot_end:
            return (
                f"it has Secure Boot v{self.secure_boot}: what lies below {boot_end:#x} (bootloader and "
                "partition table) stays as it is, as the board might not start again",
                "name in images.factory the very files that are on the board, or none of them; or use a "
                "development board without Secure Boot",
            )
        return None

    def _open_board(self) -> str:
        cure = "use a development board without flash encryption"
        if not self.can_be_opened:
            return f"{cure}; this one's cannot be switched off"
        return (
            f"{cure}, or switch this one's off for good reason only (`espefuse burn-efuse {self.counter}`, "
            "three times in a chip's life) and erase its flash"
        )


def fields(word: int, layout: dict[str, tuple[int, int]]) -> dict[str, int]:
    """The named bit fields of an eFuse word."""
    return {name: word >> start & (1 << bits) - 1 for name, (start, bits) in layout.items()}


def read_security(loader: Any) -> Security:
    """Ask the chip behind an esptool loader, which must be connected. Raises what esptool raises."""
    if loader.SECURITY_INFO_SUPPORTED:
        return _from_security_info(loader)
    if loader.CHIP_NAME == "ESP32":
        return _from_efuses(loader)
    return Security()  # an ESP8266 has nothing of the kind


def _from_efuses(loader: Any) -> Security:
    low, high = fields(loader.read_efuse(0), WORD0), fields(loader.read_efuse(6), WORD6)
    v3 = loader.get_chip_revision() >= SECURE_BOOT_V2_REVISION
    count = low["FLASH_CRYPT_CNT"]
    write_protected = [name for name, bit in WRITE_PROTECTION.items() if low["WR_DIS"] >> bit & 1]
    read_protected = [name for name, bit in READ_PROTECTION.items() if low["RD_DIS"] >> bit & 1]
    permanent = bool(low["WR_DIS"] >> 2 & 1) or count == (1 << CRYPT_CNT_BITS) - 1
    closed = all(high[f"DISABLE_DL_{what}"] for what in ("ENCRYPT", "DECRYPT", "CACHE"))
    encryption = Encryption.OFF
    if loader.get_flash_encryption_enabled():
        encryption = Encryption.RELEASE if permanent and closed else Encryption.DEVELOPMENT
    secure_boot = 1 if loader.get_secure_boot_v1_enabled() else 2 if loader.get_secure_boot_enabled() else 0
    details = []
    if count:
        details.append(f"FLASH_CRYPT_CNT {count:#04x}")
    details += [f"{name} burned" for name in high if name.startswith("DISABLE_DL_") and high[name]]
    if high["JTAG_DISABLE"]:
        details.append("JTAG disabled")
    details += [
        f"{name} burned, without effect before chip v3.0"
        for name, bit in (("ABS_DONE_1", high["ABS_DONE_1"]), ("UART_DOWNLOAD_DIS", low["UART_DOWNLOAD_DIS"]))
        if bit and not v3
    ]
    if high["CODING_SCHEME"]:
        details.append(f"eFuse coding scheme {_CODING[high['CODING_SCHEME']]}")
    if read_protected:
        details.append(f"read-protected: {', '.join(read_protected)}")
    if write_protected:
        details.append(f"write-protected: {', '.join(write_protected)}")
    return Security(
        secure_boot=secure_boot,
        encryption=encryption,
        can_be_opened=not permanent,
        secure_version=loader.read_efuse(_SECURE_VERSION_WORD).bit_count(),
        trusted_key=_key_digest(loader) if secure_boot == 2 else b"",
        details=tuple(details),
    )


def _key_digest(loader: Any) -> bytes:
    digest = b"".join(loader.read_efuse(word).to_bytes(4, "little") for word in _KEY_DIGEST_WORDS)
    return digest if any(digest) else b""


def _from_security_info(loader: Any) -> Security:
    info = loader.get_security_info()
    flags, count = info["parsed_flags"], info["flash_crypt_cnt"]
    secure_download = flags["SECURE_DOWNLOAD_ENABLE"]
    encryption = Encryption.OFF
    if count.bit_count() % 2:
        closed = secure_download or loader.get_encrypted_download_disabled()
        encryption = Encryption.RELEASE if closed else Encryption.DEVELOPMENT
    details = [f"SPI_BOOT_CRYPT_CNT {count:#x}"] if count else []
    if flags["SOFT_DIS_JTAG"] or flags["HARD_DIS_JTAG"]:
        details.append("JTAG disabled")
    return Security(
        secure_boot=2 if flags["SECURE_BOOT_EN"] else 0,
        encryption=encryption,
        secure_download=secure_download,
        can_be_opened=encryption is Encryption.DEVELOPMENT,
        counter="SPI_BOOT_CRYPT_CNT",
        details=tuple(details),
    )
