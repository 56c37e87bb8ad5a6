"""Partition tables as their projects publish them: where each is from, and what lies where.

Offsets and sizes in bytes, typed in from the files named, not taken from the board files. Nested partitions
(the secure and non-secure part of a slot) are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Layout:
    """`partitions` as published; `called` maps the board file's names to them; `foreign` are those that an
    installation must not touch; `beside` are words outside the flash."""

    origin: str
    partitions: dict[str, tuple[int, int]]
    called: dict[str, str]
    foreign: tuple[str, ...]
    beside: dict[str, tuple[int, int]] = field(default_factory=dict)


# zephyrproject-rtos/zephyr dts/vendor/nordic/nrf91xx_partition.dtsi at 28cc3ce1fdbd; included by
# nrf9160dk_nrf9160_common.dtsi (249205b31413), nrf9161dk_nrf9161_common.dtsi (0bc58aa427ad) and
# nrf9151dk_nrf9151_common.dtsi (0fdf109184fb)
_ZEPHYR_NRF91 = {
    "boot_partition": (0x0, 0x10000),
    "slot0_partition": (0x10000, 0x70000),
    "slot1_partition": (0x80000, 0x70000),
    "tfm_ps_partition": (0xF0000, 0x4000),
    "tfm_its_partition": (0xF4000, 0x2000),
    "tfm_otp_partition": (0xF6000, 0x2000),
    "storage_partition": (0xF8000, 0x8000),
}
_SLOTS = {"mcuboot": "boot_partition", "slot0": "slot0_partition", "slot1": "slot1_partition"}
_TFM = {"tfm_ps": "tfm_ps_partition", "tfm_its": "tfm_its_partition", "tfm_otp": "tfm_otp_partition"}

# nrfconnect/sdk-nrf dts/samples/cellular/nrf91_bootloader_partitions.dtsi at 2b36949fb83f
_NCS_NRF91 = {
    "boot_partition": (0x0, 0x10000),
    "slot0_partition": (0x10000, 0x70000),
    "slot1_partition": (0x80000, 0x70000),
    "storage_partition": (0xF0000, 0x10000),
}
# nrfconnect/sdk-nrf subsys/bootloader/bl_storage/Kconfig at 044ddd629ec9:
# SECURE_BOOT_STORAGE_ADDRESS and _SIZE of SOC_SERIES_NRF91X
_BOOTLOADER_STORAGE = {"otp": (0xFF8108, 0x280)}

# nrfconnect/sdk-nrf boards/nordic/thingy91/thingy91_pm_static.yml at d58b33d02ba5
_THINGY91 = {
    "mcuboot": (0x0, 0xC000),
    "mcuboot_primary": (0xC000, 0x69000),
    "mcuboot_secondary": (0x75000, 0x69000),
    "mcuboot_scratch": (0xDE000, 0x1E000),
    "EMPTY_0": (0xFC000, 0x2000),
    "settings_storage": (0xFE000, 0x2000),
}

# espressif/esp-idf components/partition_table/partitions_two_ota.csv at 4d53e5c56b93;
# ota_0 and ota_1 have no offset there: each follows the one before. Bootloader and table: default offsets.
_TWO_OTA = {
    "bootloader": (0x1000, 0x7000),
    "partition table": (0x8000, 0x1000),
    "nvs": (0x9000, 0x4000),
    "otadata": (0xD000, 0x2000),
    "phy_init": (0xF000, 0x1000),
    "factory": (0x10000, 0x100000),
    "ota_0": (0x110000, 0x100000),
    "ota_1": (0x210000, 0x100000),
}

_WITH_TFM = Layout(
    "zephyr nrf91xx_partition.dtsi",
    _ZEPHYR_NRF91,
    {**_SLOTS, **_TFM, "storage": "storage_partition"},
    foreign=tuple(_TFM.values()),
)
_NCS = Layout(
    "sdk-nrf nrf91_bootloader_partitions.dtsi",
    _NCS_NRF91,
    {**_SLOTS, "settings": "storage_partition"},
    foreign=(),
    beside=_BOOTLOADER_STORAGE,
)

PUBLISHED = {
    "nrf9160dk-zephyr": Layout(
        "zephyr nrf91xx_partition.dtsi",
        _ZEPHYR_NRF91,
        {**_SLOTS, "storage": "storage_partition"},
        foreign=tuple(_TFM.values()),
    ),
    "nrf9160dk-zephyr-tfm": _WITH_TFM,
    "nrf9161dk-zephyr-tfm": _WITH_TFM,
    "nrf9151dk-zephyr-tfm": _WITH_TFM,
    "nrf9160dk-ncs": _NCS,
    "nrf9161dk-ncs": _NCS,
    "nrf9151dk-ncs": _NCS,
    "thingy91-ncs": Layout(
        "sdk-nrf thingy91_pm_static.yml",
        _THINGY91,
        {
            "mcuboot": "mcuboot",
            "slot0": "mcuboot_primary",
            "slot1": "mcuboot_secondary",
            "scratch": "mcuboot_scratch",
            "settings": "settings_storage",
        },
        foreign=("EMPTY_0",),
        beside=_BOOTLOADER_STORAGE,
    ),
    "esp32-devkitc": Layout(
        "esp-idf partitions_two_ota.csv",
        _TWO_OTA,
        {
            "bootloader": "bootloader",
            "partition-table": "partition table",
            **{name: name for name in ("nvs", "otadata", "phy_init", "factory", "ota_0", "ota_1")},
        },
        foreign=("phy_init",),
    ),
}
"""By board file."""
