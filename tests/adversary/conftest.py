"""Attacks on a verdict: each test is one, named by it. Suites and runs as those of the ledger's own tests."""

from __future__ import annotations

from others import of

suite, replay = of("ledger", "conftest").suite, of("ledger", "conftest").replay
