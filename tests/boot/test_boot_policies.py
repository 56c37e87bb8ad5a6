"""What the virtual bootloaders hold against images that are whole: signature, key, age, what they need."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests_boot_machine import Machine

from bench.firmware import esp32_signing, hostile_esp32
from bench.firmware import mcuboot_signing as anew
from bench.virtual import images
from bench.virtual.boot import esp32
from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.boot.mcuboot.boot_state import BootState
from bench.virtual.boot.mcuboot.bootloader import boot as mcuboot_boot
from bench.virtual.boot.mcuboot.bootloader import options_of
from bench.virtual.boot.mcuboot.request import set_pending
from bench.virtual.boot.mcuboot.validation import Keys
from bench.virtual.esp32_signing import RSA_KEY
from bench.virtual.machine import Region, RunningImage

SLOT = 0x10000
NRF_REGIONS = {
    "mcuboot": Region(0, 0xF000),
    "counters": Region(0xF000, 0x1000),
    "slot0": Region(0x10000, SLOT),
    "slot1": Region(0x20000, SLOT),
}
ESP_REGIONS = {label: Region(offset, size) for label, _, _, offset, size in images.ESP32_PARTITIONS}
Image = Callable[..., bytes]


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


KEY = anew.load_key(pem(images.SIGNING_KEY))


ABSENT = "what it depends on is not there"
BY_VERSION = {"version": "main", "upgrade": "move", "by_version": True}
BY_COUNTER = {"version": "main", "upgrade": "move", "by_counter": True}


def nrf_with(image: bytes, tmp_path: Path, options: Mapping[str, object] = BY_VERSION) -> Machine:
    machine = Machine(0x30000, NRF_REGIONS)
    loader = images.build_mcuboot_bootloader("nrf9160", tmp_path / "mcuboot.bin", options=options)
    machine.put(0, loader.read_bytes())
    machine.put(NRF_REGIONS["slot0"].offset, image)
    return machine


def boot(machine: Machine) -> RunningImage | None:
    result = machine.run(mcuboot_boot(machine) if "slot0" in machine.regions else esp32.boot(machine))
    assert result is None or isinstance(result, RunningImage)
    return result


def version(machine: Machine) -> str:
    running = boot(machine)
    return "none" if running is None else running.version


def offer(machine: Machine, image: bytes) -> object:
    running = boot(machine)
    assert running is not None
    mcu = "slot0" in machine.regions
    slots = McubootSlots(machine, running) if mcu else esp32.EspOtaSlots(machine, running)
    machine.run(slots.erase())
    machine.run(slots.write(0, image))
    if not mcu:
        return machine.run(slots.request_upgrade())
    state = BootState(machine, options_of(machine), Keys(b""))  # an application without a second thought
    return machine.run(set_pending(state.secondary, state.options))


def confirm(machine: Machine, running: RunningImage) -> None:
    mcu = "slot0" in machine.regions
    slots = McubootSlots(machine, running) if mcu else esp32.EspOtaSlots(machine, running)
    machine.run(slots.confirm())


# ---- MCUboot


def test_a_lower_version_is_refused_and_erased(small_image: Image, tmp_path: Path) -> None:
    machine = nrf_with(small_image("nrf9160", "1.1.0"), tmp_path)
    offer(machine, small_image("nrf9160", "1.0.9"))
    assert version(machine) == "1.1.0"
    assert machine.flash.is_erased(NRF_REGIONS["slot1"].offset, SLOT)


def test_the_same_version_may_be_installed_again(small_image: Image, tmp_path: Path) -> None:
    machine = nrf_with(small_image("nrf9160", "1.1.0"), tmp_path)
    offer(machine, small_image("nrf9160", "1.1.0"))
    trial = boot(machine)
    assert trial is not None
    assert trial.arrival == "test"


def test_a_lower_version_comes_back_in_a_revert(small_image: Image, tmp_path: Path) -> None:
    machine = nrf_with(small_image("nrf9160", "1.0.0"), tmp_path)
    offer(machine, small_image("nrf9160", "1.1.0"))
    assert version(machine) == "1.1.0"
    assert version(machine) == "1.0.0"


@pytest.mark.parametrize(("wanted", "objection"), [("250.0.0", ABSENT), ("1.1.0", None), ("1.1.1", ABSENT)])
def test_a_dependency_is_looked_at_by_the_application_alone(
    small_image: Image, tmp_path: Path, wanted: str, objection: str | None
) -> None:
    machine = nrf_with(small_image("nrf9160", "1.0.0"), tmp_path)
    image = anew.made_anew(small_image("nrf9160", "1.1.0"), KEY, anew.Changes(depends_on=wanted))
    offer(machine, image)
    running = boot(machine)
    assert running is not None
    assert running.version == "1.1.0"
    machine = nrf_with(small_image("nrf9160", "1.0.0"), tmp_path)
    running = boot(machine)
    assert running is not None
    slots = McubootSlots(machine, running)
    machine.run(slots.write(0, image))
    assert machine.run(slots.request_upgrade()) == objection


def counted(image: bytes, counter: int) -> bytes:
    return anew.made_anew(image, KEY, anew.Changes(security_counter=counter))


def test_the_counter_rises_with_a_confirmed_image_alone(small_image: Image, tmp_path: Path) -> None:
    old, new = small_image("nrf9160", "1.0.0"), small_image("nrf9160", "1.1.0")
    machine = nrf_with(old, tmp_path, BY_COUNTER)
    offer(machine, counted(new, 7))
    assert version(machine) == "1.1.0"  # on trial
    assert version(machine) == "1.0.0"  # reverted: the counter did not rise
    offer(machine, counted(new, 7))
    trial = boot(machine)
    assert trial is not None
    confirm(machine, trial)
    assert version(machine) == "1.1.0"
    offer(machine, counted(small_image("nrf9160", "1.2.0"), 6))
    assert version(machine) == "1.1.0"
    offer(machine, counted(small_image("nrf9160", "1.2.0"), 7))
    assert version(machine) == "1.2.0"


def test_an_older_image_written_into_the_primary_slot_does_not_boot(
    small_image: Image, tmp_path: Path
) -> None:
    machine = nrf_with(counted(small_image("nrf9160", "1.1.0"), 0x10007), tmp_path, BY_COUNTER)
    assert version(machine) == "1.1.0"
    machine.put(NRF_REGIONS["slot0"].offset, small_image("nrf9160", "1.0.0"))
    assert boot(machine) is None


def test_a_torn_record_of_the_counter_is_none(small_image: Image, tmp_path: Path) -> None:
    machine = nrf_with(small_image("nrf9160", "1.0.0"), tmp_path, BY_COUNTER)
    machine.flash.write_now(NRF_REGIONS["counters"].offset, struct.pack("<II", 200, 0xFFFFFFFF))
    assert version(machine) == "1.0.0"


def test_a_torn_copy_done_keeps_a_trial_image_for_ever(small_image: Image, tmp_path: Path) -> None:
    """As the real one does: the flag is neither set nor unset, so that nothing is wanted any more."""
    machine = nrf_with(small_image("nrf9160", "1.0.0"), tmp_path)
    offer(machine, small_image("nrf9160", "1.1.0"))
    assert version(machine) == "1.1.0"
    slot = NRF_REGIONS["slot0"]
    machine.flash.view[slot.offset + slot.size - 32] = 0x25  # some of the bits that 0xff -> 0x01 clears
    for _ in range(3):
        running = boot(machine)
        assert running is not None
        assert (running.version, running.confirmed) == ("1.1.0", False)


def test_the_key_hash_must_be_the_keys(small_image: Image, tmp_path: Path) -> None:
    machine = nrf_with(small_image("nrf9160", "1.0.0"), tmp_path)
    new = bytearray(small_image("nrf9160", "1.1.0"))
    at = bytes(new).index(hashlib.sha256(KEY.get_public_bytes()).digest())
    new[at] ^= 1  # neither hash nor signature covers it
    offer(machine, bytes(new))
    assert version(machine) == "1.0.0"


# ---- ESP32


@pytest.fixture
def esp(tmp_path: Path, small_image: Image) -> Machine:
    machine = Machine(0x400000, ESP_REGIONS)
    machine.put(0x1000, images.build_esp32_bootloader(tmp_path / "bootloader.bin").read_bytes())
    machine.put(0x8000, images.build_partition_table(tmp_path / "table.bin").read_bytes())
    machine.put(ESP_REGIONS["ota_0"].offset, small_image("esp32", "1.0.0"))
    return machine


def esp_signed(content: bytes) -> bytes:
    private = RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return esp32_signing.signed(content, private)


def secured(image: bytes, secure_version: int) -> bytes:
    """Signed anew, with another secure version in its application descriptor."""
    content = esp32_signing.plain(image)
    at = hostile_esp32._SECURE_VERSION
    content = content[:at] + secure_version.to_bytes(4, "little") + content[at + 4 :]
    return esp_signed(esp32_signing.sealed(content))


def foreign(image: bytes) -> bytes:
    return esp32_signing.signed(esp32_signing.plain(image), esp32_signing.stranger())


def tampered(image: bytes) -> bytes:
    """Other contents with checksum and hash that fit, and the old signature."""
    content = esp32_signing.plain(image)
    changed = esp32_signing.sealed(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    return changed + image[len(changed) :]


@pytest.mark.parametrize(
    "forge", [esp32_signing.plain, foreign, tampered], ids=["unsigned", "foreign key", "tampered"]
)
def test_what_the_trusted_key_did_not_sign_does_not_boot(
    esp: Machine, small_image: Image, forge: Callable[[bytes], bytes]
) -> None:
    offer(esp, forge(small_image("esp32", "1.1.0")))
    assert version(esp) == "1.0.0"
    assert any("Secure boot signature verification failed" in line for line in esp.lines)


def test_the_secure_version_rises_with_a_confirmed_image_alone(esp: Machine, small_image: Image) -> None:
    new = small_image("esp32", "1.1.0")
    assert offer(esp, secured(new, 3)) is None
    assert version(esp) == "1.1.0"  # on trial
    assert version(esp) == "1.0.0"  # rolled back
    assert offer(esp, secured(new, 3)) is None
    trial = boot(esp)
    assert trial is not None
    confirm(esp, trial)
    assert version(esp) == "1.1.0"
    assert offer(esp, secured(small_image("esp32", "1.2.0"), 2)) == "its secure version is too low"
    assert version(esp) == "1.1.0"


def test_an_older_image_written_into_the_slot_does_not_boot(esp: Machine, small_image: Image) -> None:
    esp.put(ESP_REGIONS["ota_0"].offset, secured(small_image("esp32", "1.1.0"), 3))
    assert version(esp) == "1.1.0"
    esp.put(ESP_REGIONS["ota_0"].offset, small_image("esp32", "1.0.0"))
    esp.lines.clear()
    assert boot(esp) is None
    assert not any("esp_image: segment" in line for line in esp.lines)  # it is not even looked at
    assert "boot: No bootable app partitions in the partition table" in esp.lines[-1]


def test_a_right_signature_stands_for_the_hash(esp: Machine, small_image: Image) -> None:
    """ESP-IDF compares the appended SHA-256 only to tell what is wrong when the signature is not right."""
    content = bytearray(esp32_signing.plain(small_image("esp32", "1.1.0")))
    content[-16] ^= 1
    offer(esp, esp_signed(bytes(content)))
    assert version(esp) == "1.1.0"


def test_confirming_burns_the_secure_version_at_once(esp: Machine, small_image: Image) -> None:
    fuses = ESP_REGIONS["emul_efuse"].offset
    offer(esp, secured(small_image("esp32", "1.1.0"), 3))
    trial = boot(esp)
    assert trial is not None
    assert esp.flash.read(fuses, 4) == b"\xfe\xff\xff\xff"  # by the first boot of 1.0.0
    confirm(esp, trial)
    assert esp.flash.read(fuses, 4) == b"\xf8\xff\xff\xff"


def test_a_secure_version_that_the_fuses_cannot_hold_burns_nothing(esp: Machine, small_image: Image) -> None:
    esp.put(ESP_REGIONS["ota_0"].offset, secured(small_image("esp32", "1.0.0"), 0xFFFFFFFF))
    assert version(esp) == "1.0.0"
    assert esp.flash.is_erased(ESP_REGIONS["emul_efuse"].offset, 4)
