"""A secured ESP32 is told, and nothing is done to it that it would not survive.

espefuse and espsecure, which nobody here wrote, are on the other side of the eFuses and of the flash.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import espefuse
import espsecure
import esptool
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from esp32_rig import MAC, PORT, Bench, boot_image, make_bench
from espefuse.efuse.esp32.mem_definition import EfuseDefineBlocks, EfuseDefineFields
from esptool import cmds
from esptool.targets import CHIP_DEFS

from bench.dut.esp32_security import READ_PROTECTION, WORD0, WORD6, WRITE_PROTECTION
from bench.dut.rom_serial import URL_RESET_SEQUENCE, RomSerialFlasher
from bench.errors import LockedError, ProbeError
from bench.virtual import protocol_vboard
from bench.virtual.esp32.efuses import FIELDS, Efuses
from bench.virtual.esp32.loader import HEADER, SYNC_REPEAT, Op
from bench.virtual.esp32.slip import SlipDecoder, encode
from bench.virtual.uart import VirtualUart

KEY = bytes(range(32))
APP = b"application" * 500


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A chip of revision v3.0, which knows Secure Boot v2 and can close its download mode."""
    bench = make_bench(revision=300)
    bench.chip.power(True)
    yield bench
    bench.clock.close()
    protocol_vboard.PORTS.pop("esp", None)


@pytest.fixture
def loader(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], esptool.ESPLoader]]:
    """esptool by itself, without the bench's driver."""
    monkeypatch.setitem(esptool.loader.cfg, "custom_reset_sequence", URL_RESET_SEQUENCE)
    with contextlib.ExitStack() as closing:

        def connect() -> esptool.ESPLoader:
            made = CHIP_DEFS["esp32"](PORT)
            closing.callback(made._port.close)
            made.connect(detecting=True)
            return made

        with contextlib.redirect_stdout(io.StringIO()):
            yield connect


def burn(bench: Bench, **fields: int) -> None:
    for name, value in fields.items():
        bench.chip.efuses.burn(name, value)


RELEASE = {
    "FLASH_CRYPT_CNT": 0x7F, "DISABLE_DL_ENCRYPT": 1, "DISABLE_DL_DECRYPT": 1, "DISABLE_DL_CACHE": 1,
}  # fmt: skip


# ---- the bits are where the chip has them


def test_fields_are_those_of_espefuse() -> None:
    theirs = {f.name: f for f in EfuseDefineFields(None).EFUSES}
    for number, ours in ((0, WORD0), (6, WORD6)):
        for name, place in ours.items():
            assert (theirs[name].word, theirs[name].pos, theirs[name].bit_len) == (number, *place), name
    for name, (word, start, bits, frozen_by) in FIELDS.items():
        field = theirs[name]
        assert (field.word, field.pos, field.bit_len, field.write_disable_bit) == (
            word,
            start,
            bits,
            frozen_by,
        ), name
    for names, bit in WRITE_PROTECTION.items():
        for name in names.removesuffix("*").split(" and "):
            frozen = [f for f in theirs.values() if f.name.startswith(name)]
            frozen = frozen or [EfuseDefineBlocks().get(b) for b in EfuseDefineBlocks.BLOCKS if b[0] == name]
            assert {f.write_disable_bit for f in frozen} == {bit}, name
    hidden = {b[0]: EfuseDefineBlocks().get(b).read_disable_bit for b in EfuseDefineBlocks.BLOCKS}
    assert {name: hidden[name] for name in READ_PROTECTION} == READ_PROTECTION


def test_espefuse_reads_and_burns_the_virtual_chip(
    bench: Bench, loader: Callable[[], esptool.ESPLoader]
) -> None:
    commands = espefuse.init_commands(esp=loader(), do_not_confirm=True)
    efuses = commands.efuses
    assert MAC in efuses["MAC"].get()
    assert (efuses["WAFER_VERSION_MAJOR"].get(), efuses["FLASH_CRYPT_CNT"].get()) == (3, 0)
    commands.burn_efuse({"ABS_DONE_1": 1, "JTAG_DISABLE": 1})
    commands.burn_key(["flash_encryption"], [io.BytesIO(KEY)])
    assert (bench.chip.efuses["ABS_DONE_1"], bench.chip.efuses["JTAG_DISABLE"]) == (1, 1)
    assert bench.chip.efuses.block(1) == KEY[::-1]
    assert bench.chip.efuses["RD_DIS"] & 1, "espefuse protects a key from being read"
    assert commands.esp.read_efuse(14) == 0, "a protected block reads as zero"
    bench.chip.efuses.burn("WR_DIS", 1 << 12)
    bench.chip.efuses.burn("ABS_DONE_0")
    assert bench.chip.efuses["ABS_DONE_0"] == 0, "write-protected"


