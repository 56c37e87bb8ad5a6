"""docs/instruments.md names every driver, and only tests that there are."""

import re
from pathlib import Path

from bench.instruments.models import DRIVERS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "instruments.md").read_text("utf-8")


def section(heading):
    return TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def first_column(text):
    return re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)[1:]  # the first heads the column


def test_every_driver_is_in_the_table():
    assert sorted(first_column(section("Drivers"))) == sorted(DRIVERS)
    assert sorted(first_column(section("What is not verified"))) == sorted(DRIVERS)


def test_every_test_it_names_is_there():
    named = 0
    for row in section("Bad input, and the test that shows it").splitlines():
        waiting = []
        for test, file in re.findall(r"`(?:(test_\w+)|((?:tests/station/)?test_\w+\.py))`", row):
            if test:
                waiting.append(test)
                continue
            folder = ROOT if "/" in file else ROOT / "tests" / "instruments"
            held = (folder / file).read_text("utf-8")
            missing = [name for name in waiting if f"def {name}(" not in held]
            assert missing == [], f"{file} has no {missing}"
            named, waiting = named + len(waiting), []
        assert waiting == [], f"no file is named for {waiting}"
    assert named > 30
