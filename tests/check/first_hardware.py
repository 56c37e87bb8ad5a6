"""What docs/first-hardware.md shows, and stub builds for it made by the project's own image tools."""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
from pathlib import Path
from typing import Any

from bench.virtual import images

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "first-hardware.md"
TWO_OTA = (
    ("nvs", 1, 0x02, 0x9000, 0x4000),
    ("otadata", 1, 0x00, 0xD000, 0x2000),
    ("phy_init", 1, 0x01, 0xF000, 0x1000),
    ("factory", 0, 0x00, 0x10000, 0x100000),
    ("ota_0", 0, 0x10, 0x110000, 0x100000),
    ("ota_1", 0, 0x11, 0x210000, 0x100000),
)
"""ESP-IDF's partitions_two_ota.csv: label, type, subtype, offset, size."""


def _blocks(mark: str, kind: str) -> list[tuple[str, str]]:
    """File and text of each block of `kind` behind `<!-- mark: FILE -->`, in order."""
    pattern = rf"<!-- {mark}: (\S+) -->\n```{kind}\n(.*?)```"
    return re.findall(pattern, DOCUMENT.read_text("utf-8"), re.DOTALL)


def benches() -> dict[str, str]:
    return dict(_blocks("bench", "toml"))


def additions() -> list[tuple[str, str]]:
    return _blocks("add", "toml")


def printed(mark: str) -> list[tuple[str, str]]:
    return _blocks(mark, "text")


COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    for line in block.splitlines()
]


def extended(text: str, addition: str) -> str:
    """A bench file with tables added as its reader would: lines into a board's table that is there, an
    instrument's table in place of the old one."""
    for header, body in re.findall(r"^(\[.+?\])[^\n]*\n(.*?)(?=^\[|\Z)", addition, re.DOTALL | re.MULTILINE):
        there = re.search(rf"^{re.escape(header)}[^\n]*\n(.*?)(?=^\[|\Z)", text, re.DOTALL | re.MULTILINE)
        if there is None:
            text = f"{text.rstrip()}\n\n{header}\n{body}"
        elif header.startswith("[instruments."):
            text = text[: there.start()] + f"{header}\n{body}\n" + text[there.end() :]
        else:
            text = text[: there.start(1)] + body.rstrip() + "\n" + text[there.start(1) :]
    return text


def fill_builds(folder: Path, bench: dict[str, Any]) -> None:
    """The board files that the bench file names, and every image, with versions 1.0.0 and 1.1.0."""
    folder.mkdir()
    for board in bench["boards"].values():
        shutil.copy(ROOT / "boards" / f"{board['type']}.toml", folder)
        chip = "esp32" if board["type"].startswith("esp32") else "nrf9160"
        for key, version in (("baseline", "1.0.0"), ("update", "1.1.0")):
            images.build(chip, version, out=_place(folder, board["images"][key]))
        for address, name in board["images"]["factory"].items():
            place = _place(folder, name)
            if chip == "nrf9160":
                images.build_mcuboot_bootloader(chip, place)
            elif address == "0x1000":
                images.build_esp32_bootloader(place)
            else:
                place.write_bytes(_partition_table())


def _place(folder: Path, name: str) -> Path:
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _partition_table() -> bytes:
    rows = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, label.encode(), 0)
        for label, kind, subtype, offset, size in TWO_OTA
    )
    return (rows + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows).digest()).ljust(0xC00, b"\xff")
