"""Bench file and board files -> validated settings. A mistake names file, key, value and reason."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bench.config.attached import BenchSettings, BoardSettings
from bench.config.board_type import BoardType
from bench.config.table import Table
from bench.errors import ConfigError

M = TypeVar("M", bound=Table)


class Bench(Table):
    """Everything a station is built from."""

    path: Path
    settings: BenchSettings
    types: dict[str, BoardType]

    def type_of(self, board: str) -> BoardType:
        return self.types[self.settings.boards[board].type]


def load_bench(path: Path, boards: tuple[str, ...] = ()) -> Bench:
    """Read a bench file and the board files beside it; keep only the named boards if any are named.

    Raises `ConfigError` naming file, key, value and reason.
    """
    settings = _read(path, BenchSettings, "bench file", "see boards/virtual.toml for a complete example")
    for name in boards:
        if name not in settings.boards:
            raise ConfigError(
                f"{path}: no board {name!r}; the file has {', '.join(sorted(settings.boards))}",
                help="give one of these to --board, or add the board to the bench file",
            )
    if boards:
        kept = {name: b for name, b in settings.boards.items() if name in boards}
        settings = settings.model_copy(update={"boards": kept})
    types = {}
    for name, board in settings.boards.items():
        types[board.type] = _board_type(path, name, board)
    base = path.parent
    settings = settings.model_copy(
        update={"boards": {n: _absolute(b, base) for n, b in settings.boards.items()}}
    )
    return Bench(path=path, settings=settings, types=types)


def _board_type(path: Path, name: str, board: BoardSettings) -> BoardType:
    file = path.parent / f"{board.type}.toml"
    if not file.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.toml") if "[board]" in p.read_text("utf-8"))
        raise ConfigError(
            f"{path}: boards.{name}.type = {board.type!r}: there is no board file {file}",
            help=f"board files in that folder: {', '.join(known) or 'none'}",
        )
    board_type = _read(file, BoardType, "board file", "see boards/nrf9160.toml", table="board")
    wanted = {"nrf9160": "swd", "esp32": "rom-serial"}[board_type.driver]
    if board.flasher.kind != wanted:
        raise ConfigError(
            f"{path}: boards.{name}.flasher.kind = {board.flasher.kind!r}: "
            f"a {board_type.driver} needs {wanted!r}",
            help="correct the flasher, or the board's type",
        )
    return board_type


def _absolute(board: BoardSettings, base: Path) -> BoardSettings:
    images = board.images
    update = {
        "baseline": images.baseline and base / images.baseline,
        "update": images.update and base / images.update,
        "factory": {a: base / p for a, p in images.factory.items()},
        "variants": {n: base / p for n, p in images.variants.items()},
    }
    return board.model_copy(update={"images": images.model_copy(update=update)})


def _read(path: Path, model: type[M], what: str, help: str, table: str | None = None) -> M:
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{what} {path} does not exist", help=help) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} {path} cannot be read: {error}", help=help) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{what} {path} is not TOML: {error}", help=help) from None
    if table is not None:
        raw = {**raw.pop(table, {}), **raw}
    if table is None and "board" in raw:
        raise ConfigError(f"{path} is a board file, not a {what}", help=help)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, e) for e in error.errors()), help=help) from None


def _explain(path: Path, error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"] if part not in ("swd", "rom-serial"))
    reason = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{path}: {key}: missing"
    if error["type"] == "extra_forbidden":
        return f"{path}: {key} = {error['input']!r}: no such key"
    if not key:
        return f"{path}: {reason}"
    return f"{path}: {key} = {error['input']!r}: {reason}"
