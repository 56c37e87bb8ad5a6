"""The testcases that the bench comes with, and the rows of the catalogue that each of them shows.

The list is packaged, as the testcases are not: so a run knows what it has left out. It is written by
`python tests/requirements/collected.py`; a test holds it against what pytest collects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("testcases.json")

TESTCASES: Mapping[str, tuple[str, ...]] = {
    name: tuple(rows) for name, rows in json.loads(FILE.read_text("utf-8")).items()
}
""""FILE::FUNCTION" -> IDs, sorted."""
