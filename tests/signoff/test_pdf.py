"""What a release manager reads: the first page alone is enough, and it says the same as the JSON."""

from __future__ import annotations

import json

import pypdfium2
import pytest
from signoff_rig import sign_off

from bench.requirements import CATALOGUE, Strength
from bench.signoff.pdf import write_pdf

MUSTS = sum(row.strength is Strength.MUST for row in CATALOGUE.values())


def pages_of(file):
    """The text of each page, white space as single spaces."""
    return [
        " ".join(page.get_textpage().get_text_bounded().split()) for page in pypdfium2.PdfDocument(str(file))
    ]


@pytest.fixture
def told(healthy, tmp_path):
    sign_off(healthy, tmp_path / "out")
    return json.loads((tmp_path / "out" / "signoff.json").read_text("utf-8"))


def test_first_page(healthy, told, tmp_path):
    first, *others = pages_of(tmp_path / "out" / "signoff.pdf")
    (product,) = told["products"]
    for text in (
        "Firmware sign-off · programs on a PC, no board GO Every planned test passed",
        f"4 passed 0 failed 0 waived 0 proved nothing 2 not applicable {MUSTS}/{MUSTS}",
        "6 tests planned 4 ran",
        f"client in one file: 1.0.0 to 2.0.0 update {product['update']}",
        "one SN-1, two SN-2",
        f"{healthy.name}: GO",
        "Signed with not signed",
        "not compared with a released run",
    ):
        assert text in first, (text, first)
    assert "LightweightM2M-1.0-int-751" in " ".join(others)
    assert all(f"page {number} of {len(others) + 1}" in page for number, page in enumerate(others, 2))


def test_what_does_not_apply_is_not_asked_for(told, tmp_path):
    first = told["requirements"][0]
    (tmp_path / "a").mkdir()
    elsewhere = first | {"strength": "must", "status": "NOT APPLICABLE"}
    write_pdf(told | {"requirements": [*told["requirements"], elsewhere]}, tmp_path / "a" / "a.pdf")
    assert f"2 not applicable {MUSTS}/{MUSTS}" in pages_of(tmp_path / "a" / "a.pdf")[0]


def test_decision_is_on_every_page(failing, tmp_path):
    sign_off(failing, tmp_path / "out")
    pages = pages_of(tmp_path / "out" / "signoff.pdf")
    assert all("Sign-off: NO-GO" in page for page in pages)
    assert "FAILED: test_suite.py::test_version[two]" in pages[0]
    assert "SN-2 FAILED" in " ".join(pages)


def test_virtual_bench_says_so_at_the_top(told, tmp_path):
    virtual = {"virtual": True, "decision": "VIRTUAL BENCH", "meaning": "Not a release: x"}
    write_pdf(told | virtual, tmp_path / "a.pdf")
    assert pages_of(tmp_path / "a.pdf")[0].startswith(
        "Firmware sign-off · virtual bench VIRTUAL BENCH Not a release"
    )


def test_what_is_much_and_long_is_all_there(told, tmp_path):
    """Forty reasons, names without a blank, letters of other scripts."""
    why = [f"reason {number}: {'x' * 200} Größe ≥ 5 µA — тест" for number in range(40)]
    many = [told["tests"][0] | {"node": f"t.py::{'n' * 150}[{n}]", "shown": "FAILED"} for n in range(120)]
    changed = told | {"decision": "NO-GO", "why": why, "tests": many, "attention": why}
    write_pdf(changed, tmp_path / "a.pdf")
    pages = pages_of(tmp_path / "a.pdf")
    text = " ".join(pages)
    assert all(f"reason {number}:" in text for number in range(40))
    assert "and 31 more reasons" in text
    assert "µA" in text
    assert text.count("page ") == len(pages)
