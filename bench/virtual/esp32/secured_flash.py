"""How the ROM of an ESP32 reads its bootloader when eFuses ask for encryption or for Secure Boot.

Both algorithms are espsecure's, of which this is the other side. Not modelled: writing encrypted through
the flasher stub, and encryption under a 3/4 coding scheme.

Sources: ESP-IDF programming guide, "Flash Encryption", "Secure Boot" (v1) and "Secure Boot v2". Texts:
"invalid header" for a bootloader that decrypts to nothing, in the list of failures there; "secure boot check
fail" in esp-idf#7421 (v1; that v2 prints the same is not confirmed).
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.virtual.boot.esp32_secure import signature_holds
from bench.virtual.esp32.efuses import Efuses
from bench.virtual.flash import Flash

CHECK_FAILED = "secure boot check fail"
_BLOCK = 32
_DIGEST_AT, _DIGEST, _IV = 0x80, 64, 0x80

Read = Callable[[int, int], bytes]


def reader(flash: Flash, efuses: Efuses) -> Read:
    """The flash through the cache: what is read at an address."""
    if not efuses.encrypts_flash:
        return flash.read

    def read(address: int, length: int) -> bytes:
        start = address - address % _BLOCK
        end = -(-(address + length) // _BLOCK) * _BLOCK
        plain = _decrypted(flash.read(start, end - start), start, efuses)
        return plain[address - start :][:length]

    return read


def _decrypted(data: bytes, address: int, efuses: Efuses) -> bytes:
    import espsecure  # a fifth of a second, for which open boards need not wait

    key = io.BytesIO(efuses.block(1)[::-1])  # the hardware reads the block from its end
    plain = io.BytesIO()
    with _silence():
        config = efuses["FLASH_CRYPT_CONFIG"]
        espsecure.decrypt_flash_data(key, plain, address, config, False, io.BytesIO(data))
    return plain.getvalue()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """espsecure talks while it works."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def bootloader_is_trusted(read: Read, efuses: Efuses, address: int, length: int) -> bool:
    """`length` is that of the bootloader at `address`, its checksum and appended hash included."""
    match efuses.secure_boot:
        case 1:
            return _digest_holds(read, efuses, address, length)
        case 2:
            return signature_holds(lambda offset, size: read(address + offset, size), length, efuses.block(2))
        case _:
            return True


def _digest_holds(read: Read, efuses: Efuses, address: int, length: int) -> bool:
    """v1: a digest keyed by block 2 lies behind a random IV at the start of the flash."""
    import espsecure  # as above

    key, iv, image = (
        io.BytesIO(data) for data in (efuses.block(2)[::-1], read(0, _IV), read(address, length))
    )
    with tempfile.TemporaryDirectory(prefix="bench-rom-") as work, _silence():
        out = Path(work) / "digest"
        espsecure.digest_secure_bootloader(key, str(out), iv, image)
        made = out.read_bytes()
    return read(_DIGEST_AT, _DIGEST) == made[_IV : _IV + _DIGEST]
