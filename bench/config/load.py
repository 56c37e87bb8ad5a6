"""Bench file and board files -> validated settings. Every mistake names file, key, value, reason and cure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.config.attached import AnyBoardSettings, BenchSettings, BoardSettings, SecuritySettings
from bench.config.board_type import BoardType
from bench.config.draft import AnyBoardType, Draft, Rule
from bench.config.finding import Finding, Mistakes, in_order, shown
from bench.config.nearest import suggestion
from bench.config.process import ProcessImage, ProcessType
from bench.config.rules import RULES
from bench.config.shape import dotted
from bench.config.study import study
from bench.config.table import Table
from bench.config.toml_file import read_toml
from bench.errors import ConfigError
from bench.safe_text import SECRETS

BENCH_HELP = "see boards/virtual.toml for a complete example"
BOARD_HELP = "see docs/board-files.md for a board, docs/process-boards.md for a program"
HEAD = ("name", "title", "driver", "flash_size")
"""What a board file says in its table [board], and must."""


class Bench(Table):
    """Everything a station is built from."""

    path: Path
    settings: BenchSettings
    types: dict[str, BoardType | ProcessType]
    named: dict[str, str] = {}
    """Every board of the bench file with its serial number, those that are not kept too."""

    def type_of(self, board: str) -> AnyBoardType:
        return self.types[self.settings.boards[board].type]

    def board_type_of(self, board: str) -> BoardType:
        """That of a board with a supply, never of a program."""
        found = self.type_of(board)
        assert isinstance(found, BoardType)
        return found


def load_bench(path: Path, boards: tuple[str, ...] = (), rules: Sequence[Rule] = RULES) -> Bench:
    """Read a bench file and the board files beside it; keep only the named boards if any are named.

    `rules` are what it is held against beyond the form of its tables. Raises `Mistakes` with every mistake
    that concerns the boards kept, and `ConfigError` for a name of none.
    """
    tables = read_toml(path, BENCH_HELP)
    if "board" in tables:
        raise Mistakes(path, [Finding(path, "", "", "is a board file, not a bench file", BENCH_HELP)])
    studied = study(path, tables, BenchSettings, BENCH_HELP)
    held = studied.sound.get("boards", {})
    _require_known(path, boards, tables.get("boards"))
    wanted = frozenset(boards or held)
    findings = list(studied.findings)
    types = {}
    for name in wanted & held.keys():
        found = _board_type(path, name, held[name], findings)
        if found is not None:
            types[str(held[name]["type"])] = found
    has_plant = isinstance(tables.get("bench"), dict) and "plant" in tables["bench"]
    draft = Draft(path, studied.sound, types, wanted, has_plant)
    findings += [found for rule in rules for found in rule(draft) if _concerns(found, wanted)]
    if findings:
        raise Mistakes(path, in_order(findings, path, tables))
    settings = studied.model
    assert settings is not None  # what a model is not made of has been named
    SECRETS.add(settings.secrets())
    kept = {name: board for name, board in settings.boards.items() if name in wanted}
    return Bench(
        path=path,
        settings=_placed(settings.model_copy(update={"boards": kept}), path.parent),
        types=types,
        named={name: board.serial for name, board in settings.boards.items()},
    )


def _require_known(path: Path, wanted: tuple[str, ...], boards: Any) -> None:
    known = list(boards) if isinstance(boards, dict) else []
    for name in wanted:
        if name not in known:
            raise ConfigError(
                f"{path}: no board {name!r}; the file has {', '.join(sorted(known)) or 'none'}",
                help="give one of these to --board, or add the board to the bench file",
            )


def _concerns(finding: Finding, wanted: frozenset[str]) -> bool:
    """Whether it is about a board that is used, or about none in particular."""
    if not finding.key.startswith("boards."):
        return True
    return any(f"{finding.key}.".startswith(f"{dotted(('boards', name))}.") for name in wanted)


def _board_type(path: Path, name: str, board: Any, findings: list[Finding]) -> AnyBoardType | None:
    """The type of a board, from its file; None where it has no right one, which `findings` then say."""
    if "type" not in board:
        return None
    key = dotted(("boards", name, "type"))
    wanted = str(board["type"])
    file = path.parent / f"{wanted}.toml"
    try:
        exists = file.is_file()
    except (OSError, ValueError):
        exists = False
    if not exists:
        reason = f"there is no board file {file.name} beside the bench file"
        cure = suggestion(wanted, _board_files(path.parent), "board files in that folder")
        findings.append(Finding(path, key, shown(key, wanted), reason, cure))
        return None
    try:
        tables = read_toml(file, BOARD_HELP)
    except Mistakes as mistakes:
        findings += mistakes.findings
        return None
    if "board" not in tables:
        cure = suggestion(wanted, _board_files(path.parent), "board files in that folder")
        findings.append(Finding(file, "board", "", f"missing: this is no board file ({key} names it)", cure))
        return None
    head = tables.pop("board")
    if not isinstance(head, dict):
        findings.append(Finding(file, "board", shown("board", head), "not a table", BOARD_HELP))
        return None
    model: type[BoardType] | type[ProcessType] = ProcessType if head.get("kind") == "process" else BoardType
    studied = study(file, {**head, **tables}, model, BOARD_HELP)
    for found in studied.findings:
        inside = found.key.partition(".")[0] in {*head, *HEAD}
        findings.append(replace(found, key=f"board.{found.key}") if inside else found)
    if studied.model is None:
        return None
    return _absolute_process(studied.model, file) if isinstance(studied.model, ProcessType) else studied.model


def _board_files(folder: Path) -> list[str]:
    found = []
    for file in folder.glob("*.toml"):
        try:
            if "\n[board]" in "\n" + file.read_text("utf-8"):
                found.append(file.stem)
        except (OSError, UnicodeDecodeError):
            continue
    return found


def _placed(settings: BenchSettings, base: Path) -> BenchSettings:
    """Paths of a bench file are relative to it."""
    server, own, record = settings.server, settings.bench.requirements, settings.bench.record
    files = {name: getattr(server, name) for name in ("certificate", "certificate_key", "client_ca")}
    return settings.model_copy(
        update={
            "boards": {n: _absolute(b, base) for n, b in settings.boards.items()},
            "server": server.model_copy(update={n: p and base / p for n, p in files.items()}),
            "bench": settings.bench.model_copy(
                update={"requirements": own and base / own, "record": record and base / record}
            ),
        }
    )


def _with_files(security: SecuritySettings | None, base: Path) -> SecuritySettings | None:
    if security is None:
        return None
    files = {
        n: getattr(security, n) for n in ("certificate", "certificate_key", "server_ca", "server_ca_key")
    }
    return security.model_copy(update={n: p and base / p for n, p in files.items()})


def _absolute_process(board_type: ProcessType, file: Path) -> ProcessType:
    """Paths of a board file are relative to it; a program without a folder is looked up in PATH."""
    base = file.parent.resolve()
    images = board_type.images
    program = board_type.command[0]
    if ("/" in program or os.sep in program) and "{" not in program:  # "./client" is in a folder too
        program = str(base / program)

    def placed(image: ProcessImage) -> ProcessImage:
        return image.model_copy(update={"file": image.file and base / image.file})

    return board_type.model_copy(
        update={
            "command": [program, *board_type.command[1:]],
            "cwd": board_type.cwd and base / board_type.cwd,
            "images": images.model_copy(
                update={
                    "baseline": placed(images.baseline),
                    "update": placed(images.update),
                    "variants": {n: base / p for n, p in images.variants.items()},
                    "components": {n: base / p for n, p in images.components.items()},
                }
            ),
        }
    )


def _absolute(board: AnyBoardSettings, base: Path) -> AnyBoardSettings:
    board = board.model_copy(update={"security": _with_files(board.security, base)})
    if not isinstance(board, BoardSettings):
        return board
    images = board.images
    update = {
        "baseline": images.baseline and base / images.baseline,
        "update": images.update and base / images.update,
        "factory": {a: base / p for a, p in images.factory.items()},
        "variants": {n: base / p for n, p in images.variants.items()},
        "signing_key": images.signing_key and base / images.signing_key,
        "components": {n: base / p for n, p in images.components.items()},
    }
    return board.model_copy(update={"images": images.model_copy(update=update)})
