"""What a receiver can find out: whatever was changed after the sign-off is named."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess

import pytest
from signoff_rig import bench, sign_off

from bench.errors import SignOffError
from bench.signoff import manifest, signature
from bench.signoff.decision import Decision
from bench.signoff.folder import places_given
from bench.signoff.run import read_run
from bench.signoff.verify import DIFFERS, NOT_KNOWN
from bench.signoff.verify import verify as verify_at


def verify(folder, allowed, now=None):
    return verify_at(folder, allowed, now or datetime.datetime.now(datetime.UTC))


@pytest.fixture
def signed(healthy, key, tmp_path):
    sign_off(healthy, tmp_path / "out", key=key)
    return tmp_path / "out"


@pytest.fixture
def allowed(key):
    return key.parent / "allowed"


def test_sign_off_that_holds(signed, allowed):
    found = verify(signed, allowed)
    assert found.differences == ()
    assert (found.signer, found.decision) == ("release@example.org", Decision.GO)
    assert found.exit_status == 0
    done = bench("verify", signed, "--allowed-signers", allowed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything holds; signed by release@example.org" in done.stdout


def test_manifest_can_be_read_by_others(signed):
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("no sha256sum")
    subprocess.run([program, "--check", "--quiet", "manifest.sha256"], cwd=signed, check=True)


@pytest.mark.parametrize(
    "name", ["signoff.json", "signoff.pdf", "raw/*/ledger.jsonl", "raw/*/results/timeline.jsonl"]
)
def test_file_that_was_changed_is_named(signed, allowed, name):
    (file,) = signed.glob(name)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    done = bench("verify", signed, "--allowed-signers", allowed)
    assert done.returncode == DIFFERS
    assert f"DIFFERS: {file.relative_to(signed).as_posix()} differs from the manifest" in done.stdout


def test_file_that_was_added_or_removed_is_named(signed, allowed):
    (signed / "more.txt").write_text("x")
    next(signed.glob("raw/*/allure/*-result.json")).unlink()
    texts = verify(signed, allowed).differences
    assert "more.txt is not in the manifest" in texts
    assert any(text.endswith("-result.json is missing") for text in texts)


def test_manifest_made_anew_is_of_no_signer(signed, allowed):
    """The forger repaints the decision and lists the files again: the signature and the ledgers tell."""
    repaint(signed, lambda told: told["why"].append("harmless"))
    texts = verify(signed, allowed).differences
    assert any(text.startswith("manifest.sha256.sig is of none of the signers") for text in texts)
    assert any("'why' is not what the ledgers say" in text for text in texts)


def repaint(folder, change):
    file = folder / "signoff.json"
    told = json.loads(file.read_text("utf-8"))
    change(told)
    file.write_text(json.dumps(told), encoding="utf-8")
    manifest.write(folder)


def test_verdict_that_the_ledgers_do_not_give(failing, key, allowed, tmp_path):
    """Signed by one who may sign, and wrong nevertheless."""
    folder = tmp_path / "out"
    sign_off(failing, folder)
    repaint(folder, lambda told: told.update(decision="GO", why=[]))
    signature.sign(folder / manifest.MANIFEST, key)
    found = verify(folder, allowed)
    assert found.signer == "release@example.org"
    assert "signoff.json: 'decision' is not what the ledgers say: 'GO', they say 'NO-GO'" in found.differences
    assert found.exit_status == DIFFERS


def test_ledger_that_was_changed_and_listed_again(signed, allowed, key):
    (ledger,) = signed.glob("raw/*/ledger.jsonl")
    ledger.write_bytes(ledger.read_bytes().replace(b"SN-1", b"SN-7"))
    signature.sign(manifest.write(signed), key)
    found = verify(signed, allowed)
    assert found.exit_status == DIFFERS
    assert any(text.startswith(("signoff.json", "records/")) for text in found.differences), found


def test_raw_result_that_was_changed_and_listed_again(signed, allowed, key):
    (figures,) = signed.glob("raw/*/results/measurements.json")
    figures.write_text(figures.read_text().replace("1.5", "0.5"))
    signature.sign(manifest.write(signed), key)
    assert any("'why' is not what the ledgers say" in text for text in verify(signed, allowed).differences)


def test_made_later_than_now(signed, allowed):
    before = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    assert any("which is still to come" in text for text in verify(signed, allowed, before).differences)


def test_nobody_knows_who_made_it(healthy, signed, key, allowed, tmp_path):
    assert verify(signed, None).exit_status == NOT_KNOWN
    sign_off(healthy, tmp_path / "unsigned")
    assert verify(tmp_path / "unsigned", None).exit_status == NOT_KNOWN
    assert (
        "manifest.sha256.sig is missing: it is not signed"
        in verify(tmp_path / "unsigned", allowed).differences
    )
    stranger = tmp_path / "stranger"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(stranger)]
    subprocess.run(command, check=True)
    (tmp_path / "others").write_text(f"else@example.org {stranger.with_suffix('.pub').read_text()}")
    assert verify(signed, tmp_path / "others").exit_status == DIFFERS


def test_signature_for_another_purpose(signed, allowed, key):
    listed = signed / manifest.MANIFEST
    (signed / manifest.SIGNATURE).unlink()
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", "file", str(listed)]
    subprocess.run(command, check=True, capture_output=True)
    assert verify(signed, allowed).signer is None


def test_no_go_that_holds_does_not_end_with_0(failing, key, allowed, tmp_path):
    sign_off(failing, tmp_path / "out", key=key)
    found = verify(tmp_path / "out", allowed)
    assert found.differences == ()
    assert found.exit_status == Decision.NO_GO.exit_status


def test_sign_off_with_all_there_is_holds(failing, healthy_run, key, allowed, waiver, tmp_path):
    """Waivers, a comparison: all of it is computed again."""
    (places,) = places_given(failing)
    day = f"{datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=90):%Y-%m-%d}"
    file = waiver(
        id='"W-1"',
        test='"test_suite.py::test_version[two]"',
        serial='"SN-2"',
        firmware=f'"{read_run(places).boards["two"].product.update}"',
        approver='"R. Manager"',
        expires=day,
        reason='"known, harmless, mended in 2.0.1"',
    )
    sign_off(failing, tmp_path / "out", key=key, waivers=file, against=healthy_run)
    found = verify(tmp_path / "out", allowed)
    assert found.differences == ()
    assert found.exit_status == Decision.WITH_WAIVERS.exit_status
    assert found.since == ()
    later = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    assert verify(tmp_path / "out", allowed, later).since == (f"waiver W-1 has expired since, on {day}",)
    (tmp_path / "out" / "waivers.toml").write_text(file.read_text().replace(day, "2098-12-31"))
    signature.sign(manifest.write(tmp_path / "out"), key)
    assert any("'waivers' is not" in text for text in verify(tmp_path / "out", allowed).differences)


@pytest.mark.parametrize("row", ["../x", "/etc/passwd", "C:/x", "a\\b"])
def test_manifest_that_leads_out_of_the_folder(tmp_path, row):
    (tmp_path / manifest.MANIFEST).write_text(f"{'0' * 64}  {row}\n")
    assert f"{manifest.MANIFEST}: line 1 is no line of a manifest" in manifest.differences(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"decision": "GO"}',
        '{"decision": "GO", "schema": 3, "made": "2026-01-01T00:00:00+00:00", "runs": 3, "waivers": [1]}',
        '{"decision": "GO", "schema": 3, "made": 7}',
        '{"decision": "MAYBE", "schema": 3}',
    ],
)
def test_json_that_is_nonsense(tmp_path, text):
    (tmp_path / "signoff.json").write_text(text)
    manifest.write(tmp_path)
    found = verify(tmp_path, None)
    assert found.differences
    assert found.exit_status == DIFFERS


def test_empty_folder(tmp_path):
    found = verify(tmp_path, None)
    assert found.exit_status == DIFFERS
    assert found.decision is None


def test_no_ssh_keygen(healthy, key, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SignOffError, match="there is no ssh-keygen on this PC"):
        sign_off(healthy, tmp_path / "out", key=key)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="file modes of POSIX")
def test_key_that_cannot_sign(healthy, key, tmp_path):
    wrong = tmp_path / "key"
    shutil.copyfile(key, wrong)
    wrong.chmod(0o644)
    with pytest.raises(SignOffError, match="cannot sign"):
        sign_off(healthy, tmp_path / "out", key=wrong)
    assert not (tmp_path / "out").exists()
