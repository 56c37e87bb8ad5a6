"""Firmware files: there, what they should be, and fit for a test."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.config.board_type import BoardType
from bench.config.draft import Draft
from bench.config.finding import Finding, shown
from bench.config.images import DERIVED
from bench.config.process import ProcessType
from bench.config.rules.references import fits
from bench.config.rules.virtual import is_zero
from bench.errors import FileError, ImageError
from bench.firmware import esp32, esp32_layout, mcuboot
from bench.firmware.factory import Extent, misplaced
from bench.firmware.image import FirmwareImage, load_image, read_file
from bench.firmware.signature import why_not_signed_with
from bench.outside_files import IMAGE, read_bytes

SRAM, SRAM_MOST = 0x20000000, 0x100000
"""Where a Cortex-M has its RAM (Armv8-M, address map), and more of it than an nRF91 has."""
OTHER_VERSION = "give two builds: a test cannot tell whether it was updated"


def board_images(draft: Draft) -> Iterator[Finding]:
    """The builds that a bench file gives are for the board, and differ as a test needs it."""
    for board, board_type, images in _boards(draft):
        place = ("boards", board, "images")
        found: dict[str, FirmwareImage] = {}
        for name in ("baseline", "update"):
            if name in images:
                wrong, image = _image(draft.file.parent / images[name], board_type)
                if image is not None:
                    found[name] = image
                if wrong is not None:
                    yield draft.finding((*place, name), images[name], *wrong)
        for name, file in images.get("variants", {}).items():
            wrong = unreadable(draft.file.parent / file)
            if wrong is None and name not in DERIVED:
                wrong, _ = _image(draft.file.parent / file, board_type)
            if wrong is not None:
                yield draft.finding((*place, "variants", name), file, *wrong)
        for name, file in images.get("components", {}).items():
            if (wrong := unreadable(draft.file.parent / file)) is not None:
                yield draft.finding((*place, "components", name), file, *wrong)
        if len(found) == 2:
            wrong = _pair(found["baseline"], found["update"], board_type)
            if wrong is not None:
                yield draft.finding((*place, "update"), images["update"], *wrong)


def signing_keys(draft: Draft) -> Iterator[Finding]:
    """The key that a bench file gives is one, and the builds are signed with it."""
    for board, board_type, images in _boards(draft):
        named = images.get("signing_key")
        if named is None:
            continue
        key = ("boards", board, "images", "signing_key")
        path = draft.file.parent / named
        if (wrong := unreadable(path)) is not None:
            yield draft.finding(key, named, *wrong)
            continue
        try:
            wrong = _signed(draft, images, board_type, read_file(path))
        except ImageError as error:
            wrong = error.message, error.help
        if wrong is not None:
            yield draft.finding(key, named, *wrong)


def _signed(
    draft: Draft, images: Mapping[str, Any], board_type: BoardType, key: bytes
) -> tuple[str, str] | None:
    """Which builds are not signed with the key. Raises `ImageError` for no key."""
    reasons = []
    for name in ("baseline", "update"):
        _, image = _image(draft.file.parent / images.get(name, ""), board_type)
        if image is not None:  # else another rule says so
            reason = why_not_signed_with(image.data, image.container, key)
            reasons += [] if reason is None else [f"{name} {reason}"]
    cure = "give the key that the builds are signed with, or sign them with this one"
    return (", ".join(reasons), cure) if reasons else None


def factory_parts(draft: Draft) -> Iterator[Finding]:
    """The parts beside the application are there, and lie in the flash beside everything else."""
    for board, board_type, images in _boards(draft):
        place = ("boards", board, "images", "factory")
        parts: list[tuple[str, Extent]] = []
        for address, file in images.get("factory", {}).items():
            path = draft.file.parent / file
            if (wrong := unreadable(path)) is not None:
                yield draft.finding((*place, address), file, *wrong)
                continue
            try:
                start = int(address, 0)
            except ValueError:  # the table says so itself
                continue
            parts.append((address, Extent(str(file), start, start + path.stat().st_size)))
        wrong_places = list(misplaced([extent for _, extent in parts], board_type))
        for extent, reason, cure in wrong_places:
            address = next(address for address, part in parts if part is extent)
            yield draft.finding((*place, address), extent.name, reason, cure)
        if board_type.driver == "esp32" and not wrong_places:
            files = [(extent.start, draft.file.parent / extent.name) for _, extent in parts]
            try:
                esp32_layout.check_factory(files, board_type)
            except ImageError as error:
                yield draft.finding(place, None, error.message, error.help)


def executed_bootloaders(draft: Draft) -> Iterator[Finding]:
    """What a virtual core is to execute begins with a vector table."""
    for board, board_type, images in _boards(draft):
        if draft.table("boards", board, "virtual").get("bootloader") != "binary":
            continue
        for address, file in images.get("factory", {}).items():
            path = draft.file.parent / file
            if not is_zero(address) or unreadable(path) is not None:
                continue
            reason = _no_vector_table(path.read_bytes()[:8], board_type)
            if reason is not None:
                cure = "give the plain binary (zephyr.bin), linked for address 0; neither ELF nor HEX"
                yield draft.finding(("boards", board, "images", "factory", address), file, reason, cure)


def _no_vector_table(begin: bytes, board_type: BoardType) -> str | None:
    if len(begin) < 8:
        return "is too short for a vector table"
    stack, entry = struct.unpack("<II", begin)
    if not SRAM <= stack <= SRAM + SRAM_MOST:
        return f"begins with {stack:#010x}, which is no stack pointer"
    if not entry & 1 or entry >= board_type.flash_size:
        return f"has {entry:#010x} for its first instruction, which is no Thumb code in the flash"
    return None


def programs(draft: Draft) -> Iterator[Finding]:
    """A client program and its packages are there, and differ as a test needs it."""
    used = {str(draft.boards[name].get("type")) for name in draft.wanted & draft.boards.keys()}
    for name, process in draft.types.items():
        if name in used and isinstance(process, ProcessType):
            yield from _program(draft.file.parent / f"{name}.toml", process)


def _program(file: Path, process: ProcessType) -> Iterator[Finding]:
    images = process.images

    def finding(key: str, value: Any, wrong: tuple[str, str]) -> Finding:
        return Finding(file, key, shown(key, value), *wrong)

    program = process.command[0]
    if "{" not in program and shutil.which(program) is None:
        where = "is no program that can be run" if Path(program).exists() else "there is no such program"
        yield finding("command", program, (where, "build it, or correct the command"))
    if process.cwd is not None and not process.cwd.is_dir():
        yield finding("cwd", process.cwd, ("there is no such folder", "make it, or correct its name"))
    files = {"images.baseline.file": images.baseline.file, "images.update.file": images.update.file}
    files |= {f"images.variants.{name}": path for name, path in images.variants.items()}
    files |= {f"images.components.{name}": path for name, path in images.components.items()}
    for key, path in files.items():
        if path is not None and (wrong := unreadable(path)) is not None:
            yield finding(key, path, wrong)
    if images.update.version == images.baseline.version:
        reason = "is the version of the baseline too"
        yield finding("images.update.version", images.update.version, (reason, OTHER_VERSION))
    old, new = images.baseline.file, images.update.file
    if old is not None and new is not None and _same(old, new):
        yield finding("images.update.file", new, ("holds the same as the baseline", OTHER_VERSION))
    if new is not None and images.limit is not None and unreadable(new) is None:
        size = new.stat().st_size
        if size > images.limit:
            reason = f"has {size} bytes, more than images.limit {images.limit}"
            yield finding("images.update.file", new, (reason, "correct the limit, or give a smaller package"))


def _boards(draft: Draft) -> Iterator[tuple[str, BoardType, Mapping[str, Any]]]:
    """Those that are used, with their files."""
    for name in draft.boards:
        board_type = draft.type_of(name)
        images = draft.table("boards", name, "images")
        if name in draft.wanted and isinstance(board_type, BoardType) and fits(draft, name, board_type):
            yield name, board_type, images


def unreadable(path: Path) -> tuple[str, str] | None:
    """What is wrong with a file that must be there: reason and cure."""
    try:
        data = read_bytes(path, "what was built", limit=IMAGE, help="name the file that was built")
    except FileError as error:
        if path.exists():
            return error.reason, error.help
        cure = "build it, or correct the path, which is relative to the file that names it"
        if "~" in str(path):
            cure = "write the whole path: ~ is not understood here"
        return "there is no such file", cure
    return None if data else ("is empty", "name the file that was built")


def _image(path: Path, board_type: BoardType) -> tuple[tuple[str, str] | None, FirmwareImage | None]:
    """What is wrong with a build; and the build, if it is one at all."""
    if (wrong := unreadable(path)) is not None:
        return wrong, None
    container = board_type.firmware.container
    try:
        image = load_image(path, container=container, slot_size=board_type.image_limit)
    except ImageError as error:
        return _without_path(error, path), None
    damaged = _damage(image, board_type)
    return damaged, image


def _without_path(error: ImageError, path: Path | None) -> tuple[str, str]:
    """Reason and cure: the file is told as the value already."""
    return error.message.removeprefix(f"image {path} "), error.help


def _damage(image: FirmwareImage, board_type: BoardType) -> tuple[str, str] | None:
    anew = "build it anew"
    if image.container == "mcuboot":
        if mcuboot.parse(image.data).sha256 is not None and not mcuboot.hash_is_right(image.data):
            return "has a SHA-256 that does not fit it: it was changed after it was signed", anew
        return None
    parsed = esp32.parse(image.data)
    if board_type.driver == "esp32":
        try:
            esp32_layout.check_chip(image.data, image.path)
        except ImageError as error:
            return _without_path(error, image.path)
    if not parsed.checksum_right:
        return "has a checksum that does not fit it", anew
    if parsed.hash_right is False:
        return "has a SHA-256 that does not fit it", anew
    return None


def _pair(baseline: FirmwareImage, update: FirmwareImage, board_type: BoardType) -> tuple[str, str] | None:
    """Why no test can tell an update from what was there before, or why the board must refuse it."""
    if baseline.data == update.data:
        return "holds the same as the baseline", OTHER_VERSION
    if baseline.version == update.version:
        return f"has the version of the baseline, {baseline.version}, too", OTHER_VERSION
    if board_type.why_not("downgrade-prevention") is None and _older(update.version, baseline.version):
        reason = f"has the version {update.version}, older than the baseline's {baseline.version}"
        return reason, "exchange them: this board refuses downgrades"
    return None


def _older(one: str, other: str) -> bool:
    """Whether a version is older; versions that are not numbers cannot be compared."""
    try:
        first, second = ([int(number) for number in text.split(".")] for text in (one, other))
    except ValueError:
        return False
    return first < second


def _same(one: Path, other: Path) -> bool:
    return unreadable(one) is None and unreadable(other) is None and read_file(one) == read_file(other)
