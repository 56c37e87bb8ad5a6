"""Takes out of a report what would tell others that it was opened, and makes sure that nothing is left.

Allure puts a script of a web analytics service into every page.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.errors import ReportError

_SCRIPT = re.compile(r"<script\b[^>]*>.*?</script\s*>", re.DOTALL | re.IGNORECASE)
_ANALYTICS = ("googletagmanager.com", "google-analytics.com", "gtag(")
_ELSEWHERE = re.compile(
    r"""<(?:script|link|img|iframe|source|video|audio|object|embed)\b[^>]*?\b(?:src|href|data)\s*=\s*["']?\s*(?:https?:)?//""",
    re.IGNORECASE,
)


def take_out_analytics(report: Path) -> None:
    """Rewrite the pages of a report without it. Raises `ReportError` where something else is left.

    What testcases have attached lies in `data` and stays as it is.
    """
    for page in report.rglob("*.html"):
        if "data" in page.relative_to(report).parts[:-1]:
            continue
        text = _SCRIPT.sub(_without_analytics, page.read_text(encoding="utf-8"))
        if any(sign in text for sign in _ANALYTICS) or _ELSEWHERE.search(text):
            raise ReportError(
                f"{page}: the report would ask other hosts when it is opened",
                help="this is not the Allure that the bench knows: look at bench/report/offline.py",
            )
        page.write_text(text, encoding="utf-8", newline="\n")


def _without_analytics(script: re.Match[str]) -> str:
    return "" if any(sign in script.group() for sign in _ANALYTICS) else script.group()
