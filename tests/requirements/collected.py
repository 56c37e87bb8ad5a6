"""What pytest collects of the testcases, with the rows that each shows.

python tests/requirements/collected.py     writes it into the package, after testcases or markers have changed
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.requirements.testcases import FILE

ROOT = Path(__file__).parents[2]
MARK = "collected: "


def pytest_collection_finish(session):
    """As a plug-in of the pytest that `collected` starts."""
    from fixtures.shown import shown_by

    found: dict[str, set[str]] = {}
    named: dict[str, set[str]] = {}
    for item in session.items:
        name = item.nodeid.partition("[")[0].rpartition("/")[2]
        found.setdefault(name, set()).update(shown_by(item))
        markers = item.iter_markers("requirement")
        named.setdefault(name, set()).update(row for marker in markers for row in marker.args)
    print(
        MARK + json.dumps([{n: sorted(rows) for n, rows in sorted(each.items())} for each in (found, named)])
    )


def collected() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Testcase -> rows that some test of it shows, and rows that its markers name."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "testcases", "--collect-only", "-q", "-p", Path(__file__).stem],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(Path(__file__).parent)))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    assert len(lines) == 1, done.stdout + done.stderr
    shown, named = json.loads(lines[0].removeprefix(MARK))
    return shown, named


if __name__ == "__main__":
    FILE.write_text(json.dumps(collected()[0], indent=1) + "\n", encoding="utf-8")
