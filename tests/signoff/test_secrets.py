"""Keys are nobody's business: they are in no file that a run or a sign-off leaves behind."""

from __future__ import annotations

import base64
import io
import os
import secrets
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from secret_search import found_in
from signoff_rig import bench

from bench.evidence.ledger import latest_run

ROOT = Path(__file__).parents[2]
OPENSSH = ("-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----")


@pytest.mark.parametrize("packed", ["plain", "hex", "base64", "zip", "pdf"])
def test_the_search_finds(tmp_path, packed):
    secret = secrets.token_bytes(19)
    match packed:
        case "plain":
            content = b"abc" + secret + b"def"
        case "hex":
            content = b"key=" + secret.hex(":").upper().encode()
        case "base64":
            content = (
                b'{"body": "' + base64.b64encode(b"xx psk-key=" + secret.hex().encode() + b" ok") + b'"}'
            )
        case "zip":
            held = io.BytesIO()
            with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as opened:
                opened.writestr("serial.log", f"provision psk-key={secret.hex()}\n" * 3)
            content = held.getvalue()
        case _:
            from fpdf import FPDF

            paper = FPDF()
            paper.add_page()
            paper.set_font("helvetica", size=9)
            paper.cell(text=secret.hex())
            content = bytes(paper.output())
    (tmp_path / "file").write_bytes(content)
    assert found_in(tmp_path, {"it": secret})
    assert not found_in(tmp_path, {"another": secrets.token_bytes(19)})


def test_keys_are_in_no_output(key, tmp_path):
    """A board that talks DTLS, testcases, a signed sign-off, and everything they leave behind."""
    psk = secrets.token_bytes(19)
    boards = tmp_path / "boards"
    boards.mkdir()
    text = (ROOT / "boards" / "virtual.toml").read_text("utf-8")
    (boards / "virtual-esp32.toml").write_text(
        (ROOT / "boards" / "virtual-esp32.toml").read_text("utf-8"), "utf-8"
    )
    (boards / "virtual-nrf9160.toml").write_text(
        (ROOT / "boards" / "virtual-nrf9160.toml").read_text("utf-8"), "utf-8"
    )
    known = "5468697320697320616e206578616d706c652e"
    assert known in text
    (boards / "bench.toml").write_text(text.replace(known, psk.hex()), "utf-8")
    results = tmp_path / "results"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--board", "esp32"]
    command += ["--bench", str(boards / "bench.toml"), "--results", str(results)]
    command += [str(ROOT / "testcases" / "test_successful_update.py"), "-k", "push or coaps"]
    done = subprocess.run(
        [*command, "--alluredir", str(results / "allure")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    (tmp_path / "results" / "terminal.txt").write_text(done.stdout + done.stderr)
    assert "2 passed" in done.stdout, done.stdout
    made = bench("signoff", latest_run(results), "--key", key, "--output", results / "signoff")
    assert made.returncode == 6, made.stdout + made.stderr
    (results / "signoff.txt").write_text(made.stdout + made.stderr)
    private = key.read_text()
    for line in OPENSSH:
        private = private.replace(line, "")
    wanted = {"PSK": psk, "signing key": base64.b64decode(private)[-80:-16]}
    assert len(list(results.rglob("*"))) > 50
    assert found_in(results, wanted) == []
    assert not [f for f in results.rglob("*") if f.is_file() and b"PRIVATE KEY-----" in f.read_bytes()]