@pytest.mark.parametrize(
    ("revision", "name"),
    [(0, "D0WDQ6 (revision v0.0)"), (100, "D0WDQ6 (revision v1.0)"), (300, "D0WD-V3 (revision v3.0)"),
     (301, "D0WD-V3 (revision v3.1)")],
)  # fmt: skip
def test_esptool_reads_the_revision(revision: int, name: str) -> None:
    bench = make_bench(revision=revision)
    bench.chip.power(True)
    flasher = bench.flasher()
    flasher.open()
    assert flasher.identity()["part"] == f"ESP32-{name}"
    flasher.close()
    bench.clock.close()


# ---- what it is, in one line


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "no Secure Boot, no flash encryption"),
        ({"ABS_DONE_0": 1}, "Secure Boot v1, no flash encryption"),
        ({"ABS_DONE_1": 1, "JTAG_DISABLE": 1}, "Secure Boot v2, no flash encryption, JTAG disabled"),
        (
            {"FLASH_CRYPT_CNT": 1},
            "no Secure Boot, flash encryption in development mode, FLASH_CRYPT_CNT 0x01",
        ),
        ({"FLASH_CRYPT_CNT": 3}, "no Secure Boot, no flash encryption, FLASH_CRYPT_CNT 0x03"),
        (
            RELEASE,
            "no Secure Boot, flash encryption in release mode, FLASH_CRYPT_CNT 0x7f, "
            "DISABLE_DL_ENCRYPT burned, DISABLE_DL_DECRYPT burned, DISABLE_DL_CACHE burned",
        ),
        (
            {"FLASH_CRYPT_CNT": 0x7F, "DISABLE_DL_DECRYPT": 1},
            "no Secure Boot, flash encryption in development mode, FLASH_CRYPT_CNT 0x7f, "
            "DISABLE_DL_DECRYPT burned",
        ),
        (
            {"WR_DIS": 1 << 2 | 1 << 8, "RD_DIS": 1, "CODING_SCHEME": 1},
            "no Secure Boot, no flash encryption, eFuse coding scheme 3/4, read-protected: BLOCK1, "
            "write-protected: FLASH_CRYPT_CNT and UART_DOWNLOAD_DIS, BLOCK2",
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_security_is_said_in_one_line(bench: Bench, fields: dict[str, int], said: str) -> None:
    burn(bench, **{name: value for name, value in fields.items() if name != "WR_DIS"})
    burn(bench, WR_DIS=fields.get("WR_DIS", 0))
    flasher = bench.flasher()
    flasher.open()
    assert flasher.identity()["security"] == said
    flasher.reset()
    flasher.digest(0, 16) if "encryption in" not in said else flasher.identity()
    flasher.close()
    lines = [e.text for e in bench.timeline.since(source="esp.rom") if e.text.startswith("Security:")]
    assert lines == [f"Security: {said}"], "once, as it does not change"


def test_bits_that_an_old_chip_does_not_know_are_no_security() -> None:
    bench = make_bench(revision=100)
    burn(bench, ABS_DONE_1=1, UART_DOWNLOAD_DIS=1)
    bench.chip.power(True)
    flasher = bench.flasher()
    flasher.open()
    assert flasher.identity()["security"] == (
        "no Secure Boot, no flash encryption, ABS_DONE_1 burned, without effect before chip v3.0, "
        "UART_DOWNLOAD_DIS burned, without effect before chip v3.0"
    )
    flasher.program(0x1000, boot_image())
    flasher.close()
    bench.clock.close()


# ---- flash encryption


def encrypted(plain: bytes, address: int) -> bytes:
    out = io.BytesIO()
    with contextlib.redirect_stdout(io.StringIO()):
        espsecure.encrypt_flash_data(io.BytesIO(KEY), out, address, 0xF, False, io.BytesIO(plain))
    return out.getvalue()


def encrypt(bench: Bench, **fields: int) -> None:
    bench.chip.efuses.burn_block(1, KEY[::-1])
    burn(bench, FLASH_CRYPT_CONFIG=0xF, **(fields or {"FLASH_CRYPT_CNT": 1}))


def replace(bench: Bench, address: int, data: bytes) -> None:
    bench.chip.flash.view[address : address + len(data)] = data


def boot_log(bench: Bench, seconds: float = 1.0) -> bytes:
    console = bench.console()
    bench.chip.power(False)
    bench.chip.power(True)
    bench.scheduler.elapse(seconds)
    log: bytes = console.read(65536)
    console.close()
    return log


def test_esptool_takes_plain_bytes_that_brick_an_encrypted_chip(
    bench: Bench, loader: Callable[[], esptool.ESPLoader]
) -> None:
    """What the bench must keep from happening; and that a bootloader in espsecure's cipher does start."""
    image = boot_image().ljust(96, b"\xff")
    encrypt(bench)
    bench.chip.flash.write_now(0x1000, encrypted(image, 0x1000))
    assert b"entry 0x40080000" in boot_log(bench)
    assert bench.boots == ["POWERON_RESET"]

    stub = cmds.run_stub(loader())
    cmds.attach_flash(stub)
    cmds.write_flash(stub, [(0x1000, image)], no_progress=True)
    stub._port.close()
    assert bench.chip.flash.read(0x1000, len(image)) == image, "taken as it is"
    log = boot_log(bench)
    assert b"invalid header: 0x" in log
    assert b"RTCWDT_RTC_RESET" in log
    assert len(bench.boots) == 1


@pytest.mark.parametrize("fields", [{"FLASH_CRYPT_CNT": 1}, {"FLASH_CRYPT_CNT": 7}, RELEASE], ids=str)
def test_an_encrypted_chip_is_neither_written_nor_erased_nor_believed(
    bench: Bench, fields: dict[str, int]
) -> None:
    before = encrypted(boot_image().ljust(96, b"\xff"), 0x1000)
    bench.chip.flash.write_now(0x1000, before)
    encrypt(bench, **fields)
    flasher = bench.flasher()
    flasher.open()
    mode = "release" if fields is RELEASE else "development"
    for action in (
        lambda: flasher.program(0x1000, boot_image()),
        lambda: flasher.program(0x10000, APP),
        lambda: flasher.rewrite(0x10000, 0x1000, APP[:64]),
        lambda: flasher.erase(0x9000, 0x1000),
        flasher.erase_chip,
        lambda: flasher.check_writable(0x9000, 16),
    ):
        with pytest.raises(LockedError, match=f"encryption in {mode} mode: plain bytes") as raised:
            action()
        assert "use a development board without flash encryption" in raised.value.help
    for look in (
        lambda: flasher.read(0x1000, 16),
        lambda: flasher.holds(0x1000, boot_image()),
        lambda: flasher.digest(0x1000, 16),
        lambda: flasher.verify(0x1000, boot_image()),
    ):
        with pytest.raises(LockedError, match=f"{mode} mode: what is read back is encrypted") as raised:
            look()
    opened = "espefuse burn-efuse FLASH_CRYPT_CNT" in raised.value.help
    assert opened == (fields is not RELEASE), "only what can be undone is offered"
    assert "what is read back is encrypted" in (flasher.why_unreadable() or "")
    flasher.close()
    assert bench.chip.flash.read(0x1000, len(before)) == before
    assert bench.chip.flash.is_erased(0x2000, 0x10000)


def test_a_count_that_is_even_again_is_open(bench: Bench) -> None:
    burn(bench, FLASH_CRYPT_CNT=3)
    flasher = bench.flasher()
    flasher.open()
    flasher.program(0x1000, boot_image())
    flasher.verify(0x1000, boot_image())
    assert flasher.why_unreadable() is None
    flasher.close()


def test_security_that_comes_later_is_seen(bench: Bench) -> None:
    """An application may burn its eFuses at its first start."""
    flasher = bench.flasher()
    flasher.open()
    flasher.program(0x10000, APP)
    flasher.reset()
    encrypt(bench)
    with pytest.raises(LockedError, match="development mode"):
        flasher.erase(0x10000, 0x1000)
    flasher.close()


# ---- Secure Boot


@pytest.mark.parametrize("version", [1, 2])
def test_secure_boot_leaves_everything_open_but_what_the_chip_boots_by(bench: Bench, version: int) -> None:
    bench.chip.flash.write_now(0x1000, boot_image())
    bench.chip.flash.write_now(0x9000, bytes(0x2000))
    burn(bench, **{f"ABS_DONE_{version - 1}": 1})
    flasher = bench.flasher()
    flasher.open()
    flasher.program(0x1000, boot_image())  # the very bytes that are there: nothing to do
    flasher.erase(0x9000, 0x1000)
    assert bench.chip.flash.is_erased(0x9000, 0x1000)
    assert bench.chip.flash.read(0xA000, 0x1000) == bytes(0x1000)
    flasher.rewrite(0x10000, 0x3000, APP)
    flasher.verify(0x10000, APP)
    other = boot_image(b"another second stage....")
    for action in (
        lambda: flasher.program(0x1000, other),
        lambda: flasher.program(0x8000, b"\xaa\x50" + bytes(30)),
        lambda: flasher.program(0x0, bytes(192)),
        lambda: flasher.erase(0x8FFF, 2),
        lambda: flasher.erase(0x1000, 0x1000),
        flasher.erase_chip,
    ):
        with pytest.raises(LockedError, match=f"Secure Boot v{version}: what lies below 0x9000") as raised:
            action()
        assert "the very files that are on the board" in raised.value.help
    flasher.close()
    assert bench.chip.flash.read(0x1000, len(boot_image())) == boot_image()


def test_the_board_file_says_where_the_table_ends(bench: Bench) -> None:
    """Secure bootloaders are longer; their table often lies at 0xc000 or 0xf000."""
    burn(bench, ABS_DONE_1=1)
    flasher = bench.flasher(boot_end=0xD000)
    flasher.open()
    with pytest.raises(LockedError, match="below 0xd000"):
        flasher.erase(0xC000, 0x1000)
    flasher.erase(0xD000, 0x1000)
    flasher.close()


def signed(image: bytes, key: rsa.RSAPrivateKey, work: Path) -> bytes:
    pem = work / "key.pem"
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    plain, out = work / "plain", work / "signed"
    plain.write_bytes(image)
    with contextlib.redirect_stdout(io.StringIO()), pem.open("rb") as key_file, plain.open("rb") as source:
        espsecure.sign_secure_boot_v2([key_file], str(out), False, False, None, [], [], source)
    return out.read_bytes()


def test_the_rom_starts_only_a_bootloader_signed_as_block_2_says(bench: Bench, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    image = signed(boot_image(), key, tmp_path)
    digest = tmp_path / "digest"
    with contextlib.redirect_stdout(io.StringIO()), (tmp_path / "key.pem").open("rb") as key_file:
        espsecure.digest_sbv2_public_key(key_file, str(digest))
    bench.chip.efuses.burn_block(2, digest.read_bytes())
    burn(bench, ABS_DONE_1=1)
    bench.chip.flash.write_now(0x1000, image)
    assert b"entry 0x40080000" in boot_log(bench)
    other = signed(boot_image(), rsa.generate_private_key(public_exponent=65537, key_size=3072), tmp_path)
    for wrong in (other, boot_image().ljust(len(image), b"\xff"), image[:4] + b"\4" + image[5:]):
        bench.boots.clear()
        replace(bench, 0x1000, wrong)
        log = boot_log(bench)
        assert bench.boots == []
        assert b"secure boot check fail" in log


def test_the_rom_starts_only_a_bootloader_with_the_digest_of_v1(bench: Bench, tmp_path: Path) -> None:
    plain, both = tmp_path / "plain", tmp_path / "both"
    plain.write_bytes(boot_image())
    with contextlib.redirect_stdout(io.StringIO()), plain.open("rb") as image:
        espsecure.digest_secure_bootloader(io.BytesIO(KEY), str(both), None, image)
    bench.chip.efuses.burn_block(2, KEY[::-1])
    burn(bench, ABS_DONE_0=1)
    bench.chip.flash.write_now(0, both.read_bytes())
    assert b"entry 0x40080000" in boot_log(bench)
    bench.boots.clear()
    replace(bench, 0x1000, boot_image(b"another second stage...."))
    assert b"secure boot check fail" in boot_log(bench)
    assert bench.boots == []


# ---- chips that do not let anybody in


def test_download_mode_that_is_disabled_is_told_from_a_missing_line(bench: Bench) -> None:
    bench.chip.flash.write_now(0x1000, boot_image())
    burn(bench, UART_DOWNLOAD_DIS=1)
    flasher = bench.flasher()
    with pytest.raises(
        LockedError, match=r"UART_DOWNLOAD_DIS is burned.*'Download mode is disabled'"
    ) as raised:
        flasher.open()
    assert "whose download mode is open" in raised.value.help
    assert not bench.uart.opened
    bench.chip.power(False)
    with pytest.raises(ProbeError, match="Failed to connect") as silent:
        flasher.open()
    assert not isinstance(silent.value, LockedError)
    assert not bench.uart.opened


def test_a_stub_that_does_not_start_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    burn(bench, ABS_DONE_1=1)
    monkeypatch.setattr(type(bench.chip._memory), "holds", lambda memory, address: False)  # code is not taken
    with pytest.raises(
        ProbeError, match=r"the flasher stub does not run on the ESP32 .*Secure Boot v2"
    ) as raised:
        bench.flasher().open()
    assert "use a development board" in raised.value.help
    assert not bench.uart.opened


@pytest.mark.parametrize("jedec", [b"\xff\xff\xff", b"\0\0\0"], ids=["open line", "shorted line"])
def test_a_flash_that_does_not_answer_is_told(bench: Bench, jedec: bytes) -> None:
    bench.chip.flash_chip.id = jedec
    with pytest.raises(
        ProbeError, match=f"flash .* does not answer: its JEDEC id reads {jedec.hex()}"
    ) as raised:
        bench.flasher().open()
    assert "VDD_SDIO" in raised.value.help
    assert not bench.uart.opened


class NewerChip:
    """The ROM of an ESP32-S3 as far as GET_SECURITY_INFO goes (esptool documentation, "Serial Protocol").

    In secure download mode it answers no other question that is asked before a download.
    """

    ESP32_S3 = 9
    GET_SECURITY_INFO = 0x14

    def __init__(self, uart: VirtualUart, flags: int, crypt_count: int) -> None:
        self._uart, self._slip = uart, SlipDecoder()
        self._info = struct.pack("<IB7xII", flags, crypt_count, self.ESP32_S3, 0)
        self.asked: list[int] = []
        uart.on_receive = self._receive
        uart.on_lines = lambda dtr, rts: None

    def _receive(self, data: bytes) -> None:
        for packet in self._slip.feed(data):
            opcode = HEADER.unpack_from(packet)[1]
            self.asked.append(opcode)
            body, error = b"", bytes((1, 5, 0, 0))
            if opcode in (Op.SYNC, self.GET_SECURITY_INFO):
                body, error = (self._info if opcode == self.GET_SECURITY_INFO else b""), bytes(4)
            reply = HEADER.pack(1, opcode, len(body) + 4, 0) + body + error
            for _ in range(SYNC_REPEAT if opcode == Op.SYNC else 1):
                self._uart.transmit(encode(reply))


def test_secure_download_mode_of_a_newer_chip() -> None:
    bench = make_bench()
    chip = NewerChip(bench.uart, flags=0b101, crypt_count=1)  # SECURE_BOOT_EN, SECURE_DOWNLOAD_ENABLE
    flasher = RomSerialFlasher("esp", PORT, bench.timeline, chip="esp32s3")
    with pytest.raises(LockedError, match="secure download mode: its flash can be neither read") as raised:
        flasher.open()
    assert "without secure download mode" in raised.value.help
    assert str(flasher.security) == (
        "Secure Boot v2, flash encryption in release mode, secure download mode, SPI_BOOT_CRYPT_CNT 0x1"
    )
    assert Op.MEM_BEGIN not in chip.asked, "no stub is sent to a chip that refuses it"
    assert not bench.uart.opened
    bench.clock.close()


def test_an_erased_efuse_is_a_fresh_chip() -> None:
    efuses = Efuses(bytes(6))
    assert not efuses.encrypts_flash
    assert (efuses.secure_boot, efuses.download_disabled) == (0, False)
