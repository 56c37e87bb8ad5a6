"""Whatever stands in a bench file or a board file: settings, or a `ConfigError`, and nothing else."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from bench_folder import ESP, GOOD, NRF
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bench.check import checked_bench
from bench.config import Bench
from bench.errors import ConfigError

KNOWN = sorted(
    {
        part
        for line in GOOD.splitlines()
        for part in line.split("=")[0].strip().strip("[]").replace(".", " ").split()
        if part.isidentifier()
    }
    | {
        "plant",
        "images",
        "provider",
        "variants",
        "hangs",
        "advertise",
        "kind",
        "uid",
        "mac",
        "route_to",
        "https",
    }
)
QUICK = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=12)
    | st.dates()
    | st.times()
    | st.sampled_from(
        ["psu:1", "coap://[::", "127.0.0.1", "..", "/", "client", NRF, "swd", "x:y", "ASRL::", "\0"]
    )
)
KEYS = st.sampled_from(KNOWN) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def in_quotes(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_toml(value: Any) -> str:
    """An inline value."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{in_quotes(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(value) if math.isfinite(value) else ("nan" if math.isnan(value) else f"{value}")
    if isinstance(value, str):
        return in_quotes(value)
    return str(value)


def document(tables: dict[str, Any]) -> str:
    return "".join(f"{in_quotes(key)} = {as_toml(value)}\n" for key, value in tables.items())


def check(file: Path) -> None:
    """Any other exception than `ConfigError` ends the test."""
    error = None
    try:
        found = checked_bench(file)
    except ConfigError as fault:
        error = fault
    assert isinstance(found, Bench) if error is None else str(error) and error.help


@given(tables=st.dictionaries(KEYS, VALUES, max_size=5))
@example(tables={"bench": {"name": "x"}, "boards": 5})
@example(tables={"bench": {"name": "x"}, "boards": {"x": [1]}})
@example(tables={"bench": 1, "boards": {"": {"supply": "psu:1"}}})
@example(tables={"boards": {"a.b": {"type": "../\0", "endpoint": "x"}}})
@QUICK
def test_any_tables(desk: Path, tables: dict[str, Any]) -> None:
    text = document(tables)
    desk.write_text(text, "utf-8", errors="replace")
    check(desk)


@given(text=st.text(max_size=200))
@QUICK
def test_any_text(desk: Path, text: str) -> None:
    desk.write_text(text, "utf-8", errors="replace")
    check(desk)


@given(data=st.binary(max_size=200))
@QUICK
def test_any_bytes(desk: Path, data: bytes) -> None:
    desk.write_bytes(data)
    check(desk)


def places(tables: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(tables, dict):
        for key, value in tables.items():
            found += places(value, (*path, key))
    return found


GOOD_TABLES = tomllib.loads(GOOD)
PLACES = places(GOOD_TABLES)


@given(at=st.sampled_from(PLACES), value=VALUES, key=KEYS, how=st.sampled_from(["replace", "remove", "add"]))
@QUICK
def test_the_good_file_with_anything_in_one_place(
    desk: Path, at: tuple[Any, ...], value: Any, key: str, how: str
) -> None:
    tables = tomllib.loads(GOOD)
    held = tables
    for part in at[:-1]:
        held = held[part]
    if how == "remove":
        del held[at[-1]]
    elif how == "replace":
        held[at[-1]] = value
    else:
        held[key] = value
    desk.write_text(document(tables), "utf-8", errors="replace")
    check(desk)


@pytest.mark.parametrize("board", [NRF, ESP, "client"])
@given(choose=st.randoms(use_true_random=False), value=VALUES, key=KEYS)
@QUICK
def test_a_board_file_with_anything_in_one_place(
    desk: Path, board: str, choose: Any, value: Any, key: str
) -> None:
    file = desk.with_name(f"{board}.toml")
    kept = file.with_suffix(".kept")
    if not kept.exists():
        kept.write_bytes(file.read_bytes())
    tables = tomllib.loads(kept.read_text("utf-8"))
    at = choose.choice(places(tables))
    held = tables
    for part in at[:-1]:
        held = held[part]
    if choose.random() < 0.7:
        held[at[-1]] = value
    else:
        held[key] = value
    file.write_text(document(tables), "utf-8", errors="replace")
    check(desk)
