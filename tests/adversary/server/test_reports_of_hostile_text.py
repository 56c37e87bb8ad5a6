"""A run whose testcase fails with what a device has sent: no output of it acts, and none shows a key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
TESTCASE = """
from bench.safe_text import SECRETS

KEY = "".join(("c0ffee", "c0ffee", "c0ffee"))


def test_fails(bench_station):
    SECRETS.add([KEY])
    print("the device said", KEY, "\\x9b2J")
    raise AssertionError("the device said " + KEY + " \\x1b[2J \\u202e <!--<script>")
"""


def test_a_failure_shows_neither_keys_nor_what_acts(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTCASE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--color=no"]
    command += ["--bench", str(ROOT / "boards" / "virtual.toml"), "--results", str(tmp_path / "results")]
    command += [
        "--junit-xml",
        str(tmp_path / "junit.xml"),
        "-o",
        "junit_logging=all",
        str(tmp_path / "test_it.py"),
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert b"the device said (secret)" in said, said.decode(errors="replace")
    written = [
        said,
        # the testcase itself holds them, and so does its bytecode
        *(
            file.read_bytes()
            for file in tmp_path.rglob("*")
            if file.is_file() and file.suffix not in {".py", ".pyc"}
        ),
    ]
    for content in written:
        assert b"c0ffee" * 3 not in content.lower()
        for acting in (b"\x1b[2J", "\x9b2J".encode(), "\u202e".encode()):
            assert acting not in content
