"""What lies in a sign-off is what its manifest lists, links included."""

from __future__ import annotations

import os

import pytest

from bench.signoff import manifest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="only administrators may make links")


def test_link_to_a_folder_is_told(tmp_path):
    """Whoever follows it reads files that nobody has listed."""
    made, other = tmp_path / "signoff", tmp_path / "other"
    (made / "raw").mkdir(parents=True)
    (made / "raw" / "ledger.jsonl").write_text("{}\n")
    manifest.write(made)
    other.mkdir()
    (other / "signoff.pdf").write_text("another")
    assert manifest.differences(made) == []
    (made / "more").symlink_to(other, target_is_directory=True)
    assert manifest.differences(made) == ["more is not in the manifest"]


def test_folder_that_became_a_link_is_told(tmp_path):
    made = tmp_path / "signoff"
    (made / "raw").mkdir(parents=True)
    (made / "raw" / "ledger.jsonl").write_text("{}\n")
    manifest.write(made)
    (made / "raw").rename(tmp_path / "elsewhere")
    (made / "raw").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert manifest.differences(made) == ["raw is not in the manifest"]
