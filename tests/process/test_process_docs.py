"""The board and bench files that the README and the docs show are read without a complaint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.config import ProcessType, load_bench

ROOT = Path(__file__).parents[2]
SHOWN = [
    ("README.md", "### A client as a host program", "client"),
    ("docs/process-boards.md", "## The board file", "my-client"),
]


@pytest.mark.parametrize(("document", "heading", "board"), SHOWN, ids=[d for d, _, _ in SHOWN])
def test_shown_files_are_read(document: str, heading: str, board: str, tmp_path: Path) -> None:
    text = (ROOT / document).read_text("utf-8").partition(heading)[2]
    board_file, bench_file = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[:2]
    (tmp_path / f"{board}.toml").write_text(board_file, "utf-8")
    (tmp_path / "bench.toml").write_text(bench_file, "utf-8")
    bench = load_bench(tmp_path / "bench.toml")
    assert isinstance(bench.types[board], ProcessType)
    assert bench.settings.boards["client"].network is not None


def test_the_example_board_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "process-example.toml").write_bytes((ROOT / "boards" / "process-example.toml").read_bytes())
    (tmp_path / "bench.toml").write_text(
        '[bench]\nname = "x"\n[boards.x]\ntype = "process-example"\nendpoint = "x"\n', "utf-8"
    )
    assert load_bench(tmp_path / "bench.toml").types["process-example"].title == "a client as a host program"
