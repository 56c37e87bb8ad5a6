"""What is attached to an open station, as it goes into the ledger: serials, identities, hashes of images."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.config import (
    AnyBoardSettings,
    AnyBoardType,
    BoardSettings,
    BoardType,
    ProcessType,
    RomSerialAttachment,
)
from bench.dut.dut import Dut
from bench.dut.hardware import HardwareDut
from bench.errors import ConsoleError, ConsoleTimeout
from bench.firmware.image import FirmwareImage
from bench.firmware.told import content_of, told_by
from bench.firmware_update.deviations import DEVIATIONS
from bench.station import Station

MODEM_PATIENCE = 5.0
"""Bench seconds for an answer of the modem: it answers at once or not at all."""


def attached(station: Station) -> dict[str, Any]:
    """JSON-able; no key of any kind is in it. What cannot be known is None."""
    settings = station.bench.settings
    return {
        "plant": settings.bench.plant,
        "boards": {name: _board(station, dut, settings.boards[name]) for name, dut in station.duts.items()},
        "instruments": {
            name: {
                "driver": settings.instruments[name].driver,
                "idn": instrument.idn,
                "calibration_due": _iso(settings.instruments[name].calibration_due),
            }
            for name, instrument in station.instruments.items()
        },
    }


def _iso(day: Any) -> str | None:
    return None if day is None else day.isoformat()


def _board(station: Station, dut: Dut, board: AnyBoardSettings) -> dict[str, Any]:
    board_type = dut.type
    file = station.bench.path.parent / f"{board.type}.toml"
    return {
        "type": board_type.name,
        "title": board_type.title,
        "kind": board_type.kind,
        "serial": board.serial,
        "endpoint": board.endpoint,
        "probe": _probe(board),
        "supply": board.supply if isinstance(board, BoardSettings) else None,
        "power_cuts": dut.rail.proof if isinstance(dut, HardwareDut) else None,
        "file": file.name,
        "file_sha256": _sha256(file),
        "deviations": _deviations(board_type),
        "modem": isinstance(board_type, BoardType) and board_type.modem is not None,
        "images": _images(dut),
    }


def _deviations(board_type: AnyBoardType) -> dict[str, str]:
    """What the board file documents that its stack does otherwise than the objects say."""
    return {
        str(name): f"{DEVIATIONS[name].text}: {documented.documented}"
        for name, documented in board_type.profile.deviations.items()
    }


def _probe(board: AnyBoardSettings) -> str | None:
    if not isinstance(board, BoardSettings):
        return None
    wire = board.flasher
    return wire.mac if isinstance(wire, RomSerialAttachment) else wire.uid


def _images(dut: Dut) -> dict[str, Any]:
    """Everything that is put on the board, by what it is for."""
    images = dut.images
    found = {"baseline": _image(images.baseline), "update": _image(images.update)}
    told = told_by(images.update.data, images.update.container)
    content = content_of(images.update.data, images.update.container)
    found["update"] |= {name: value for name, value in {**asdict(told), "content": content}.items() if value}
    if isinstance(dut.type, ProcessType) and found["baseline"]["sha256"] is None:
        found["baseline"]["sha256"] = _program(dut.type)
    for part in images.factory:
        found[f"factory {part.address:#x}"] = {"version": "", "sha256": part.sha256}
    found |= {f"variant {name}": _image(image) for name, image in sorted(images.variants.items())}
    return found | {f"component {name}": _image(image) for name, image in sorted(images.components.items())}


def _program(process: ProcessType) -> str | None:
    """Of what is installed by being there: all files of the command, an interpreter's script too."""
    folder = process.cwd or Path()
    named = [shutil.which(process.command[0]) or "", *(str(folder / part) for part in process.command[1:])]
    digests = [_sha256(Path(name)) for name in named if name and Path(name).is_file()]
    if not digests or None in digests:
        return None
    return hashlib.sha256("".join(map(str, digests)).encode()).hexdigest()


def _image(image: FirmwareImage) -> dict[str, Any]:
    return {"version": image.version, "sha256": image.sha256 if image.data else None}


def _sha256(file: Path) -> str | None:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None


def modem_of(dut: Dut) -> dict[str, Any] | None:
    """What the modem of a powered board says it is; None where the board file does not say how to ask.

    A modem that does not answer is no reason to stop: what it did not tell is None.
    """
    modem = dut.type.modem if isinstance(dut.type, BoardType) else None
    if modem is None:
        return None
    told: dict[str, Any] = {"board": dut.name}
    for what, question in (("serial", modem.serial), ("firmware", modem.firmware)):
        mark = dut.console.mark()
        try:
            dut.console.send(question.command + "\r\n")
            found = dut.console.expect(question.answer, timeout=MODEM_PATIENCE, since=mark)
            told[what] = found.group(0)
        except (ConsoleError, ConsoleTimeout):
            told[what] = None
    return told
